"""Words for moods, and whether a text has one: emotions and sentiment from the heads, and cues of anger."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pointsman.experts.base import Call
from pointsman.experts.models.emotion import EmotionReader, Emotions
from pointsman.experts.models.sentiment import Judged, SentimentReader

_WORDS: Final[Mapping[str, str]] = {
    "angry": "angry anger furious mad irritated annoyed outraged upset frustrated frustration livid enraged rage annoyance",
    "negative": "negative bad unhappy dissatisfied complaint complaints complaining complain criticism critical displeased unsatisfied",
    "positive": "positive good happy satisfied pleased praise praising favourable favorable delighted compliment compliments content enthusiastic",
    "neutral": "neutral",
    "joy": "joy joyful cheerful",
    "sadness": "sad sadness depressed grief grieving sorrow",
    "fear": "fear afraid scared fearful frightened",
    "nervousness": "nervous anxious worried worry worries",
    "gratitude": "grateful thankful gratitude thanks thanking thank",
    "surprise": "surprised surprise astonished",
    "confusion": "confused confusion confusing puzzled",
    "disappointment": "disappointed disappointment disappointing",
    "excitement": "excited excitement",
    "amusement": "amused funny amusement",
    "love": "love loving",
    "disgust": "disgusted disgust",
    "remorse": "sorry remorse regret apologetic",
    "embarrassment": "embarrassed embarrassment",
    "curiosity": "curious curiosity",
    "optimism": "optimistic hopeful optimism",
    "pride": "proud pride",
    "relief": "relieved relief",
    "admiration": "admiring admiration",
}
MOODS: Final = {word: mood for mood, words in _WORDS.items() for word in words.split()}
"""A word in a criterion or a label -> the mood it stands for."""

_RELATED: Final[Mapping[str, Sequence[str]]] = {
    "joy": ("joy", "excitement", "amusement", "love"),
    "sadness": ("sadness", "grief", "disappointment", "remorse"),
    "fear": ("fear", "nervousness"),
    "nervousness": ("nervousness", "fear"),
    "disappointment": ("disappointment", "sadness"),
}
_ANGER: Final = ("anger", "annoyance", "disgust", "disapproval")

_CUES: Final = re.compile(
    r"\b(?:unacceptable|outrag\w+|ridiculous\w*|disgrac\w+|disgust\w+|appall\w+|furious|livid|fuming|angry|infuriat\w+|"
    r"pathetic|useless|garbage|rubbish|incompeten\w+|scam\w*|theft|thieves|rip[- ]?off|insult\w+|unprofessional|shame\w*|"
    r"fed up|sick (?:and tired )?of|tired of|had enough|enough is enough|last straw|how dare|lawyer|attorney|sue you|legal action|"
    r"money back (?:now|immediately)|report you|never again|done with (?:you|this)|what a joke|(?:is|such) a joke|lied to|liars?|"
    r"worst|beyond frustrat\w+|los(?:ing|t) (?:my )?patience|nobody (?:answers|cares|seems to care)|no one (?:answers|cares)|"
    r"why on earth|do you even|are you (?:ever|kidding)|for the last time|(?:third|fourth|fifth|tenth|\w+teenth) time|"
    r"(?:again and again|over and over)|speak to (?:a|your) (?:manager|supervisor)|stop (?:sending|calling|charging)|"
    r"damn\w*|hell|bloody|terrible service|hung up on me|wast(?:e|ed|ing) (?:of )?(?:my|our) (?:time|money))\b",
    re.IGNORECASE,
)
_SHOUT: Final = re.compile(r"[!?]{2,}|\b[A-Z]{3,}\b(?=.*!)|\bNOW\b|\bNEVER\b")


def anger_of(text: str, judged: Judged, emotions: Emotions) -> float:
    """0..1: from the emotion head, negative sentiment and cues in the wording; above 0.5 is angry."""
    felt = sum(emotions.chances.get(n, 0.0) for n in _ANGER[:2]) + 0.5 * sum(
        emotions.chances.get(n, 0.0) for n in _ANGER[2:]
    )
    cues = min(2, len(_CUES.findall(text)))
    shout = bool(_SHOUT.search(text))
    if judged.score > 0.25:
        return min(0.4, felt)
    negative = max(0.0, -judged.score)
    return min(1.0, 0.55 * felt + 0.35 * negative + 0.4 * cues + 0.2 * shout)


def mood_chance(mood: str, text: str, judged: Judged, emotions: Emotions) -> float:
    """How far the text has the mood, 0..1; above 0.5 it has."""
    if mood == "angry":
        return anger_of(text, judged, emotions)
    if mood in ("positive", "negative", "neutral"):
        sure = 0.5 + judged.certainty / 2
        return sure if judged.sentiment == mood else 1 - sure
    related = _RELATED.get(mood, (mood,))
    strength = sum(emotions.chances.get(n, 0.0) for n in related)
    return max(0.51, min(1.0, strength)) if emotions.main in related else min(0.49, strength / 2)


class MoodReader:
    """Both heads on one encoder."""

    def __init__(self, sentiment: SentimentReader, emotion: EmotionReader) -> None:
        self._sentiment = sentiment
        self._emotion = emotion

    async def chances(
        self, moods: Sequence[str], texts: Sequence[str], call: Call
    ) -> list[list[float]]:
        """[moods][texts]: how far each text has each mood; above 0.5 it has."""
        judged = await self._sentiment.judge(texts, call)
        emotions = await self._emotion.read(texts, call)
        rows = list(zip(texts, judged, emotions, strict=True))
        return [[mood_chance(mood, t, j, e) for t, j, e in rows] for mood in moods]
