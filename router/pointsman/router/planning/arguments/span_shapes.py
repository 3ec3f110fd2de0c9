"""What the spelling of a token says that its vector may not: digits, clock times, names of days, its place."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "shapes"]

SHAPES = 12
_NUMBERS = frozenset(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred couple first second third
    dozen""".split()
)
_MONTHS = frozenset(
    """january february march april may june july august september october november december jan feb mar apr jun
    jul aug sep sept oct nov dec""".split()
)
_DAYS = frozenset(
    """monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun today
    tonight tomorrow yesterday weekend""".split()
)
_CLOCK = re.compile(r"\d{1,2}[:.]\d\d")
_HALF = re.compile(r"(?:\d+)?(?:am|pm)")


def shapes(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """[len(offsets), SHAPES] float32 of zeros and ones; offsets: (start, end) in characters, one a token."""
    made = np.zeros((len(offsets), SHAPES), np.float32)
    clocks = [m.span() for m in _CLOCK.finditer(text)]
    for row, (start, end) in enumerate(offsets):
        begin, stop = _word(text, start, end)
        own, word = text[start:end], text[begin:stop].lower()
        made[row] = (
            any(c.isdigit() for c in word),
            own.isdigit(),
            any(a < end and start < b for a, b in clocks),
            word in _NUMBERS,
            word in _MONTHS,
            word in _DAYS,
            begin < start,
            row == 0,
            row == len(offsets) - 1,
            own[:1].isupper(),
            not own[:1].isalnum(),
            _HALF.fullmatch(word) is not None,
        )
    return made


def _word(text: str, start: int, end: int) -> tuple[int, int]:
    """The word that a token is a part of."""
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum():
        end += 1
    return start, end
