"""Does a text match a topic in words? A learned decision over features that carry over to unseen topics."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

BACKGROUND = (
    "weather", "sports", "music", "food and cooking", "travel", "health", "money and banking", "shopping",
    "delivery of a parcel", "invoice and payment", "login and password", "a bug in the software", "a new feature",
    "politics", "family", "work and office", "school and learning", "cars and traffic", "movies", "games",
    "animals", "clothes", "phones and computers", "the law", "home and furniture", "news", "time and dates",
    "jokes", "customer service", "price and discounts", "quality of a product", "refund and return", "insurance",
    "meetings and calendar", "plants and nature",
)  # fmt: skip
"""Generic topics that a text's similarity to the asked topic is compared with."""

NEAR = 0.55
"""Background topics this similar to the asked one are left out of the comparison."""

_WORD = re.compile(r"[^\W_]{3,}")
_STOP = frozenset(
    "the and for are was with that this about mention mentions from have has not you our your any all its their".split()
)


def phrasings(topic: str) -> list[str]:
    return [topic, f"This is about {topic}."]


def stems(text: str) -> frozenset[str]:
    """Words cut to a stem: endings off, at most six letters, so that "refunded" meets "refunds"."""
    words = (w.casefold() for w in _WORD.findall(text))
    return frozenset(_stem(w) for w in words if w not in _STOP)


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)][:6]
    return word[:6]


def overlap(topic: str, texts: Sequence[str]) -> Floats:
    """Share of the topic's stems that each text has, [texts]."""
    wanted = stems(topic)
    if not wanted:
        return np.zeros(len(texts), np.float32)
    return np.array([len(wanted & stems(t)) / len(wanted) for t in texts], np.float32)


def features(texts: Floats, topic: Floats, background: Floats, shared: Floats) -> Floats:
    """[texts, 5]: similarity; the same above the background's mean, and above its third best; shared stems
    (a share, and whether any).

    texts: [n, 384]; topic: [phrasings, 384]; background: [m, 384]; shared: [n]; all rows unit length.
    """
    similar = (texts @ topic.T).max(1)
    far = (background @ topic[0]) < NEAR
    other = texts @ background[far].T
    third = np.sort(other, axis=1)[:, -3]
    return np.stack(
        [similar, similar - other.mean(1), similar - third, shared, shared > 0], axis=1
    ).astype(np.float32)


def chance(features: Floats, weights: Floats, bias: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(features @ weights + bias))), np.float32)
