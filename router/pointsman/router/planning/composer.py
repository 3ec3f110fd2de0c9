"""From clauses to tasks: what each clause works on, what it asks for, and how it is linked.

A clause is tried as a calculation, a conversion, a question about dates; then, over a table, as a question
about the table; then as a wish about texts; then as any capability of the catalog, by retrieval. The first
that explains it is taken; what nothing explains is not guessed at. The ways are in `composing/`.
"""

import re
from collections.abc import Sequence

from pointsman.router.planning import wishes
from pointsman.router.planning.base import Considered, Embedder, Request
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.anything import (
    LOOKED_AT,
    by_retrieval,
    foreign,
    likeness,
)
from pointsman.router.planning.composing.composition import (
    FITS,
    Composition,
    Understood,
    reworded,
)
from pointsman.router.planning.composing.exact import exactly
from pointsman.router.planning.composing.over_tables import over_table
from pointsman.router.planning.composing.over_texts import over_texts
from pointsman.router.planning.composing.sources import Sources
from pointsman.router.planning.cues import built_in
from pointsman.router.planning.draft import Draft, Value
from pointsman.router.planning.learned.chooser import SetChooser
from pointsman.router.planning.mentions import Mentions
from pointsman.router.planning.retrieval import Hit, Retrieval
from pointsman.router.planning.texts import is_text_capability

LOOKED_THROUGH = frozenset(("text.answer", "text.search", "text.filter"))
"""What looks through texts that somebody has, not through the words of the request."""
OWN = 0.15
"""What a cue counts for one of our own capabilities, beside a capability that has none."""
NEAREST = 250
"""Hits that a clause is read by."""
NEARER = 0.2
"""How much nearer a capability without cues must be where there is a file to ask."""
FETCHES = re.compile(r"\s*(?:fetch|get|download|open|read|load|retrieve|show)", re.IGNORECASE)


