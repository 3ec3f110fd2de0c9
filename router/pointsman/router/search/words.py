"""Words of texts, and what a shared one counts: BM25.

The weight of a word in a text is BM25's (Robertson and Zaragoza 2009, section 3.2), with the mean length of texts
a constant, so that it does not change when others come and go; the rarity of a word is counted over what is there
at the moment.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

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
