"""Where the values of a task come from: the user's words, or data that nobody vouches for.

A plan is made from the user's words and the catalog. Names and contents of files, earlier answers and what
failed before are data: a model reads them to fill a plan in, and text in them may try to give it orders. What
holds here whatever a model writes, because it is decided from the user's words alone and after the model:

- a capability with a `keyed` or `once` effect is offered only when the user's words ask for it, and a model can
  call only what it was offered;
- a value of a task with an effect outside (`idempotent`, `keyed`, `once`) that stands in data and not in the
  user's words is refused, and asked about; so is an address that a `keyed` or `once` call would go to and that
  nobody named;
- a `keyed` or `once` task of which no value comes from the user's words is asked about.

What cannot be held: tasks without an effect. A model that follows a planted order may read or compute the
wrong thing, and so give a wrong answer; it can reach nothing outside by it. References to results are taken as
the user's wish where the user named the file or a value of the call: "mail each customer in customers.csv"
sends to whatever addresses stand there. Calls that must be seen first belong under an approval.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from pointsman.router.catalog import Capability
from pointsman.router.errors import PlanError
from pointsman.router.plan import Item, Ref, Task, walk
from pointsman.router.planning.base import Request
from pointsman.router.planning.retrieval import stems
from pointsman.router.values import FileProfile, kind_of

OUTSIDE = ("idempotent", "keyed", "once")
LASTING = ("keyed", "once")
SHORTEST = 3
"""Characters; shorter values say nothing of where they come from."""
YES = re.compile(
    r"\W*(?:yes|yep|yeah|ok|okay|sure|go ahead|do it|please do|confirmed?|correct|right|ja|gern|oui|si|sí)\b.{0,40}",
    re.IGNORECASE | re.DOTALL,
)
"""A short answer that agrees to what was asked."""
QUESTION = re.compile(r"[^.!?\n]*(?:[.!?]\w[^.!?\n]*)*\?")
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
LONG_NUMBER = re.compile(r"\+?\d[\d ()/-]{6,}\d")
"""A telephone number, an account, a card."""
HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s\"'<>]+", re.IGNORECASE)


class ForeignValue(PlanError):
    """The plan uses a value that the user did not give: a file not sent along, an address from a file's text.

    question: what to ask the user, should every further plan say the same.
    """

    code = "plan.foreign-value"

    def __init__(self, task: str, why: str, question: str | None = None) -> None:
        self.task = task
        self.question = question
        super().__init__(f"task {task!r}: {why}")


@dataclass(frozen=True, slots=True)
class Sources:
    """words: everything that the user said, folded. data: everything else that a model was shown, folded.

    named: the user's words name a file, so that its contents are wanted. agreed: the user said yes to a
    question of ours, whose text then counts as the user's words.
    """

    words: str
    data: str
    named: bool = False
    agreed: bool = False

    @classmethod
    def of(cls, request: Request, more: Iterable[str] = ()) -> "Sources":
        """more: further data that the model is shown."""
        said = [request.text, *(t.request for t in request.history)]
        agreed = bool(request.history) and YES.fullmatch(request.text.strip()) is not None
        if agreed:
            said += QUESTION.findall(request.history[-1].answer)
        words = folded("\n".join(said))
        data = [file_text(request.files), *(t.answer for t in request.history), *more]
        names = (f.ref.name for f in request.files)
        return cls(words, folded("\n".join(data)), any(_is_named(n, words) for n in names), agreed)

    def wants(self, capability: Capability) -> bool:
        """Whether the user's words ask for what a capability does.

        They share a content word with its name or title, or two with one of its examples.
        """
        said = stems(self.words)
        name = capability.name.replace(".", " ").replace("_", " ")
        if said & stems(f"{name} {capability.title}"):
            return True
        return any(len(said & stems(example)) > 1 for example in capability.examples)

    def check(self, task: Task, capability: Capability) -> None:
        """Raises ForeignValue."""
        if capability.effect not in OUTSIDE:
            return
        lasting = capability.effect in LASTING
        given = list(_given(task))
        known = folded(json.dumps(capability.parameters, ensure_ascii=False, default=str))
        for value in given:
            for address in addresses(value):
                if address in self.words or (address not in self.data and not lasting):
                    continue
                stands = "in data, not in the request" if address in self.data else "nowhere"
                raise self._foreign(task, f"the address {address!r} stands {stands}", capability)
            if self._only_data(value, known, lasting):
                shown = value if isinstance(value, str) else repr(value)
                raise self._foreign(
                    task, f"the value {shown[:80]!r} stands in data, not in the request", capability
                )
        if lasting and not self._founded(task, given):
            raise self._foreign(task, "none of its values comes from the request", capability)

    def _only_data(self, value: Any, known: str, lasting: bool) -> bool:
        if isinstance(value, str):
            text = folded(value)
            long = len(text) >= SHORTEST
            return long and text in self.data and text not in self.words and text not in known
        if not lasting or isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(value, int) and abs(value) < 10:
            return False
        number = re.compile(rf"(?<![\d.]){re.escape(f'{value:g}')}(?![\d])")
        said, read = (re.sub(r"(?<=\d)[,'](?=\d{3})", "", t) for t in (self.words, self.data))
        return number.search(read) is not None and number.search(said) is None

    def _founded(self, task: Task, given: Sequence[Any]) -> bool:
        reads = any(isinstance(v, Ref | Item) for v in walk(task.arguments))
        if self.agreed or (reads and self.named) or not (reads or given):
            return True
        return any(
            (folded(v) in self.words or bool(stems(v) & stems(self.words)))
            if isinstance(v, str)
            else f"{v:g}" in self.words
            for v in given
            if not isinstance(v, bool)
        )

    def _foreign(self, task: Task, why: str, capability: Capability) -> ForeignValue:
        values = ", ".join(str(v)[:60] for v in _given(task)) or "values that come from results"
        does = capability.title or capability.name
        return ForeignValue(task.id, why, f"May I {does} ({capability.name}) with {values}?")


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


def file_text(files: Sequence[FileProfile]) -> str:
    """All text of files that a model is shown."""
    shown: list[str] = []
    for profile in files:
        shown += [profile.ref.name, profile.opening or "", *profile.sheets]
        shown += [c.name for c in profile.columns]
        for values in (profile.samples or {}).values():
            shown += [v if isinstance(v, str) else json.dumps(v) for v in values]
    return "\n".join(shown)


def addresses(value: Any) -> Iterator[str]:
    """What a text names that a call could go to, folded: hosts, mail addresses, long numbers."""
    if not isinstance(value, str):
        return
    for url in HOST.findall(value):
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = url
        if host:
            yield host.casefold()
    yield from (folded(m) for m in MAIL.findall(value))
    yield from (folded(n) for n in LONG_NUMBER.findall(value))


def _given(task: Task) -> Iterator[str | int | float]:
    """The literals of a task, also those that it loops over; files are not among them."""
    roots: list[Any] = [task.arguments]
    if task.for_each is not None and not isinstance(task.for_each.over, Ref):
        roots.append(task.for_each.over)
    while roots:
        value = roots.pop()
        if isinstance(value, str | int | float):
            yield value
        elif isinstance(value, Mapping) and kind_of(value) != "file":
            roots.extend(value.values())
        elif isinstance(value, list | tuple):
            roots.extend(value)


def _is_named(name: str, words: str) -> bool:
    stem = folded(PurePath(name).stem)
    return folded(name) in words or (
        len(stem) >= SHORTEST and re.search(rf"\b{re.escape(stem)}\b", words) is not None
    )


__all__ = ["LASTING", "ForeignValue", "Sources", "addresses", "file_text", "folded"]
