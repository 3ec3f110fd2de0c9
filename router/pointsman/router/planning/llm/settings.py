"""Where a remote model is reached and what it costs. Imports no client: it is cheap to import."""

from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from pointsman.router.usage import Usage

NO_KEY = SecretStr("")
OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """A model behind an OpenAI-compatible endpoint.

    price_in, price_out: dollars per million tokens, which is micro-dollars per token; 0 for a server of
    one's own. timeout: seconds of one call when no deadline is given. max_answer: characters after which
    an answer is cut off, so that a model that never stops costs no more. format: how the model writes a
    plan: as a JSON object, or as text with task tokens, for models that hold no JSON.
    """

    model: str
    api_key: SecretStr = NO_KEY
    base_url: str = OPENAI
    price_in: float = 0.0
    price_out: float = 0.0
    timeout: float = 60.0
    max_answer: int = 200_000
    format: Literal["json", "task_tokens"] = "json"

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Micro-dollars, rounded up."""
        exact = input_tokens * self.price_in + output_tokens * self.price_out
        return -int(-exact // 1)

    def usage(self, input_tokens: int, output_tokens: int, seconds: float = 0.0) -> Usage:
        """The usage of one call."""
        return Usage(
            cost=self.cost(input_tokens, output_tokens),
            calls=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            seconds=seconds,
        )

    def redacted(self, text: str) -> str:
        """`text` without the key, should a server have echoed it."""
        key = self.api_key.get_secret_value()
        return text.replace(key, "[key]") if key else text


__all__ = ["OPENAI", "RemoteSettings"]
