"""What a clause works on: files that it names or means, a page, a text written into it, what came before."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pointsman.router.planning import wishes
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import SURE, Composition, goes_on, reworded
from pointsman.router.planning.draft import Part, Value, context_of, prose_column
from pointsman.router.planning.mentions import meant_by_kind
from pointsman.router.planning.retrieval import Hit
from pointsman.router.planning.tables.context import TableContext
from pointsman.router.planning.tables.question import understand
from pointsman.router.values import Column, FileProfile

ABOUT_DOCUMENTS = frozenset(
    ("text.answer", "text.search", "text.summarize", "text.entities", "text.count", "text.find")
)
"""What is asked of documents rather than of tables."""
OF_THE_WHOLE = ABOUT_DOCUMENTS - {"text.search"} | frozenset(
    (
        "text.word_frequency",
        "text.replace",
        "text.change_case",
        "text.sort_lines",
        "text.key_phrases",
    )
)
"""What takes a list, an item a line, as one text."""
PART = re.compile(
    r"\b(?:each|every|per|by|which|what|all(?: the)?|the|of|these|those)\s+(?:single\s+)?(?P<part>line|sentence|paragraph)s?\b"
    r"|\b(?P<again>line|sentence|paragraph) (?:by|for) (?P=again)\b",
    re.IGNORECASE,
)
LEAD_WORDS = re.compile(
    r"\b(?:from|in|for|using|with|about|regarding|on|based|given|according|to|the|this|my|file|attached|see|here|is|are)\b",
    re.IGNORECASE,
)


class Sources:
    """Finds the value that a clause is about; remembers the files that were named last."""

    def __init__(self, composition: Composition) -> None:
        self._work = composition
        self._named: tuple[FileProfile, ...] = ()

    def files(self, clause: Clause) -> tuple[FileProfile, ...]:
        """Files that a clause names, or means by their kind; they count as named from then on."""
        mentions, request = self._work.mentions, self._work.request
        named = [f for m in mentions.files if clause.start <= m.start < clause.end for f in m.files]
        once = {f.ref.id: f for f in named}
        found = tuple(once.values()) or meant_by_kind(clause.text, request.files)
        self._named = found or self._named
        return found

    def only_says_where(self, text: str) -> bool:
        """ "In sales.csv:" says where, and no more."""
        return not re.search(r"\w{3}", LEAD_WORDS.sub("", self._work.bare(text)))

    def page(self, clause: Clause) -> Value | None:
        for url in self._work.mentions.urls:
            if clause.start <= url.start < clause.end and self._work.can("http.get"):
                made = self._work.add("http.get", {"url": url.text}, f"fetch {url.text[:60]}")
                return replace(made, documents=True)
        return None

    async def of(
        self,
        clause: Clause,
        focus: Value | None,
        files: Sequence[FileProfile],
        page: Value | None = None,
        hits: Sequence[Hit] = (),
    ) -> Value | None:
        """The value that a clause is about. `files`: those it names."""
        if page is not None:
            return page
        if files:
            same = focus is not None and focus.label == _label(files)
            if not (same and clause.refers_back):
                return self.read(files, part_of(clause, files, hits))
        if focus is not None and goes_on(clause):
            return focus
        written = self._written()
        if written is not None:
            return written
        taken = self._named
        if not taken and self._work.request.files:
            taken = await self._default_files(clause, hits)
        return self.read(taken, part_of(clause, taken, hits)) if taken else focus

    def _written(self) -> Value | None:
        """A list or a text that stands in the request itself."""
        mentions = self._work.mentions
        if mentions.items:
            table = TableContext("the list", (Column("text", "text"),))
            return Value(list(mentions.items), frozenset({"list"}), table)
        if mentions.body:
            return Value(mentions.body, frozenset({"text"}), documents=True)
        return None

    def inside(self, clause: Clause) -> tuple[Clause, Value] | None:
        """The longest phrase in quotes, or what follows a colon, as the text; and the clause without it."""
        quotes = [q for q in self._work.mentions.quotes if clause.start <= q.start < clause.end]
        lead, colon, after = clause.text.partition(": ")
        if quotes:
            longest = max(quotes, key=lambda q: len(q.text))
            start, end = longest.start - clause.start, longest.end - clause.start
            said, text = clause.text[:start] + clause.text[end:], longest.text
        elif colon and after.strip():
            said, text = lead, after.strip()
        else:
            return None
        value = Value(text, frozenset({"text"}))
        return reworded(clause, said.strip(" :,")), value

    async def _default_files(self, clause: Clause, hits: Sequence[Hit]) -> tuple[FileProfile, ...]:
        """Without a name: the only file, or the table that the clause fits best, or all texts together."""
        files = self._work.request.files
        tables = [f for f in files if f.shape == "table"]
        others = tuple(f for f in files if f.shape != "table")
        if len(files) == 1 or not tables:
            return files
        scores = [await self._fit(clause, f) for f in tables]
        best = max(range(len(tables)), key=lambda i: scores[i])
        if others and scores[best] < SURE and hits and hits[0].capability.name in ABOUT_DOCUMENTS:
            return others
        taken = f"no file was named, so {tables[best].ref.name} was taken"
        self._work.draft.assumptions.append(taken)
        return (tables[best],)

    async def _fit(self, clause: Clause, file: FileProfile) -> float:
        """How well a clause is understood as a question about a table."""
        table = context_of(file)
        now, embedder = self._work.request.now, self._work.embedder
        question = await understand(clause.core, table, now=now, embedder=embedder)
        if question is not None and question.steps and not question.missing:
            return question.score
        return 0.1 if prose_column(table) is not None else 0.0

    def whole(self, source: Value | None) -> Value | None:
        """The documents whose parts a value holds."""
        if source is None or not source.items or source.label is None:
            return None
        ids = source.label.split("|")
        return self.read([f for id in ids for f in self._work.request.files if f.ref.id == id])

    def read(self, files: Sequence[FileProfile], by: Part | None = None) -> Value | None:
        tables = [f for f in files if f.shape == "table"]
        if len(files) > 1 and tables and len(tables) == len(files):
            return self._joined(files)
        return replace(self._work.draft.read(files, self._work.number, by), label=_label(files))

    def _joined(self, files: Sequence[FileProfile]) -> Value | None:
        """Two tables with a column in common are joined; otherwise the first is taken, and that is said."""
        work = self._work
        left = work.draft.read(files[:1], work.number)
        right = work.draft.read(files[1:2], work.number)
        assert left.table is not None
        assert right.table is not None
        names = {c.name.casefold() for c in left.table.columns}
        shared = [c.name for c in right.table.columns if c.name.casefold() in names]
        if not shared or not work.can("table.join"):
            work.draft.assumptions.append(
                f"{files[0].ref.name} and {files[1].ref.name} have no column in common, so only "
                f"{files[0].ref.name} was used"
            )
            return replace(left, label=_label(files))
        made = work.add(
            "table.join",
            {"left": left.argument, "right": right.argument, "on": shared[0]},
            f"join {files[0].ref.name} and {files[1].ref.name} on {shared[0]}",
            left,
        )
        more = tuple(c for c in right.table.columns if c.name.casefold() not in names)
        table = replace(
            left.table,
            columns=(*left.table.columns, *more),
            samples={**right.table.samples, **left.table.samples},
            complete=(*left.table.complete, *right.table.complete),
        )
        return replace(made, table=table, label=_label(files))


def part_of(clause: Clause, files: Sequence[FileProfile], hits: Sequence[Hit]) -> Part | None:
    """Which parts of texts a clause is about; None when it is about whole documents, or a table."""
    if any(f.shape != "text" for f in files):
        return None
    of_these = wishes.OF_THESE.match(clause.core) is not None
    if hits and hits[0].capability.name in OF_THE_WHOLE and not of_these:
        return None
    said = PART.search(clause.text)
    if said is not None:
        part = (said["part"] or said["again"]).lower()
        return "line" if part == "line" else "sentence" if part == "sentence" else "paragraph"
    return "line" if len(files) == 1 and files[0].listed else None


def _label(files: Sequence[FileProfile]) -> str:
    return "|".join(f.ref.id for f in files)