class Composer:
    """Drafts the tasks of one request, clause by clause."""

    def __init__(
        self,
        request: Request,
        mentions: Mentions,
        draft: Draft,
        retrieval: Retrieval,
        embedder: Embedder,
        chooser: SetChooser,
    ) -> None:
        self.draft = draft
        self.considered: list[Considered] = []
        self.hits: list[Hit] = []
        self._work = Composition(request, mentions, draft, embedder)
        self._retrieval = retrieval
        self._chooser = chooser
        self._mixed = not all(built_in(c.name) for c in draft.catalog)
        self.sources = Sources(self._work)

    async def clause(self, clause: Clause, focus: Value | None) -> Understood:
        """Adds the tasks of a clause. `focus`: the value that came last, which "those" would mean."""
        self.hits = []
        saved = wishes.saving(clause.text)
        if saved is None or not self.draft.can("table.export"):
            return await self._one(clause, focus)
        rest = reworded(clause, wishes.without_saving(clause.text))
        if re.search(r"\w{3}", self._work.bare(rest.core)):
            return self._saved(await self._one(rest, focus), saved)
        self._work.number += 1
        source = await self.sources.of(clause, focus, self.sources.files(clause))
        return self._saved(
            Understood(source, 0.95, "there is nothing to save yet", way="exact"), saved
        )

    def _saved(self, found: Understood, form: str) -> Understood:
        value = found.value
        if value is None or "table" not in value.kinds or value.maker == "table.export":
            return found
        arguments = {"table": value.argument, "format": form}
        made = self._work.add("table.export", arguments, f"save as {form.upper()}", value)
        return Understood(made, found.score, way=found.way, share=found.share)

    async def _one(self, clause: Clause, focus: Value | None) -> Understood:
        self._work.number += 1
        self.hits = []
        text = clause.core
        exact = exactly(self._work, text, focus)
        if exact is not None:
            return exact
        page = self.sources.page(clause)
        hits = self.hits = await self._retrieval.top(text, self.draft.catalog, NEAREST)
        self._consider(text, hits)
        if page is not None and hits and hits[0].capability.name == "http.get":
            return Understood(page, 0.9, way="exact")
        files = self.sources.files(clause)
        if files and self.sources.only_says_where(text):
            return Understood(self.sources.read(files), 0.9, way="exact")
        source = await self.sources.of(clause, focus, files, page, hits)
        found = await self._served(clause, source, hits)
        whole = self.sources.whole(source)
        if whole is not None and (found is None or found.value is None):
            found = await self._served(clause, whole, hits) or found
        if found is not None:
            return found
        if page is not None and FETCHES.match(text):
            return Understood(page, 0.9, way="exact")
        inside = self.sources.inside(clause) if source is None else None
        if inside is not None and hits and _takes_text(hits[0]):
            rest, value = inside
            found = await self._served(rest, value, hits)
            if found is not None and found.value is not None:
                return found
        return self._not_understood(text, source, hits[0] if hits else None)

    async def _served(
        self, clause: Clause, source: Value | None, hits: Sequence[Hit]
    ) -> Understood | None:
        """By the first way that explains the clause."""
        found = None
        if self._is_others(clause, source, hits):
            found = await self._foreign(clause, source, hits)
            if found is not None and found.value is not None:
                return found
        asked = found
        found = None
        if source is not None and source.table is not None and not source.documents:
            found = await over_table(self._work, clause, source, hits)
        if found is None and source is not None and source.has_texts and hits:
            found = over_texts(self._work, clause, source, hits)
        if found is None:
            found = asked or await by_retrieval(self._work, clause, source, hits)
        if found is None or found.value is None:
            other = await self._foreign(clause, source, hits)
            found = other or found
        return found

    async def _foreign(
        self, clause: Clause, source: Value | None, hits: Sequence[Hit]
    ) -> Understood | None:
        """A capability without cues of ours; the learned set head says which are likely."""
        if not self._mixed:
            return None
        choice = await self._chooser.weigh(clause.core, self.draft.catalog)
        likely = {c.capability.name: c.probability for c in (*choice.chosen, *choice.others)}
        return await foreign(self._work, clause, source, hits, likely)

    def _is_others(self, clause: Clause, source: Value | None, hits: Sequence[Hit]) -> bool:
        """Whether a clause is clearly nearer to a capability without cues than to one of our own."""
        liked = [
            (likeness(h, clause.core), built_in(h.capability.name), h) for h in hits[:LOOKED_AT]
        ]
        own = max((s + OWN * h.cue for s, mine, h in liked if mine), default=0.0)
        others = max((s for s, mine, _ in liked if not mine), default=0.0)
        return others > own + (0.0 if source is None else NEARER)

    def said_by_tasks(self) -> str:
        """Everything that the tasks of the draft say: titles and arguments."""
        said = (f"{t.title} {t.arguments}" for t in self.draft.tasks)
        return " ".join(said)

    def likeness_of(self, found: Understood, text: str) -> float:
        """Of the clause to the capability that it came to; 1 where words were read exactly."""
        if found.value is None or not self.hits:
            return 1.0
        own = next((h for h in self.hits if h.capability.name == found.value.maker), self.hits[0])
        return likeness(own, text)

    def _consider(self, text: str, hits: Sequence[Hit]) -> None:
        for hit in hits[:3]:
            self.considered.append(
                Considered(hit.capability.name, round(hit.score, 3), {"clause": text[:120]})
            )

    def _not_understood(self, text: str, source: Value | None, best: Hit | None) -> Understood:
        near = best is not None and best.score >= FITS
        if source is None and best is not None and near and not self._work.request.files:
            return Understood(
                None,
                0.0,
                f"{best.capability.title} needs something to work on, and no file was given",
                "Which file, or which text, should I use?",
            )
        why = f"nothing I have does {text.strip(' .?!')[:150]!r}"
        if source is not None and source.table is not None and not source.documents:
            names = ", ".join(c.name for c in source.table.columns[:30])
            why += f"; {source.table.name} has the columns {names}"
        return Understood(None, 0.0, why)


def _takes_text(hit: Hit) -> bool:
    """Whether a capability does something with a text that may stand in the request itself."""
    name = hit.capability.name
    return hit.score >= FITS and is_text_capability(name) and name not in LOOKED_THROUGH
