"""text.classify and text.filter, and the assembly of the experts that judge texts."""

import json

import numpy as np

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.models import emotion, entities, sentiment
from pointsman.experts.models.criteria import Test, has_form, parse
from pointsman.experts.models.emotion import EmotionReader
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.heads import Floats, weights_path
from pointsman.experts.models.moods import MOODS, MoodReader
from pointsman.experts.models.reading import ModelExpert, language_note
from pointsman.experts.models.sentiment import COLUMN, SentimentReader
from pointsman.experts.models.topics import BACKGROUND, chance, features, overlap, phrasings
from pointsman.experts.tables import stored, texts_of, with_columns
from pointsman.router.catalog import Capability, Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, TEXTS, Table

SHARPNESS = 12.0

_LABELS = {"type": "array", "items": {"type": "string"}, "minItems": 2}
TEXT_CLASSIFY = Capability(
    name="text.classify",
    title="sort texts under labels",
    description="Puts each text under the one of the given labels that fits best, with a confidence.",
    parameters={
        "type": "object",
        "properties": {"texts": TEXTS, "labels": _LABELS, "column": COLUMN},
        "required": ["texts", "labels"],
        "additionalProperties": False,
    },
    output={
        **TABLE,
        "x-adds": [{"name": "label", "type": "text"}, {"name": "confidence", "type": "number"}],
    },
    examples=(
        "classify the tickets as billing, delivery or login",
        "tag each message with one of: bug, feature request, question",
        "sort these emails into sales, support and spam",
        "which category does each complaint belong to",
        "label the articles politics, sports or science",
        "assign every row a department: HR, IT, finance",
        "is this text about travel or about food?",
        "categorise the feedback by product area",
    ),
    composition=("table.aggregate by label counts them", "table.filter on label keeps one label"),
    prior=Prior(quality=0.75, latency=0.3),
)
TEXT_FILTER = Capability(
    name="text.filter",
    title="keep matching texts",
    description="Keeps the texts that match a criterion in words: a mood, a topic, a form, also with and, or, not.",
    parameters={
        "type": "object",
        "properties": {"texts": TEXTS, "criterion": {"type": "string"}, "column": COLUMN},
        "required": ["texts", "criterion"],
        "additionalProperties": False,
    },
    output={**TABLE, "x-adds": [{"name": "match", "type": "number"}]},
    examples=(
        "which tickets are about billing?",
        "find the angry customers",
        "keep only complaints about delivery",
        "show the messages that are questions",
        "which emails mention a refund",
        "only the urgent requests",
        "comments that are not about price",
        "rows that contain a phone number",
        "the unhappy reviews that mention the battery",
    ),
    composition=("goes before counting, summarising or topics of the kept rows",),
    prior=Prior(quality=0.75, latency=0.4),
)


