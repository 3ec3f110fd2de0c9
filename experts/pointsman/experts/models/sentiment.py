"""text.sentiment: positive, neutral or negative, and how much so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.heads import Floats, PoolingHead, load_pooling_head
from pointsman.experts.models.reading import ModelExpert, Reader, counted, language_note
from pointsman.experts.tables import stored, texts_of, with_columns
from pointsman.router.catalog import Capability, Prior
from pointsman.router.values import TABLE, TEXTS

Sentiment = Literal["positive", "neutral", "negative"]
SENTIMENTS: tuple[Sentiment, ...] = ("negative", "neutral", "positive")

COLUMN = {"type": ["string", "null"], "default": None, "description": "the column with the texts"}

TEXT_SENTIMENT = Capability(
    name="text.sentiment",
    title="judge sentiment",
    description="Says for each text whether it is positive, neutral or negative, with a score from -1 to 1.",
    parameters={
        "type": "object",
        "properties": {"texts": TEXTS, "column": COLUMN},
        "required": ["texts"],
        "additionalProperties": False,
    },
    output={
        **TABLE,
        "x-adds": [
            {"name": "sentiment", "type": "text"},
            {"name": "sentiment_score", "type": "number"},
        ],
    },
    examples=(
        "find the negative reviews",
        "how do customers feel about us?",
        "is this comment positive or negative?",
        "what is the sentiment of these tweets",
        "rate the tone of each answer",
        "which reviews are bad?",
        "share of positive feedback by month",
        "the 5 most negative comments",
        "are people happy with the new app?",
        "analyse the mood of the survey answers",
    ),
    composition=(
        "table.filter on the column sentiment keeps the negative or the positive rows",
        "table.aggregate by sentiment counts them; chart.draw shows the counts",
    ),
    prior=Prior(quality=0.8, latency=0.5),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """score: -1 (very negative) .. 1. certainty: chance that the sentiment is right, 0..1."""

    sentiment: Sentiment
    score: float
    certainty: float


class SentimentReader:
    """Judges texts; shared by the experts that need sentiment."""

    def __init__(self, encoder: Encoder) -> None:
        self._reader = Reader(encoder, _head)

    async def judge(self, texts: Sequence[str], call: Call) -> list[Judged]:
        outputs = await self._reader.outputs(texts, call)
        return [judged(t, out) for t, out in zip(texts, outputs, strict=True)]


def _head() -> PoolingHead:
    return load_pooling_head("sentiment")[0]


def judged(text: str, out: Floats) -> Judged:
    """out: [parts, 4], logits of SENTIMENTS and the value; parts weigh by how little neutral they are."""
    if not any(c.isalnum() or ord(c) > 0x2000 for c in text):
        return Judged("neutral", 0.0, 0.5)
    chance = np.exp(out[:, :3] - out[:, :3].max(1, keepdims=True))
    chance /= chance.sum(1, keepdims=True)
    weight = 1.1 - chance[:, 1]
    mixed = (chance * weight[:, None]).sum(0) / weight.sum()
    place = int(mixed.argmax())
    rating = float((np.tanh(out[:, 3]) * weight).sum() / weight.sum())
    score = (float(mixed[2] - mixed[0]) + rating) / 2
    limits = ((-1.0, -0.05), (-0.3, 0.3), (0.05, 1.0))[place]
    return Judged(
        SENTIMENTS[place], round(min(max(score, limits[0]), limits[1]), 3), float(mixed[place])
    )


def expert_on(encoder: Encoder, reader: SentimentReader) -> ModelExpert:
    async def serve(call: Call) -> Done:
        texts, table = texts_of(call.arguments["texts"], call.arguments.get("column"), call.files)
        judgements = await reader.judge(texts, call)
        made = with_columns(
            table,
            [("sentiment", "text"), ("sentiment_score", "number")],
            [[j.sentiment, j.score] for j in judgements],
        )
        counts = counted([j.sentiment for j in judgements], SENTIMENTS)
        note = f"{len(texts):,} texts: {counts or 'none'}{language_note(texts)}"
        sure = float(np.mean([j.certainty for j in judgements])) if judgements else None
        return Done(stored(made, call.files).to_json(), note, sure)

    return ModelExpert(
        "minilm-sentiment",
        "positive, neutral or negative, by a small head over MiniLM token states",
        {TEXT_SENTIMENT.name: serve},
        [TEXT_SENTIMENT],
    )
