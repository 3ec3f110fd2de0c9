"""Words: an inverted index scored by BM25, whose answers are those of scoring everything.

The weight of a word in a text is BM25's (Robertson and Zaragoza 2009, section 3.2), with the mean length of texts
a constant, so that it does not change when others come and go; the rarity of a word is counted over what is there
now. Long lists are not read where they cannot change the answer: words are taken rarest first, and once the last
hit has more than all words to come can give, these are only looked up for what was found (MaxScore, Turtle and
Flood 1995).
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.vectors import Slots, greatest

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Admitted = Callable[[Slots], NDArray[np.bool_]]
"""Which of some slots may be found."""

WORD = re.compile(r"[a-z]+|\d+")
STOP = frozenset(
    """a an and any are as at be been but by can could did do does for from give had has have how i if in into is it its
    just me my of on or our please so some that the their them then there these they this those to us want was we were
    what when where which who whose will with would you your""".split()
)
SATURATION = 1.2
LENGTH = 0.75
"""How much long texts count less, 0..1."""
MEAN_LENGTH = 16.0
"""Words of a text that is neither long nor short."""
ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "er", "ed", "es", "s", "e")


def terms(text: str) -> Counter[str]:
    """Content words, cut to a common stem, and how often each is said. Names written together are taken apart."""
    return Counter(_stem(w) for w in WORD.findall(_apart(text).lower()) if w not in STOP)


def _apart(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def weights(counts: Mapping[str, int]) -> dict[str, float]:
    """Of each word of a text, before rarity."""
    longer = SATURATION * (1 - LENGTH + LENGTH * sum(counts.values()) / MEAN_LENGTH)
    return {t: n * (SATURATION + 1) / (n + longer) for t, n in counts.items()}


def rarity(having: int, texts: int) -> float:
    """Of a word that `having` of `texts` texts have."""
    return math.log(1 + (texts - having + 0.5) / (having + 0.5))


@dataclass(frozen=True, slots=True)
class Asked:
    """A word of a request: rarity, and where the text's words lie. docs: ascending. most: its greatest weight."""

    rarity: float
    docs: Ints
    weight: Floats
    most: float


def best(asked: Sequence[Asked], count: int, admitted: Admitted) -> tuple[Slots, Floats]:
    """Slots of the `count` texts that score most and their scores, most first, the earlier of equal ones first."""
    order = sorted((a for a in asked if len(a.docs)), key=lambda a: len(a.docs))
    left = float(sum(a.rarity * a.most for a in order))
    slots, scores = np.zeros(0, np.int64), np.zeros(0, np.float64)
    for word in order:
        last = _nth(scores, count)
        if last > left * (1 + 1e-9):
            keep = scores + left * (1 + 1e-9) >= last
            slots, scores = slots[keep], scores[keep]
            scores = scores + _looked_up(word, slots)
        else:
            slots, scores = _joined(slots, scores, word, admitted)
        left -= word.rarity * word.most
    some = greatest(scores, count)
    return slots[some], scores[some].astype(np.float32)


def scores(asked: Sequence[Asked], slots: Slots) -> Floats:
    """Of some slots."""
    total = np.zeros(len(slots))
    for word in asked:
        if len(word.docs):
            total += _looked_up(word, slots)
    return total.astype(np.float32)


def _nth(scores: NDArray[np.float64], count: int) -> float:
    if len(scores) < count:
        return -math.inf
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def _looked_up(word: Asked, slots: Slots) -> NDArray[np.float64]:
    places = np.searchsorted(word.docs, slots)
    places[places == len(word.docs)] = 0
    made: NDArray[np.float64] = np.where(
        word.docs[places] == slots, word.rarity * word.weight[places].astype(np.float64), 0.0
    )
    return made


def _joined(
    slots: Slots, scores: NDArray[np.float64], word: Asked, admitted: Admitted
) -> tuple[Slots, NDArray[np.float64]]:
    """What was found before and what has the word, ascending."""
    docs = word.docs.astype(np.int64)
    there = admitted(docs)
    docs, gained = docs[there], word.rarity * word.weight[there].astype(np.float64)
    if not len(slots):
        return docs, gained
    both = np.union1d(slots, docs)
    total = np.zeros(len(both))
    total[np.searchsorted(both, slots)] += scores
    total[np.searchsorted(both, docs)] += gained
    return both, total
