"""text.emotion: the main emotion of each text, one of 27 or neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.heads import Floats, PoolingHead, load_pooling_head
from pointsman.experts.models.reading import ModelExpert, Reader, counted, language_note
from pointsman.experts.models.sentiment import COLUMN
from pointsman.experts.tables import stored, texts_of, with_columns
from pointsman.router.catalog import Capability, Prior
from pointsman.router.values import TABLE, TEXTS

TEXT_EMOTION = Capability(
    name="text.emotion",
    title="name emotions",
    description=(
        "Names the main emotion of each text (anger, joy, sadness, fear, gratitude, surprise and others, "
        "or neutral), with a score from 0 to 1."
    ),
    parameters={
        "type": "object",
        "properties": {"texts": TEXTS, "column": COLUMN},
        "required": ["texts"],
        "additionalProperties": False,
    },
    output={
        **TABLE,
        "x-adds": [
            {"name": "emotion", "type": "text"},
            {"name": "emotion_score", "type": "number"},
        ],
    },
    examples=(
        "which emotions are in these comments?",
        "what does the writer feel?",
        "find the emotion of each message",
        "label every review with an emotion",
        "is the customer angry, sad or confused?",
        "how many messages express gratitude?",
        "detect emotions in the chat log",
        "chart the emotions in the survey",
    ),
    composition=(
        "table.aggregate by emotion counts them",
        "table.filter on emotion keeps one emotion",
    ),
    prior=Prior(quality=0.6, latency=0.5),
)


@dataclass(frozen=True, slots=True)
class Emotions:
    """main: the emotion furthest above its threshold, or "neutral". chances: of each emotion, 0..1."""

    main: str
    score: float
    chances: dict[str, float]


class EmotionReader:
    """Names emotions; shared by the experts that need them."""

    def __init__(self, encoder: Encoder) -> None:
        self._names: list[str] = []
        self._cuts: Floats = np.zeros(0, np.float32)
        self._reader = Reader(encoder, self._load)

    def _load(self) -> PoolingHead:
        head, settings = load_pooling_head("emotion")
        self._names = settings["names"]
        self._cuts = np.array(settings["thresholds"], np.float32)
        return head

    async def read(self, texts: Sequence[str], call: Call) -> list[Emotions]:
        outputs = await self._reader.outputs(texts, call)
        return [self._emotions(t, out) for t, out in zip(texts, outputs, strict=True)]

    def _emotions(self, text: str, out: Floats) -> Emotions:
        chance = (1 / (1 + np.exp(-out))).mean(0)
        chances = {n: float(c) for n, c in zip(self._names, chance, strict=True)}
        if not any(c.isalnum() or ord(c) > 0x2000 for c in text):
            return Emotions("neutral", 1.0, dict.fromkeys(self._names, 0.0))
        feeling = [
            i for i, n in enumerate(self._names) if n != "neutral" and chance[i] > self._cuts[i]
        ]
        if not feeling:
            return Emotions("neutral", round(chances.get("neutral", 0.0), 3), chances)
        best = max(feeling, key=lambda i: float(chance[i] - self._cuts[i]))
        return Emotions(self._names[best], round(float(chance[best]), 3), chances)


def expert_on(encoder: Encoder, reader: EmotionReader) -> ModelExpert:
    async def serve(call: Call) -> Done:
        texts, table = texts_of(call.arguments["texts"], call.arguments.get("column"), call.files)
        read = await reader.read(texts, call)
        made = with_columns(
            table,
            [("emotion", "text"), ("emotion_score", "number")],
            [[e.main, e.score] for e in read],
        )
        names = [e.main for e in read]
        top = sorted(set(names), key=lambda n: -names.count(n))[:5]
        note = f"{len(texts):,} texts: {counted(names, top) or 'none'}{language_note(texts)}"
        return Done(stored(made, call.files).to_json(), note)

    return ModelExpert(
        "minilm-emotion",
        "27 emotions or neutral, by a small head over MiniLM token states",
        {TEXT_EMOTION.name: serve},
        [TEXT_EMOTION],
    )
