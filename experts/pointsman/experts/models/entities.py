"""text.entities: what a document names, with normal forms, counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.models import names, patterns
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.inputs import Texts, documents_in
from pointsman.experts.models.names import NameReader
from pointsman.experts.models.retrieval import ModelExpert
from pointsman.experts.tables import stored
from pointsman.experts.tools.functions import capability
from pointsman.router.catalog import Prior
from pointsman.router.values import TABLE, ColumnType, Json, Table

EntityType = Literal[
    "person",
    "organization",
    "location",
    "product",
    "date",
    "time",
    "money",
    "percent",
    "quantity",
    "email",
    "phone",
    "url",
]
WRITTEN: frozenset[str] = frozenset(EntityType.__args__) - frozenset(names.KINDS)  # type: ignore[attr-defined]
"""Types that have a form of their own; the others are names."""
ALWAYS = (
    "person",
    "organization",
    "location",
    "date",
    "time",
    "money",
    "percent",
    "email",
    "phone",
    "url",
)
AROUND = 40
"""Characters of context on either side."""
COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("type", "text"),
    ("value", "text"),
    ("normalized", "text"),
    ("count", "integer"),
    ("file", "text"),
    ("context", "text"),
)


@dataclass(slots=True)
class Found:
    """One entity over all its mentions."""

    type: str
    value: str
    normalized: str | None
    file: str | None
    context: str
    count: int = 1
    order: tuple[int, int] = field(default=(0, 0))


def entities_expert(encoder: Encoder) -> Expert:
    reader = NameReader(encoder)

    @capability(
        "text.entities",
        title="find names, dates and amounts",
        examples=(
            "the dates, amounts and names in contract.txt",
            "pull out all people and companies",
            "which people are mentioned in the minutes",
            "extract e-mail addresses and phone numbers",
            "list the places named in the article",
            "what sums of money appear in the invoice",
            "find every date in this document",
            "who is mentioned in the letter",
            "get all names, organizations and locations",
            "extract the entities",
            "list all links in the page",
            "which companies occur in these notes",
        ),
        composition=(
            "text.read goes before it, for files",
            "table.filter or table.sort may follow",
        ),
        prior=Prior(quality=0.75, latency=0.15),
        output={**TABLE, "x-columns": [{"name": n, "type": t} for n, t in COLUMNS]},
    )
    async def find(
        call: Call, texts: Texts, types: list[EntityType] | None = None, column: str | None = None
    ) -> Done:
        """Finds people, organizations, places, products, dates, times, amounts of money, percentages,
        quantities, e-mail addresses, phone numbers and links in texts, each once, with how often it occurs.

        Args:
            texts: the texts.
            types: the types wanted; all but products and quantities when not given.
            column: the column to read, for a table.
        """
        wanted = frozenset(types or ALWAYS)
        documents = await documents_in(texts, column, call)
        found = await _all(reader, documents, wanted, call)
        rows: list[list[Json]] = [
            [f.type, f.value, f.normalized, f.count, f.file, f.context] for f in found
        ]
        table = Table.of(COLUMNS, rows)
        counts: dict[str, int] = {}
        for one in found:
            counts[one.type] = counts.get(one.type, 0) + 1
        note = ", ".join(f"{n} {t}" for t, n in counts.items()) or "nothing of the kind was found"
        return Done(
            stored(table, call.files).to_json(), f"{note}; names are judged by their wording"
        )

    return ModelExpert(
        "minilm-entities",
        "patterns, and names judged by their words and all-MiniLM-L6-v2 vectors",
        find,
    )


async def _all(
    reader: NameReader,
    documents: Sequence[tuple[str | None, str]],
    wanted: frozenset[str],
    call: Call,
) -> list[Found]:
    named = bool(wanted - WRITTEN)
    bodies = [text for _, text in documents]
    whose = await reader.names(bodies, deadline=call.deadline) if named else [[] for _ in bodies]
    found: dict[tuple[str, str, str | None], Found] = {}
    for place, ((file, text), own) in enumerate(zip(documents, whose, strict=True)):
        written = patterns.mentions_in(text, sorted(WRITTEN))
        taken = bytearray(len(text))
        for mention in written:
            taken[mention.start : mention.end] = b"\1" * (mention.end - mention.start)
        every = [
            (m.type, m.start, m.end, m.value, m.normalized) for m in written if m.type in wanted
        ]
        every += [
            (n.kind, n.start, n.end, n.value, None)
            for n in own
            if n.kind in wanted and not any(taken[n.start : n.end])
        ]
        for kind, start, end, value, normalized in every:
            key = (kind, (normalized or value).casefold(), file)
            if key in found:
                found[key].count += 1
                continue
            context = " ".join(text[max(0, start - AROUND) : end + AROUND].split())
            found[key] = Found(kind, value, normalized, file, context, order=(place, start))
    return sorted(found.values(), key=lambda f: f.order)
