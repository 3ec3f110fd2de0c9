"""Chat with an OpenAI-compatible server: streamed, within a deadline, errors in our own tree.

Everything is streamed, also where only the whole is wanted: so a deadline, a limit on length and a
cancellation act on every piece and close the connection. Structured output is asked for in the best form
that the server takes: a JSON Schema, else any JSON object, else plain text that holds JSON.
"""

import asyncio
import email.utils
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import openai
import stamina
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice

from pointsman.router.errors import (
    ExpertError,
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
)
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.llm.stream import ThoughtFilter
from pointsman.router.usage import Usage
from pointsman.router.values import Schema

Message: TypeAlias = dict[str, str]
Form = Literal["json_schema", "json_object", "text"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "text")
FORM_KNOWN: dict[tuple[str, str], int] = {}
"""(base URL, model) -> the best form that an endpoint took, found out by trial; for the whole of the program."""
LONGEST_WAIT = 5.0
"""Seconds of `Retry-After` that are waited here; a longer wait is left to the router."""


class RemoteRefused(ExpertError):
    """The server will not take the call however often it is made: wrong key, model or request."""

    code = "expert.remote-refused"
    retryable = False


class UnsupportedForm(RemoteRefused):
    """The server answered 400 or 422: the form of the request may be the reason."""

    code = "expert.unsupported-form"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Token counts are the server's, or estimated at four characters a token."""

    text: str
    usage: Usage


Piece: TypeAlias = str | Usage


