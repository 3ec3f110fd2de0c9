"""Takes secrets out of what goes on: an API may answer, or complain, with the key that it was called with."""

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Characters of a secret; a shorter one would take half of every text with it."""
INSTEAD = "[secret]"


class Scrubber:
    """Knows secrets in the forms in which they are sent."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        if len(secret) < SHORTEST:
            return
        packed = base64.b64encode(secret.encode()).decode()
        self._forms |= {secret, quote(secret, safe=""), quote_plus(secret), packed}

    def __bool__(self) -> bool:
        return bool(self._forms)

    def take(self, other: "Scrubber") -> None:
        """Knows what the other one knows."""
        self._forms |= other._forms

    def text(self, text: str) -> str:
        for form in sorted(self._forms, key=len, reverse=True):
            if form in text:
                text = text.replace(form, INSTEAD)
        return text

    def value(self, value: Any) -> Any:
        """JSON with every text scrubbed, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if isinstance(value, dict):
            return {self.text(k): self.value(v) for k, v in value.items()}
        return value

    def found_in(self, text: str) -> bool:
        return any(form in text for form in self._forms)
