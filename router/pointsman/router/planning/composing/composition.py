"""What every way of serving a clause shares: the request, the draft, and the number of the clause."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pointsman.router.planning.base import Embedder, Request
from pointsman.router.planning.clauses import RANKED, Clause
from pointsman.router.planning.confidence import Way
from pointsman.router.planning.draft import Draft, Value
from pointsman.router.planning.mentions import Mentions

FITS = 0.5
"""Score at which a capability that was found by retrieval counts as what is asked for."""
SURE = 0.62
"""Score at which a question about a table counts as understood."""
FRAGMENT = re.compile(
    r"^(?:just |only |and )*(?:the )?(?:top|first|last|best|biggest|largest) (?:\d+|\w+)\W*(?:ones?|of them|please|pls|only)?\W*$",
    re.IGNORECASE,
)
"""Pieces of a request that say nothing without what came before: "top 5 please"."""
INDEPENDENT = re.compile(
    r"^(?:what|which|who|how|when|where|is|are|does|do|did|was|were)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Understood:
    """What one clause came to. `value` None: nothing serves it, `why` says so. `supersedes`: an earlier
    value that this one holds as well. way: how it was read ("exact", "table", "texts", "capability").
    share: of the clause's words, how many the reading accounts for, 0..1, where it is known. also: values that
    the clause asked for beside `value`.
    """

    value: Value | None
    score: float
    why: str = ""
    question: str | None = None
    supersedes: Value | None = None
    way: Way | Literal[""] = ""
    share: float = 1.0
    also: tuple[Value, ...] = ()


@dataclass(slots=True)
class Composition:
    """One request while it is composed. number: of the clause that is being read, from 0.

    asked: the last question about a table, what it was asked of, and what it gave.
    """

    request: Request
    mentions: Mentions
    draft: Draft
    embedder: Embedder
    number: int = -1
    asked: tuple[str, Value, Value] | None = None

    def add(
        self, name: str, arguments: Mapping[str, Any], title: str, source: Value | None = None
    ) -> Value:
        """A task of the present clause."""
        return self.draft.add(name, arguments, title, clause=self.number, source=source)

    def can(self, name: str) -> bool:
        return self.draft.can(name)

    def bare(self, text: str) -> str:
        """A text without names of files: they say where, not what."""
        for mention in self.mentions.files:
            written = self.request.text.strip()[mention.start : mention.end]
            if mention.exact and "." in written:
                name = re.escape(written)
                text = re.sub(
                    rf"\s*\b(?:(?:in|from|of|for|on|using|with|the file|file|table|dataset)\s+)*[\"'`]?{name}[\"'`]?(?:\s+file)?(?!\w)",
                    "",
                    text,
                    flags=re.IGNORECASE,
                )
        return text.strip(" ,:;-–")


def goes_on(clause: Clause) -> bool:
    """Whether a clause continues what came before it, rather than asking something of its own."""
    if clause.refers_back or clause.linked or FRAGMENT.match(clause.core):
        return True
    if RANKED.match(clause.core):
        return False
    return not (clause.opens_sentence or INDEPENDENT.match(clause.core))


def reworded(clause: Clause, text: str, *, refers_back: bool | None = None) -> Clause:
    """The clause with other words in the same place."""
    back = clause.refers_back if refers_back is None else refers_back
    return replace(clause, text=text, refers_back=back)
