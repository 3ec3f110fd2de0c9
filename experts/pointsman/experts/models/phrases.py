"""Key phrases: the noun phrases that say what a text is about.

Candidates by word rules; score = closeness to the text's mean vector and frequency; chosen one after the
other by maximal marginal relevance (Carbonell and Goldstein 1998, as in EmbedRank, arXiv 1801.04470).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.inputs import Texts, documents_in, vectors_of
from pointsman.experts.models.sentences import split_sentences
from pointsman.experts.models.words import phrases_in, stem
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Json, Table

CANDIDATES = 200
_NOVELTY = 0.45


def counted_phrases(texts: Sequence[str]) -> Counter[str]:
    """How often each phrase occurs, under its most frequent spelling (singular and plural are one)."""
    spelled: Counter[str] = Counter(p for text in texts for p in phrases_in(text))
    forms: dict[str, Counter[str]] = {}
    for phrase, count in spelled.items():
        forms.setdefault(phrase_key(phrase), Counter())[phrase] = count
    return Counter({f.most_common(1)[0][0]: f.total() for f in forms.values()})


def phrase_key(phrase: str) -> str:
    return " ".join(stem(w) for w in phrase.split())


def without_parts(counts: Counter[str]) -> Counter[str]:
    """Drops a phrase that occurs (nearly) only inside one longer phrase."""
    covered: Counter[str] = Counter()
    for phrase, count in counts.items():
        words = phrase.split()
        inner = {
            " ".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1)
        }
        for part in inner - {phrase}:
            covered[part] = max(covered[part], count)
    return Counter({p: c for p, c in counts.items() if c > 1.3 * covered[p]})


def chosen(
    phrases: Sequence[str], counts: Counter[str], vectors: Vectors, centre: Vectors, limit: int
) -> list[tuple[str, float]]:
    """Phrases with scores, best first, each unlike those before. vectors [n, 384], centre [384]."""
    top = math.log1p(max((counts[p] for p in phrases), default=1))
    weight = np.array([math.log1p(counts[p]) / top + 0.12 * p.count(" ") for p in phrases])
    score = 0.6 * (vectors @ centre) + 0.4 * weight
    left = list(range(len(phrases)))
    picked: list[int] = []
    while left and len(picked) < limit:
        nearest = (vectors[left] @ vectors[picked].T).max(axis=1) if picked else np.zeros(len(left))
        best = left[int(np.argmax(score[left] - _NOVELTY * np.maximum(nearest - 0.35, 0)))]
        picked.append(best)
        stems = set(phrase_key(phrases[best]).split())
        left = [n for n in left if n != best and not _same(stems, phrases[n])]
    return [(phrases[n], round(float(min(1, max(0, score[n]))), 3)) for n in picked]


def _same(stems: set[str], phrase: str) -> bool:
    other = set(phrase_key(phrase).split())
    return other <= stems or stems <= other


def key_phrases_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.key_phrases",
        title="extract key phrases",
        examples=[
            "what are the key phrases in this article",
            "extract the 15 most important terms",
            "give me keywords for this text",
            "which terms come up most in the reviews",
            "tags for this document",
            "list the main concepts in the report",
            "pull out the important phrases from the feedback column",
            "what words describe this text best",
        ],
        composition=["After text.read, table.read or text.filter."],
        prior=Prior(quality=0.82, latency=0.5),
        output={
            **TABLE,
            "x-columns": [
                {"name": "phrase", "type": "text"},
                {"name": "score", "type": "number"},
                {"name": "count", "type": "integer"},
            ],
        },
    )
    async def key_phrases(
        texts: Texts, limit: int = 10, column: str | None = None, *, call: Call
    ) -> Done:
        """Extracts the phrases that say what the texts are about, with how often each occurs.

        Args:
            texts: a text, documents, a list of texts, or a table with a text column.
            limit: how many phrases at most.
            column: the column to read; by default the one that holds prose.
        """
        if limit < 1:
            raise BadArguments(f"text.key_phrases: limit must be at least 1, not {limit}")
        documents = [text for _, text in await documents_in(texts, column, call)]
        counts = await asyncio.to_thread(lambda: without_parts(counted_phrases(documents)))
        ranked = sorted(counts, key=lambda p: -counts[p] * (1 + p.count(" ")))[:CANDIDATES]
        sentences = [s for text in documents for s in split_sentences(text)]
        sample = sentences[:: max(1, len(sentences) // 500)]
        vectors = await vectors_of(encoder, sample, call, "sentences", upto=0.6)
        centre = vectors.mean(axis=0)
        centre /= max(float(np.linalg.norm(centre)), 1e-9)
        named = await encoder.embed(ranked, deadline=call.deadline)
        found = chosen(ranked, counts, named, centre, limit) if ranked else []
        rows: list[list[Json]] = [[phrase, score, counts[phrase]] for phrase, score in found]
        table = Table.of([("phrase", "text"), ("score", "number"), ("count", "integer")], rows)
        note = f"{len(rows)} of {len(counts):,} phrases" if rows else "no phrase stands out"
        return Done(table.to_json(), note)

    return key_phrases
