"""Extractive summary: the most central sentences, unlike each other, in their own words and order.

Centrality is LexRank's (Erkan and Radev 2004, arXiv 1109.2128): the stationary distribution over the graph
of sentence similarities; the choice among central sentences is by maximal marginal relevance.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.inputs import Texts, documents_in, is_documents, vectors_of
from pointsman.experts.models.sentences import sentences_of
from pointsman.experts.models.words import words_of
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TEXT

GRAPH = 2_000
"""Sentences that centrality is computed over; of more, an even sample."""
_EDGE, _DAMPING, _STEPS = 0.2, 0.85, 30


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be chosen. lead: 1 for the first of a document, towards 0 for later ones."""

    text: str
    lead: float


def candidates_of(documents: Sequence[str], *, leads: bool) -> list[Candidate]:
    """Sentences with words enough to say something; headings and fragments only if there is nothing else."""
    everything: list[Candidate] = []
    for document in documents:
        sentences = sentences_of(document)
        for s in sentences:
            lead = 1 / (1 + s.number) if leads and len(sentences) > 3 else 0.0
            everything.append(Candidate(" ".join(s.text.split()), lead))
    full = [c for c in everything if _says_something(c.text)]
    return full or everything


def _says_something(sentence: str) -> bool:
    words = len(words_of(sentence))
    ends = sentence.rstrip("\"')\u201d\u2019").endswith((".", "!", "?", "\u2026"))
    return words >= 8 or (words >= 4 and ends)


def centrality(vectors: Vectors) -> Vectors:
    """LexRank of each sentence, highest 1: [n] float32. vectors: [n, 384] unit length."""
    cosine = vectors @ vectors.T
    weight: Vectors = np.where(cosine >= _EDGE, cosine, 0).astype(np.float32)
    weight /= weight.sum(axis=1, keepdims=True)
    rank: Vectors = np.full(len(vectors), 1 / len(vectors), np.float32)
    for _ in range(_STEPS):
        rank = ((1 - _DAMPING) / len(vectors) + _DAMPING * (rank @ weight)).astype(np.float32)
    top: Vectors = rank / rank.max()
    return top


def most_telling(candidates: Sequence[Candidate], vectors: Vectors, count: int) -> list[int]:
    """Indexes of the sentences to keep, in order of the text."""
    score = centrality(vectors) + 0.25 * np.array([c.lead for c in candidates], np.float32)
    lengths = np.array([len(words_of(c.text)) for c in candidates])
    score -= 0.25 * (lengths > 60) + 0.2 * (lengths < 6)
    score -= 0.2 * np.array([c.text.endswith("?") for c in candidates])
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        repeats = (vectors @ vectors[chosen].T).max(axis=1) if chosen else np.zeros(len(vectors))
        value = score - 0.7 * repeats
        value[chosen] = -np.inf
        best = int(np.argmax(value))
        if repeats[best] > 0.95:
            break
        chosen.append(best)
    return sorted(chosen)


def summarize_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.summarize",
        title="summarize",
        examples=[
            "summarize this text",
            "give me a summary in two sentences",
            "tl;dr",
            "what is this document about, in short",
            "sum up the reviews",
            "shorten the report to 5 sentences",
            "the main points of the meeting notes",
            "condense the article",
            "what do people say in the comments, in brief",
            "summary of each file",
        ],
        composition=[
            "After text.read, text.search or text.filter; the last step of many requests."
        ],
        prior=Prior(quality=0.8, latency=0.5),
        output=TEXT,
    )
    async def summarize(
        texts: Texts, sentences: int = 3, column: str | None = None, *, call: Call
    ) -> Done:
        """Summarizes texts by their most telling sentences, word for word, in their order.

        Args:
            texts: a text, documents, a list of texts, or a table with a text column.
            sentences: how many sentences at most.
            column: the column to read; by default the one that holds prose.
        """
        if sentences < 1:
            raise BadArguments(f"text.summarize: sentences must be at least 1, not {sentences}")
        documents = [text for _, text in await documents_in(texts, column, call)]
        leads = is_documents(texts) and column is None
        candidates = await asyncio.to_thread(candidates_of, documents, leads=leads)
        total = sum(len(sentences_of(d)) for d in documents)
        if total <= sentences:
            whole = "\n".join(d.strip() for d in documents if d.strip())
            return Done(
                whole, f"the text has no more than {sentences} sentences; it is given as it is"
            )
        sample = candidates[:: -(-len(candidates) // GRAPH)]
        vectors = await vectors_of(encoder, [c.text for c in sample], call, "sentences")
        kept = await asyncio.to_thread(most_telling, sample, vectors, sentences)
        note = f"{len(kept)} of {total:,} sentences, word for word"
        if len(sample) < len(candidates):
            note += f", chosen from an even sample of {len(sample):,}"
        return Done(" ".join(sample[n].text for n in kept), note)

    return summarize