class ChatClient:
    """One model on one server. Close it with `close()`."""

    def __init__(
        self, settings: RemoteSettings, *, clock: Callable[[], float] = time.time, attempts: int = 3
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._attempts = attempts
        self._endpoint = (settings.base_url, settings.model)
        self._made: openai.AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"ChatClient({self.settings.model!r} at {self.settings.base_url!r})"

    @property
    def name(self) -> str:
        return self.settings.model

    def deadline(self, given: float | None = None) -> float:
        """The deadline to hold: `given`, or the settings' timeout from now. Seconds since the epoch."""
        return given if given is not None else self._clock() + self.settings.timeout

    async def complete(
        self, messages: Sequence[Message], *, deadline: float, schema: Schema | None = None
    ) -> Reply:
        """The whole answer; short retries of what may pass, within the deadline. Raises ExpertError."""
        async for attempt in self._retries(deadline):
            with attempt:
                return await self._whole(messages, deadline, schema)
        raise AssertionError("the last attempt returns or raises")

    async def stream(
        self, messages: Sequence[Message], *, deadline: float, schema: Schema | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Pieces of text as they come, the usage last. Retries only before the first piece.

        Raises ExpertError. Closing the iterator closes the connection.
        """
        first, pieces = await self._opened(messages, deadline, schema)
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
            self._made = None

    async def _whole(
        self, messages: Sequence[Message], deadline: float, schema: Schema | None
    ) -> Reply:
        text: list[str] = []
        usage = Usage()
        async with aclosing(self._negotiated(messages, deadline=deadline, schema=schema)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                else:
                    text.append(piece)
        return Reply("".join(text), usage)

    async def _opened(
        self, messages: Sequence[Message], deadline: float, schema: Schema | None
    ) -> tuple[Piece, AsyncGenerator[Piece, None]]:
        """The first piece and the iterator of the others."""
        async for attempt in self._retries(deadline):
            with attempt:
                pieces = self._negotiated(messages, deadline=deadline, schema=schema)
                try:
                    return await anext(pieces), pieces
                except BaseException:
                    await pieces.aclose()
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _retries(self, deadline: float) -> Any:
        left = max(0.01, deadline - self._clock())

        def wait(error: Exception) -> bool | float:
            if isinstance(error, ExpertOverloaded):
                short = error.retry_after <= min(LONGEST_WAIT, deadline - self._clock())
                return max(error.retry_after, 0.05) if short else False
            return isinstance(error, ExpertFailed)

        return stamina.retry_context(
            on=wait,
            attempts=self._attempts,
            timeout=left,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.2,
        )

    async def _negotiated(
        self, messages: Sequence[Message], *, deadline: float, schema: Schema | None
    ) -> AsyncGenerator[Piece, None]:
        """Tries the forms from the best that is not known to be refused; keeps the one that worked."""
        last = len(FORMS) - 1
        first_place = FORM_KNOWN.get(self._endpoint, 0) if schema is not None else last
        for place in range(first_place, last + 1):
            pieces = self._once(messages, deadline, FORMS[place], schema)
            async with aclosing(pieces):
                try:
                    first = await anext(pieces)
                except UnsupportedForm:
                    if place == last:
                        raise
                    continue
                if schema is not None:
                    FORM_KNOWN[self._endpoint] = place
                yield first
                async for piece in pieces:
                    yield piece
                return

    async def _once(
        self, messages: Sequence[Message], deadline: float, form: Form, schema: Schema | None
    ) -> AsyncGenerator[Piece, None]:
        """One HTTP call."""
        started = self._clock()
        written, finish = 0, None
        tokens: tuple[int, int] | None = None
        thoughts = ThoughtFilter()
        chunks = self._chunks(messages, deadline, form, schema)
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk.usage is not None:
                    tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices[:1]:
                    finish = choice.finish_reason or finish
                    _refuse_declined(self.name, choice)
                    text = choice.delta.content or ""
                    written += len(text)
                    if text := thoughts.feed(text):
                        yield text
                if written > self.settings.max_answer:
                    raise ExpertFailed(f"{self.name} wrote without end; it was stopped")
        if rest := thoughts.end():
            yield rest
        _check_end(self.name, finish)
        asked = sum(len(m["content"]) for m in messages)
        counted = tokens or (-(-asked // 4), -(-written // 4))
        yield self.settings.usage(*counted, seconds=self._clock() - started)

    async def _chunks(
        self, messages: Sequence[Message], deadline: float, form: Form, schema: Schema | None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The server's chunks. Every wait ends at the deadline; the connection is closed in any case."""
        stream: openai.AsyncStream[ChatCompletionChunk] | None = None
        fault: ExpertError | None = None
        started = self._clock()
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                stream = cast(
                    "openai.AsyncStream[ChatCompletionChunk]",
                    await self._client().chat.completions.create(
                        model=self.settings.model,
                        messages=list(messages),  # type: ignore[arg-type]
                        stream=True,
                        **_options(form, schema),
                    ),
                )
            while True:
                async with asyncio.timeout(max(0.0, deadline - self._clock())):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                yield chunk
        except (TimeoutError, openai.APITimeoutError):
            fault = ExpertTimeout(self.name, max(0.0, self._clock() - started))
        except openai.OpenAIError as error:
            fault = as_expert_error(error, self.settings, now=self._clock())
        except OSError as error:
            fault = ExpertFailed(
                f"{self.name}: the connection broke: {self.settings.redacted(str(error))}"
            )
        except ValueError as error:  # a line of the stream is no JSON
            fault = ExpertFailed(
                f"{self.name} answered outside the protocol: {type(error).__name__}"
            )
        finally:
            if stream is not None:
                await stream.close()
        raise fault

    def _client(self) -> openai.AsyncOpenAI:
        if self._made is None:
            self._made = openai.AsyncOpenAI(
                api_key=self.settings.api_key.get_secret_value() or "none",
                base_url=self.settings.base_url,
                max_retries=0,
                timeout=None,
            )
        return self._made


def _options(form: Form, schema: Schema | None) -> dict[str, Any]:
    """Beyond model and messages; the plainest form asks for nothing that a simple server may refuse."""
    if schema is None:
        return {}
    if form == "json_schema":
        wanted = {"name": "answer", "schema": dict(schema), "strict": False}
        return {
            "response_format": {"type": "json_schema", "json_schema": wanted},
            "stream_options": {"include_usage": True},
        }
    if form == "json_object":
        return {
            "response_format": {"type": "json_object"},
            "stream_options": {"include_usage": True},
        }
    return {}


def _refuse_declined(name: str, choice: Choice) -> None:
    declined = choice.delta.refusal
    if declined or choice.finish_reason == "content_filter":
        why = str(declined or "its content filter stopped it")[:200]
        raise RemoteRefused(f"{name} declined the task: {why}")


def _check_end(name: str, finish: str | None) -> None:
    if finish is None:
        raise ExpertFailed(f"{name} broke off in the middle of its answer")
    if finish == "length":
        raise RemoteRefused(f"{name} reached its limit of tokens before its answer was whole")


def as_expert_error(
    error: openai.OpenAIError, settings: RemoteSettings, *, now: float
) -> ExpertError:
    """What to do about an error of the client, in our tree; the key is never in the message."""
    name = settings.model
    if not isinstance(error, openai.APIStatusError):
        kind = "cannot be reached" if isinstance(error, openai.APIConnectionError) else "failed"
        cause = settings.redacted(str(error.__cause__ or error))[:200]
        return ExpertFailed(f"{name} at {settings.base_url} {kind}: {cause}")
    status = error.status_code
    said = settings.redacted(_message(error.body) or error.message)[:300]
    if status in (429, 503):
        return _busy(error, status, said, settings, now)
    match status:
        case 401 | 403:
            return RemoteRefused(
                f"{name} at {settings.base_url} refuses the key ({status}); check OPENAI_API_KEY"
            )
        case 404:
            return RemoteRefused(
                f"there is no model {name!r} at {settings.base_url} (404); "
                "check POINTSMAN_MODEL and OPENAI_BASE_URL"
            )
        case 400 | 422:
            return UnsupportedForm(f"{name} refuses the request ({status}): {said}")
        case _ if status >= 500 or status in (408, 409, 425):
            return ExpertFailed(f"{name} failed ({status}): {said}")
        case _:
            return RemoteRefused(f"{name} refuses the request ({status}): {said}")


def _busy(
    error: openai.APIStatusError, status: int, said: str, settings: RemoteSettings, now: float
) -> ExpertError:
    """429 and 503: a wait that the server names, a wait of our own, or an account with no quota left."""
    if "insufficient_quota" in (error.code, error.type):
        return RemoteRefused(f"{settings.model}: the account has no quota left: {said}")
    wait = retry_after(error.response.headers, now=now)
    if wait is None and status == 503:
        return ExpertFailed(f"{settings.model} is not available (503): {said}")
    return ExpertOverloaded(settings.model, 1.0 if wait is None else wait)


def _message(body: object) -> str | None:
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, Mapping) else inner
        return said if isinstance(said, str) else None
    return None


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or a date."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1_000)
        said = headers.get("retry-after")
        if said is None:
            return None
        if said.strip().replace(".", "", 1).isdigit():
            return float(said)
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - now)
    except ValueError:
        return None


__all__ = [
    "ChatClient",
    "Message",
    "Piece",
    "RemoteRefused",
    "Reply",
    "UnsupportedForm",
    "as_expert_error",
    "retry_after",
]
