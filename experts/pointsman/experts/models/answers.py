"""Extractive answers: the sentence that answers a question and, where the question asks for one, the span.

Passages are found as in search; their sentences are ranked by similarity, by the question's words in them
and by whether they hold the type of thing that is asked for (a date for "when", a number for "how many").
An answer is always a piece of the text; when nothing is near enough there is none.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.inputs import Texts, documents_in, vectors_of
from pointsman.experts.models.search import relevance, units_of
from pointsman.experts.models.sentences import Sentence, sentences_of
from pointsman.experts.models.spans import Wanted, spans_in, wanted_by
from pointsman.experts.models.words import STOPWORDS, stem, words_of
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import ANSWER, JsonObject

FLOOR = 0.38
_PASSAGES = 12
_AFTER = 2.5
"""A word of the question after a span counts as so many times farther: verbs come before their object."""


@dataclass(frozen=True, slots=True)
class Found:
    """text: the span; quote: the sentence it stands in; score: 0..1; document: index."""

    text: str
    quote: str
    document: int
    score: float


def answer_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.answer",
        title="answer from the text",
        examples=[
            "according to the contract, when does it end",
            "how much is the monthly fee in this document",
            "who signed the agreement",
            "what is the notice period",
            "where will the event take place",
            "does the policy say how long data is kept",
            "from the manual: how do I reset it",
            "how many days of leave do employees get",
            "what does the text say the deadline is",
            "why was the flight cancelled, according to the mail",
        ],
        composition=["After text.read; the question goes in as it was asked."],
        prior=Prior(quality=0.75, latency=0.5),
        output=ANSWER,
    )
    async def answer(texts: Texts, question: str, column: str | None = None, *, call: Call) -> Done:
        """Answers a question with a piece of the text, quoted; says so when the text does not hold it.

        Args:
            texts: where the answer may stand: a text, documents, a list of texts, or a table.
            question: the question, in words.
            column: the column to read; by default the one that holds prose.
        """
        if not words_of(question):
            raise BadArguments("text.answer: the question is empty; say what you want to know")
        documents = await documents_in(texts, column, call)
        found = await find_answer(encoder, [text for _, text in documents], question, call)
        if found is None:
            return Done(_json(None, None), "the text does not say", 0.6)
        return Done(
            _json(found, documents[found.document][0]),
            "quoted from the text",
            round(found.score, 2),
        )

    return answer


def _json(found: Found | None, file: str | None) -> JsonObject:
    if found is None:
        return {"kind": "answer", "text": None, "quote": "", "file": None, "score": 0.0}
    return {
        "kind": "answer",
        "text": found.text,
        "quote": found.quote,
        "file": file,
        "score": round(found.score, 3),
    }


async def find_answer(
    encoder: Encoder, documents: Sequence[str], question: str, call: Call
) -> Found | None:
    """The best answer in the documents, or None when nothing in them is near enough to the question."""
    units = await asyncio.to_thread(units_of, documents)
    vectors = await vectors_of(encoder, [u.text for u in units], call, "passages", upto=0.7)
    asked = (await encoder.embed([question], deadline=call.deadline))[0]
    ranked = await asyncio.to_thread(relevance, question, asked, [u.text for u in units], vectors)
    best = np.argsort(-ranked.fused, kind="stable")[:_PASSAGES]
    near: dict[tuple[int, int], tuple[Sentence, float]] = {}
    for n in best:
        unit = units[n]
        for s in sentences_of(unit.text):
            near.setdefault((unit.source, unit.start + s.start), (s, float(ranked.cosine[n])))
    sentences = [(source, s, passage) for (source, _), (s, passage) in near.items()]
    own = await encoder.embed([s.text for _, s, _ in sentences], deadline=call.deadline)
    return await asyncio.to_thread(_best_sentence, question, asked, sentences, own)


def _best_sentence(
    question: str,
    asked: Vectors,
    sentences: Sequence[tuple[int, Sentence, float]],
    vectors: Vectors,
) -> Found | None:
    wanted = wanted_by(question)
    cosine = vectors @ asked
    best: Found | None = None
    for n, (source, sentence, passage) in enumerate(sentences):
        text = " ".join(sentence.text.split())
        shared = _shared_words(question, text)
        spans = spans_in(text, wanted, question)
        fits = 0.0 if wanted is Wanted.SENTENCE else (0.12 if spans else -0.12)
        score = 0.6 * float(cosine[n]) + 0.2 * passage + 0.2 * shared + fits
        score -= 0.25 if text.endswith("?") else 0.08 * (len(words_of(text)) < 4)
        if best is None or score > best.score:
            best = Found(
                _nearest_span(text, spans, question) or text, text, source, min(1.0, score)
            )
    return best if best is not None and best.score >= FLOOR else None


def _shared_words(question: str, text: str) -> float:
    """Share of the question's content words that the text has."""
    asked = {stem(w) for w in words_of(question) if w not in STOPWORDS}
    return len(asked & {stem(w) for w in words_of(text)}) / len(asked) if asked else 0.0


def _nearest_span(text: str, spans: Sequence[tuple[int, int]], question: str) -> str | None:
    """Of several spans, the one with the question's words closest to it."""
    if not spans:
        return None
    asked = {stem(w) for w in words_of(question) if w not in STOPWORDS}
    places = [m.start() for m in re.finditer(r"\w+", text) if stem(m.group().casefold()) in asked]

    def away(span: tuple[int, int]) -> float:
        before = [span[0] - p for p in places if p < span[0]]
        after = [_AFTER * (p - span[1]) for p in places if p >= span[1]]
        return min([*before, *after], default=len(text))

    start, end = min(spans, key=lambda s: (away(s), s[0]))
    return text[start:end]
