"""Two requests side by side: which constant of the new one stands where one of the remembered one stood."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise, permutations
from typing import Any

from pointsman.router.errors import PlanError
from pointsman.router.planning.memory.constants import Form, Token
from pointsman.router.planning.memory.learning import LONGEST_WORDS
from pointsman.router.planning.memory.remembered import Remembered, Slot
from pointsman.router.planning.memory.words import CLASS_OF, key_of
from pointsman.router.planning.retrieval import STOP

SAME_TYPE = 10
MOST_OF_A_KIND = 5
"""More constants of one kind than this are taken in the order in which they stand."""
PLACES = frozenset(
    "from to until till since into between and by with for of in on at as than".split()
)
"""Words that tell which of two constants is which: from one, to the other."""


TURNS = frozenset("and then but or also afterwards".split())
"""Words with which a request goes on to something else."""
PHRASES = frozenset("for in of to with from that which where by grouped sorted compared as".split())
"""Words with which it says more of the same; in a clause they may well stand."""
CLAUSE = 4


class Mismatch(PlanError):
    """A remembered plan does not fit a request; the message says why."""

    code = "memory.mismatch"


@dataclass(frozen=True, slots=True)
class Filler:
    """What fills a slot: a value, and how it was written. words: its tokens, first and last."""

    value: Any
    said: str
    tokens: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Alignment:
    """fillers: by slot. form: the new request, its spare columns read as words."""

    fillers: tuple[Filler, ...]
    form: Form

    def spans(self, remembered: Remembered) -> list[tuple[int, int]]:
        """Where the words stand in the text that fill slots of words."""
        tokens = self.form.tokens
        return [
            (tokens[f.tokens[0]].start, tokens[f.tokens[1]].end)
            for f, s in zip(self.fillers, remembered.slots, strict=True)
            if s.kind == "words"
        ]

    def left(self) -> list[str]:
        """Words of the new request that fill no slot."""
        taken = {i for f in self.fillers for i in range(f.tokens[0], f.tokens[1] + 1)}
        return [t.word for i, t in enumerate(self.form.tokens) if i not in taken]


def align(remembered: Remembered, form: Form) -> Alignment:
    """Fills every slot from the new request. Raises Mismatch when one cannot be, or a constant is left."""
    form = _columns_read(remembered, _numbers_read(remembered, form))
    found: dict[int, Filler] = {}
    marks = dict.fromkeys(t for t in remembered.tokens if t.startswith("<") and t != "<words>")
    marks |= dict.fromkeys(form.constants[i].mark for i in range(len(form.constants)))
    for mark in marks:
        found |= _of_mark(mark, remembered, form)
    for place, slot in enumerate(remembered.slots):
        if slot.kind == "words":
            found[place] = _words(remembered, slot, form)
    for place, slot in enumerate(remembered.slots):
        if slot.fixed and slot.value != found[place].value:
            raise Mismatch(
                f"it says {found[place].said!r}, which the remembered plan cannot take up"
            )
    fillers = tuple(found[i] for i in range(len(remembered.slots)))
    spans = sorted(f.tokens for f in fillers)
    if any(a[1] >= b[0] for a, b in pairwise(spans)):
        raise Mismatch("it is not clear which words of it are which")
    return Alignment(fillers, form)


def _numbers_read(remembered: Remembered, form: Form) -> Form:
    """Four digits may be a year or a number: what the remembered request has decides."""
    moments = sum(s.kind == "moment" for s in remembered.slots)
    here = sum(c.kind == "moment" for c in form.constants)
    return form.years_as_numbers() if here > moments else form


def _columns_read(remembered: Remembered, form: Form) -> Form:
    """More names of columns than the remembered request has places for: the least fitting are plain words."""
    wanted = [s.start for s in remembered.slots if s.kind == "column"]
    here = [i for i, t in enumerate(form.tokens) if t.word == "<column>"]
    if len(here) <= len(wanted):
        return form
    chosen = _assigned(remembered, wanted, form, here) if wanted else ()
    spare = [form.tokens[i].constant for i in here if i not in chosen]
    return form.without(frozenset(i for i in spare if i is not None))


def _of_mark(mark: str, remembered: Remembered, form: Form) -> dict[int, Filler]:
    """Constants of one kind and unit: as many here as there, each to the place that it speaks for."""
    old = [i for i, s in enumerate(remembered.slots) if remembered.tokens[s.start] == mark]
    new = [i for i, t in enumerate(form.tokens) if t.word == mark]
    if len(old) != len(new):
        kind = mark.strip("<>")
        raise Mismatch(
            f"it names {len(new)} of kind {kind!r} where the remembered one has {len(old)}"
        )
    chosen = _assigned(remembered, [remembered.slots[i].start for i in old], form, new)
    for i, at in zip(old, chosen, strict=True):
        _check_type(remembered.slots[i], form, at)
    return {i: _constant(form, at) for i, at in zip(old, chosen, strict=True)}


def _check_type(slot: Slot, form: Form, at: int) -> None:
    """A plan that reckons with a column of numbers or dates needs another of them. Raises Mismatch."""
    here = _holds(form, at)
    if slot.kind == "column" and slot.unit in ("number", "date") and here not in (None, slot.unit):
        said = _constant(form, at).said
        raise Mismatch(f"column {said!r} holds no {slot.unit}s, as the remembered one did")


def _holds(form: Form, at: int) -> str | None:
    """What a constant is of: the unit of an amount, the type of a column."""
    index = form.tokens[at].constant
    return form.constants[index].unit if index is not None else None


def _assigned(
    remembered: Remembered, old: Sequence[int], form: Form, new: Sequence[int]
) -> Sequence[int]:
    """The order of `new` in which most constants keep the word before and after them; ties: as they stand."""
    if len(new) < 2 or len(new) > MOST_OF_A_KIND:
        return new[: len(old)]
    words = [t.word for t in form.tokens]
    units = {s.start: s.unit for s in remembered.slots}

    def kept(order: tuple[int, ...]) -> int:
        return sum(
            _fit(remembered.tokens, a, words, b) + SAME_TYPE * (units.get(a) == _holds(form, b))
            for a, b in zip(old, order, strict=True)
        )

    return max(
        permutations(new, len(old)), key=kept
    )  # the first of the best is in the order of the text


def _fit(old: Sequence[str], a: int, new: Sequence[str], b: int) -> int:
    """How much speaks for the places being the same: the words beside them, prepositions above all."""
    score = 0
    for step in (-1, 1):
        one = old[a + step] if 0 <= a + step < len(old) else ""
        two = new[b + step] if 0 <= b + step < len(new) else ""
        if one == two:
            score += 4 if one in PLACES and step < 0 else 1
    return score


def _constant(form: Form, at: int) -> Filler:
    token = form.tokens[at]
    assert token.constant is not None
    constant = form.constants[token.constant]
    return Filler(constant.value, form.text[constant.start : constant.end], (at, at))


def _words(remembered: Remembered, slot: Slot, form: Form) -> Filler:
    """The words between the same neighbours as then; else the very same words. Raises Mismatch."""
    span = _between(remembered.tokens, slot.start, form.tokens) or _the_same(slot, form.tokens)
    if span is None:
        raise Mismatch("it is not clear which of its words take the place of the remembered ones")
    first, last = span
    said = form.text[form.tokens[first].start : form.tokens[last].end]
    if _says_more(said, str(slot.value or "")):
        raise Mismatch(f"{said!r} says more than the remembered words in its place")
    return Filler(said, said, span)


def _between(old: Sequence[str], place: int, tokens: Sequence[Token]) -> tuple[int, int] | None:
    one = [key_of(w) for w in old]
    two = [key_of(t.word) for t in tokens]
    blocks = SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()
    same = {b.a + i: b.b + i for b in blocks for i in range(b.size)}
    before, after = place - 1, place + 1
    if (before >= 0 and before not in same) or (after < len(one) and after not in same):
        return None
    first = same[before] + 1 if before >= 0 else 0
    last = same[after] - 1 if after < len(one) else len(two) - 1
    words = [t.word for t in tokens[first : last + 1]]
    return (first, last) if _may_be(words) else None


def _the_same(slot: Slot, tokens: Sequence[Token]) -> tuple[int, int] | None:
    if slot.value is None:
        return None
    wanted = [key_of(w) for w in str(slot.value).lower().split()]
    words = [key_of(t.word) for t in tokens]
    found = [
        (i, i + len(wanted) - 1)
        for i in range(len(words) - len(wanted) + 1)
        if words[i : i + len(wanted)] == wanted
    ]
    return found[0] if len(found) == 1 else None


def _says_more(new: str, old: str) -> bool:
    """Whether words go on to something else where the remembered ones did not."""
    now, then = set(new.lower().split()), set(old.lower().split())
    if re.search(r"[,;:.!?]\s", new) and not re.search(r"[,;:.!?]\s", old):
        return True
    more = TURNS if len(then) >= CLAUSE else TURNS | PHRASES
    return bool((now & more) - then)


def _may_be(words: Sequence[str]) -> bool:
    """Whether words can fill a slot of words: a few, no constants, none of those that change the task."""
    if not 0 < len(words) <= LONGEST_WORDS or all(w in STOP for w in words):
        return False
    return not any(w.startswith("<") or w in CLASS_OF for w in words)