class TopicReader:
    """Similarity to topics in words, over the shared encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        settings = json.loads(weights_path("topics").with_suffix(".json").read_text())
        self._weights = np.array(settings["weights"], np.float32)
        self._bias = float(settings["bias"])

    async def chances(self, topic: str, texts: list[str], call: Call) -> Floats:
        """How far each text is about the topic, [texts]; above 0.5 it is."""
        vectors = await self._encoder.embed(texts, deadline=call.deadline)
        phrase = await self._encoder.embed(phrasings(topic))
        background = await self._encoder.embed(list(BACKGROUND))
        x = features(vectors, phrase, background, overlap(topic, texts))
        filled = np.array([bool(t.strip()) for t in texts], np.float32)
        return np.asarray(chance(x, self._weights, self._bias) * filled, np.float32)

    async def shares(self, labels: list[str], texts: list[str], call: Call) -> Floats:
        """Share of each label for each text, [texts, labels]; a label's mean over the batch is taken off
        as far as the batch is large, so that none absorbs everything."""
        vectors = await self._encoder.embed(texts, deadline=call.deadline)
        columns = []
        for label in labels:
            phrase = await self._encoder.embed(phrasings(label))
            columns.append((vectors @ phrase.T).mean(1) + 0.15 * overlap(label, texts))
        score = np.stack(columns, 1)
        shrunk = len(texts) / (len(texts) + 40) / 2
        score = (score - shrunk * score.mean(0, keepdims=True)) * SHARPNESS
        share = np.exp(score - score.max(1, keepdims=True))
        made: Floats = (share / share.sum(1, keepdims=True)).astype(np.float32)
        return made


class Judge:
    """Serves text.classify and text.filter."""

    def __init__(self, moods: MoodReader, topics: TopicReader) -> None:
        self._moods = moods
        self._topics = topics

    async def classify(self, call: Call) -> Done:
        texts, table = texts_of(call.arguments["texts"], call.arguments.get("column"), call.files)
        labels = list(dict.fromkeys(s.strip() for s in call.arguments["labels"] if s.strip()))
        if len(labels) < 2:
            raise BadArguments("sorting texts needs at least two different labels; name them")
        share = await self._shares(labels, texts, call)
        best = share.argmax(1) if len(texts) else np.zeros(0, int)
        cells = [[labels[b], round(float(s[b]), 3)] for b, s in zip(best, share, strict=True)]
        counts = ", ".join(f"{int((best == i).sum()):,} {n}" for i, n in enumerate(labels))
        made = with_columns(table, [("label", "text"), ("confidence", "number")], cells)
        note = f"{len(texts):,} texts: {counts}{language_note(texts)}"
        return Done(stored(made, call.files).to_json(), note)

    async def _shares(self, labels: list[str], texts: list[str], call: Call) -> Floats:
        if not texts:
            return np.zeros((0, len(labels)), np.float32)
        moods = [MOODS.get(name.lower()) for name in labels]
        known = [m for m in moods if m is not None]
        if len(known) < len(labels):
            return await self._topics.shares(labels, texts, call)
        made = np.array(await self._moods.chances(known, texts, call), np.float32).T + 1e-6
        shares: Floats = made / made.sum(1, keepdims=True)
        return shares

    async def filter(self, call: Call) -> Done:
        criterion = str(call.arguments["criterion"])
        clauses = parse(criterion)
        texts, table = texts_of(call.arguments["texts"], call.arguments.get("column"), call.files)
        match = np.ones(len(texts), np.float32)
        for clause in clauses if texts else ():
            options = [await self._test(test, texts, call) for test in clause]
            match = np.minimum(match, np.max(options, axis=0))
        kept = [i for i in range(len(texts)) if match[i] > 0.5]
        rows = Table.of(
            [(c.name, c.type) for c in table.columns],
            [table.rows[i] for i in kept],
            name=table.name,
        )
        made = with_columns(
            rows, [("match", "number")], [[round(float(match[i]), 3)] for i in kept]
        )
        note = f"{len(kept):,} of {len(texts):,} rows match {criterion!r}{language_note(texts)}"
        return Done(stored(made, call.files).to_json(), note)

    async def _test(self, test: Test, texts: list[str], call: Call) -> Floats:
        if test.kind == "form":
            made = np.array([has_form(test.subject, t) for t in texts], np.float32)
        elif test.kind == "mood":
            made = np.array((await self._moods.chances([test.subject], texts, call))[0], np.float32)
        else:
            made = await self._topics.chances(test.subject, texts, call)
        return 1 - made if test.negated else made


def experts_on(encoder: Encoder) -> list[Expert]:
    """The experts of this module's folder that judge texts, on one encoder."""
    feelings, emotions = SentimentReader(encoder), EmotionReader(encoder)
    judge = Judge(MoodReader(feelings, emotions), TopicReader(encoder))
    return [
        sentiment.expert_on(encoder, feelings),
        emotion.expert_on(encoder, emotions),
        entities.entities_expert(encoder),
        ModelExpert(
            "minilm-zero-shot",
            "labels and criteria in words, by MiniLM similarity and the sentiment and emotion heads",
            {TEXT_CLASSIFY.name: judge.classify, TEXT_FILTER.name: judge.filter},
            [TEXT_CLASSIFY, TEXT_FILTER],
        ),
    ]
