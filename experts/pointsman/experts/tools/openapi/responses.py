"""An answer becomes a value, or an error that says whose fault it is and whether another try may help."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from pointsman.experts.tools.openapi.capabilities import is_json
from pointsman.experts.tools.openapi.operations import Answer, Operation
from pointsman.experts.tools.openapi.requests import Validator, compiled, fault
from pointsman.experts.tools.openapi.schemas import Schema, Schemas
from pointsman.router.errors import ExpertError, ExpertFailed, ExpertTimeout

Check = Literal["note", "strict", "off"]
PASSING = (408, 425, 502, 503, 504)
COMPLAINT = 200
"""Characters that are told of what a service complains of."""
SAYS = ("message", "detail", "error_description", "error", "title", "status_message", "errors")


class CallRefused(ExpertError):
    """The service took the call for wrong, and says that it did nothing: the same call is refused again."""

    code = "expert.call-refused"
    retryable = False
    nothing_done = True


class AnswerUnfit(ExpertError):
    """The service answered with something else than its description promises. Whether it did anything is open."""

    code = "expert.answer-unfit"
    retryable = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read whole. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().casefold()

    def text(self) -> str:
        charset = self.headers.get("content-type", "").casefold().partition("charset=")[2]
        try:
            return self.content.decode(charset.strip(' "').partition(";")[0] or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Binary:
    """Content that is no value of a slot: it becomes a file."""

    media: str
    content: bytes


@dataclass
class Responses:
    """What one operation answers. Its schemas are compiled when the first answer comes."""

    operation: Operation
    schemas: Schemas
    check: Check = "note"
    _checked: dict[tuple[str, str], Validator | None] = field(default_factory=dict)

    def value(self, reply: Reply) -> tuple[Any, str]:
        """The value and a note; "" when all is as described.

        Raises CallRefused, ExpertTimeout, ExpertFailed, AnswerUnfit.
        """
        self._raise_for(reply)
        if reply.status in (204, 205) or not reply.content:
            return None, ""
        found = self._described(reply)
        if is_json(reply.media) or (not reply.media and reply.content[:1] in b"{["):
            return self._json(reply, found)
        declared = found is not None and _declares(found[1], reply.media)
        if found is not None and found[1].content and not declared:
            raise AnswerUnfit(f"{self.operation.key} answered with {reply.media!r}, which is not described")  # fmt: skip
        if reply.media.startswith("text/") or reply.media.endswith(("/xml", "+xml")):
            return reply.text(), ""
        return Binary(reply.media or "application/octet-stream", reply.content), ""

    def _json(self, reply: Reply, found: tuple[str, Answer] | None) -> tuple[Any, str]:
        try:
            value = json.loads(reply.content)
        except (ValueError, RecursionError):
            raise AnswerUnfit(f"{self.operation.key} answered with broken JSON") from None
        why = None if self.check == "off" else self._fault(value, reply.media, found)
        if why is None:
            return value, ""
        if self.check == "strict":
            raise AnswerUnfit(f"{self.operation.key} does not answer as described: {why}")
        return value, f"not quite as described: {why}"

    def _described(self, reply: Reply) -> tuple[str, Answer] | None:
        """What the description says of this status."""
        answers = self.operation.answers
        for status in (str(reply.status), f"{reply.status // 100}XX", "DEFAULT"):
            if status in answers:
                return status, answers[status]
        return None

    def _fault(self, value: Any, media: str, found: tuple[str, Answer] | None) -> str | None:
        if found is None:
            return None
        status, answer = found
        if (status, media) not in self._checked:
            schema = _for(answer, media)
            self._checked[status, media] = (
                None if schema is None else compiled(self.schemas.contained(schema, sent=False))
            )
        checker = self._checked[status, media]
        return None if checker is None else fault(checker, value)

    def _raise_for(self, reply: Reply) -> None:
        status, key = reply.status, self.operation.key
        if 200 <= status < 300:
            return
        said = complaint(reply)
        if 300 <= status < 400:
            raise CallRefused(f"{key} was sent elsewhere with {status}; correct its address")
        if status in (401, 403):
            raise CallRefused(f"{key} was refused with {status}{said}; check its credentials")
        if status in PASSING:
            raise passing(f"{key} answered {status}{said}")
        if status < 500:
            raise CallRefused(f"{key} answered {status}{said}")
        raise ExpertFailed(f"{key} answered {status}{said}")


def passing(message: str, wait: float = 0.0) -> ExpertTimeout:
    """A failure that may be over with the next try, on the same service; what was asked may have been done.

    wait: seconds until then.
    """
    error = ExpertTimeout("", 0.0)
    error.message, error.args, error.retry_after = message, (message,), wait
    return error


def _for(answer: Answer, media: str) -> Schema | None:
    for described, schema in answer.content.items():
        if described.partition(";")[0].strip().casefold() == media:
            return schema
    return next((s for m, s in answer.content.items() if is_json(m)), None)


def _declares(answer: Answer, media: str) -> bool:
    """Whether a media type is one of those described, by a range ("image/*") too."""
    kinds = [m.partition(";")[0].strip().casefold() for m in answer.content]
    return any(fnmatchcase(media, kind) for kind in kinds)


def complaint(reply: Reply) -> str:
    """What a service says is wrong, in a few words; "" when it says nothing."""
    if not is_json(reply.media):
        return ""
    try:
        said = json.loads(reply.content)
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, Mapping):
        said = next((said[k] for k in SAYS if said.get(k)), "")
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not line or line in ('""', "{}", "[]"):
        return ""
    return f": {line[:COMPLAINT]!r}"
