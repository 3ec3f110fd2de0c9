"""Words that no form explains, linked to columns and values by meaning."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL
from pointsman.router.planning.tables.links import Link, Links, ValueLink
from pointsman.router.planning.tables.marks import Marks
from pointsman.router.planning.tables.words import concepts_of, split_name

COLUMN_FLOOR = 0.55
VALUE_FLOOR = 0.68
MARGIN = 0.04
"""How much nearer the best must be than the second to be taken."""
MAX_VALUES = 200
_CACHED = 8_192

_vectors: "WeakKeyDictionary[Embedder, OrderedDict[str, Vectors]]" = WeakKeyDictionary()


async def link_by_meaning(marks: Marks, links: Links, embedder: Embedder) -> Marks:
    """Turns unexplained words into columns or values where the nearest in meaning is near and alone."""
    unknown = [
        i
        for i, m in enumerate(marks.items)
        if m.kind == "word" and len(m.word) > 2 and m.word.isalpha()
    ]
    if not unknown:
        return marks
    columns = [c for c in links.table.columns if not links.is_identifier(c)]
    values = _short_values(links)
    names = [" ".join(split_name(c.name)) for c in columns]
    said = [v.value.lower() if isinstance(v.value, str) else "" for v in values]
    words = [marks.items[i].word for i in unknown]
    known = await vectors_of(embedder, [*words, *names, *said])
    asked, rest = known[: len(words)], known[len(words) :]
    near = asked @ rest.T
    items = list(marks.items)
    for row, i in enumerate(unknown):
        by_column, by_value = near[row, : len(columns)], near[row, len(columns) :]
        value, column = _best(by_value, VALUE_FLOOR), _best(by_column, COLUMN_FLOOR)
        if value is not None and (column is None or by_value[value] > by_column[column]):
            found = ValueLink(values[value].column, values[value].value, float(by_value[value]))
            items[i] = replace(items[i], kind="value", values=(found,), certainty=found.certainty)
        elif column is not None and not _other_concept(words[row], names[column]):
            link = Link(columns[column], float(by_column[column]))
            items[i] = replace(items[i], kind="column", links=(link,), certainty=link.certainty)
    marks.items[:] = items
    return marks


def _other_concept(word: str, name: str) -> bool:
    """ "profit" is near "amount" in meaning and yet not it: words of different known concepts never link."""
    own = concepts_of(word)
    return bool(own) and not any(own & concepts_of(part) for part in name.split())


def _short_values(links: Links) -> list[ValueLink]:
    found = [
        ValueLink(c, v, 0.0)
        for c in links.table.columns
        if c.type not in NUMERIC | TEMPORAL
        and c.name in links.table.complete
        and not links.table.truth_values(c)
        for v in links.table.values(c.name)
        if isinstance(v, str) and len(v) <= 30 and len(links.table.values(c.name)) <= 30
    ]
    return found[:MAX_VALUES]


def _best(scores: Vectors, floor: float) -> int | None:
    if not scores.size:
        return None
    best = int(scores.argmax())
    second = float(np.partition(scores, -2)[-2]) if scores.size > 1 else -1.0
    return best if scores[best] >= floor and scores[best] - second >= MARGIN else None


async def vectors_of(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """Vectors of short texts, [len(texts), dim] float32; each text is embedded once per embedder."""
    cache = _vectors.setdefault(embedder, OrderedDict())
    new = [t for t in dict.fromkeys(texts) if t not in cache]
    if new:
        for text, vector in zip(new, await embedder.embed(new), strict=True):
            cache[text] = vector
    found = np.stack([cache[t] for t in texts])
    while len(cache) > _CACHED:
        cache.popitem(last=False)
    return found
