"""Search by meaning and by words: passages of documents, or rows of a table.

Relevance = 0.7 * cosine of the sentence vectors + 0.3 * BM25 as a share of the best score the query could
have (Robertson and Zaragoza 2009; Lucene's variant, so every term adds at most its idf). A hit needs a
cosine over FLOOR, or most of the query's rarer words and a cosine that does not speak against it.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.inputs import (
    Texts,
    documents_in,
    is_documents,
    kept,
    rows_in,
    vectors_of,
)
from pointsman.experts.models.sentences import passages_of
from pointsman.experts.models.words import content_stems
from pointsman.experts.tables import with_columns
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Table

FLOOR = 0.3
"""Cosine that a hit needs among ten texts; the best of more texts is nearer by chance, see `floor`."""
LEXICAL_FLOOR = 0.6
COSINE_WITH_WORDS = 0.12
_MEANING, _WORDS = 0.7, 0.3


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece that is scored: a passage of document or row `source`, at text[start:end]."""

    source: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """Per unit: cosine, share of the query's words, both fused, and whether it is relevant at all."""

    cosine: Vectors
    lexical: Vectors
    fused: Vectors
    relevant: "np.typing.NDArray[np.bool_]"


def units_of(texts: Sequence[str]) -> list[Unit]:
    """Passages of about three sentences, each sharing one with its neighbour."""
    return [
        Unit(n, p.start, p.end, p.text)
        for n, text in enumerate(texts)
        for p in passages_of(text, size=3, overlap=1)
    ]


def relevance(
    query: str, query_vector: Vectors, texts: Sequence[str], vectors: Vectors
) -> Relevance:
    """Scores of the texts for a query. query_vector [384], vectors [n, 384], both of unit length."""
    cosine = (vectors @ query_vector).astype(np.float32)
    lexical = word_share(query, texts)
    fused = np.clip(_MEANING * cosine + _WORDS * lexical, 0, 1).astype(np.float32)
    by_words = (lexical >= LEXICAL_FLOOR) & (cosine >= COSINE_WITH_WORDS)
    return Relevance(cosine, lexical, fused, (cosine >= floor(len(texts))) | by_words)


def floor(count: int) -> float:
    """The cosine that a hit needs among `count` texts."""
    return FLOOR + 0.02 * math.log10(max(count, 1))


def word_share(query: str, texts: Sequence[str]) -> Vectors:
    """BM25 of each text over the sum of the query terms' idf: [n] float32 in 0..1."""
    corpus = [content_stems(t) for t in texts]
    wanted = list(dict.fromkeys(content_stems(query)))
    present = Counter(term for tokens in corpus for term in set(tokens))
    known = [term for term in wanted if present[term]]
    if not known:
        return np.zeros(len(texts), np.float32)
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.4)
    index.index(corpus, show_progress=False)
    scores = np.asarray(index.get_scores(known), np.float32)
    count = len(texts)
    best = sum(math.log(1 + (count - present[t] + 0.5) / (present[t] + 0.5)) for t in wanted)
    share: Vectors = np.clip(scores * 2.2 / 1.2 / best, 0, 1).astype(np.float32)
    return share


def best_units(units: Sequence[Unit], found: Relevance, limit: int) -> list[int]:
    """Indexes of the relevant units, best first, none overlapping a better one of the same source."""
    chosen: list[int] = []
    for n in np.argsort(-found.fused, kind="stable"):
        if len(chosen) == limit:
            break
        unit = units[n]
        overlaps = any(
            units[c].source == unit.source
            and units[c].start < unit.end
            and unit.start < units[c].end
            for c in chosen
        )
        if found.relevant[n] and not overlaps:
            chosen.append(int(n))
    return chosen


def search_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.search",
        title="search by meaning",
        examples=[
            "find what the documents say about parental leave",
            "search these notes for anything about the budget",
            "which passages mention how to reset the device",
            "look for reviews that talk about shipping damage",
            "where in the folder is the refund policy explained",
            "find the 10 most relevant tickets for login problems",
            "what do my files say about security",
            "search the manual for battery replacement",
            "show me the rows closest in meaning to 'screen flickers'",
            "is there anything in the text about late fees",
        ],
        composition=[
            "After text.read for files, or table.read for a table; hits feed text.summarize or text.answer."
        ],
        prior=Prior(quality=0.88, latency=0.6),
        output={**TABLE, "x-adds": [{"name": "score", "type": "number"}]},
    )
    async def search(
        texts: Texts, query: str, limit: int = 5, column: str | None = None, *, call: Call
    ) -> Done:
        """Finds the passages of documents, or the rows of a table, that are about what the query says.

        Args:
            texts: where to search: documents, a table with a text column, or a list of texts.
            query: what to look for, in words.
            limit: how many hits at most.
            column: the column to search in; by default the one that holds prose.
        """
        if not query.strip():
            raise BadArguments("text.search: the query is empty; say what to look for")
        if limit < 1:
            raise BadArguments(f"text.search: limit must be at least 1, not {limit}")
        if is_documents(texts) and column is None:
            return await _in_documents(encoder, texts, query, limit, call)
        return await _in_rows(encoder, texts, query, limit, column, call)

    return search


async def _score(encoder: Encoder, query: str, units: Sequence[Unit], call: Call) -> Relevance:
    passages = [u.text for u in units]
    vectors = await vectors_of(encoder, passages, call, "passages")
    asked = await encoder.embed([query], deadline=call.deadline)
    return await asyncio.to_thread(relevance, query, asked[0], passages, vectors)


async def _in_documents(encoder: Encoder, texts: Any, query: str, limit: int, call: Call) -> Done:
    documents = await documents_in(texts, None, call)
    units = await asyncio.to_thread(units_of, [text for _, text in documents])
    found = await _score(encoder, query, units, call)
    hits = best_units(units, found, limit)
    rows = [
        [round(float(found.fused[n]), 3), documents[units[n].source][0], units[n].text]
        for n in hits
    ]
    table = Table.of([("score", "number"), ("file", "text"), ("text", "text")], rows)
    return _done(table, found, f"{len(units):,} passages of {len(documents):,} texts", query)


async def _in_rows(
    encoder: Encoder, texts: Any, query: str, limit: int, column: str | None, call: Call
) -> Done:
    rows, table = await rows_in(texts, column, call)
    units = await asyncio.to_thread(units_of, rows)
    found = await _score(encoder, query, units, call)
    best: dict[int, float] = {}
    for n in np.argsort(-found.fused, kind="stable"):
        if found.relevant[n] and len(best) < limit:
            best.setdefault(units[n].source, round(float(found.fused[n]), 3))
    picked = tuple(table.rows[row] for row in best)
    chosen = Table(table.columns, picked, len(picked), table.name)
    result = with_columns(chosen, [("score", "number")], [[s] for s in best.values()])
    done = _done(result, found, f"{len(rows):,} rows", query)
    return Done(await kept(result, call), done.note, done.confidence)


def _done(table: Table, found: Relevance, where: str, query: str) -> Done:
    if table.row_count:
        top = float(found.fused.max())
        return Done(
            table.to_json(), f"{table.row_count} hits in {where}", round(min(1.0, top + 0.3), 2)
        )
    nearest = float(found.cosine.max()) if len(found.cosine) else 0.0
    return Done(
        table.to_json(),
        f"nothing in {where} is about {query!r} (nearest similarity {nearest:.2f}, {floor(len(found.cosine)):.2f} is needed)",
    )
