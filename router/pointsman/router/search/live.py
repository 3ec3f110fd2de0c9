"""What an index holds at the moment: a frozen part, what came and went since, and the state that searches see."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.router.errors import BadEntry
from pointsman.router.search.allowed import Allowed, Mask
from pointsman.router.search.entries import Entry, Filter
from pointsman.router.search.frozen import Frozen
from pointsman.router.search.profiles import traits_of, traits_to_json
from pointsman.router.search.recent import Glimpse, Ints, Item, Recent
from pointsman.router.search.vectors import coded
from pointsman.router.search.words import terms


@dataclass(frozen=True, slots=True)
class State:
    """What a search sees. The masks are by slot and never written: a change publishes others.

    present: not gone. well: present and not marked as unhealthy. gone: how many of the frozen part went since it was
    made. went: of each of its words, how many of those had it. sick: whether any of it was marked.
    """

    frozen: Frozen
    frozen_present: Mask
    frozen_well: Mask
    gone: int
    went: Ints
    sick: bool
    recent: Glimpse
    recent_present: Mask
    recent_well: Mask
    count: int

    def allowed(self, where: Filter) -> tuple[Allowed, Allowed]:
        """Slots that may be found, of the frozen and of the recent part."""
        frozen: Mask | None = None
        if where.healthy and self.sick:
            frozen = self.frozen_well
        elif self.gone or self.frozen.holes:
            frozen = self.frozen_present
        recent = self.recent_well if where.healthy else self.recent_present
        return self.frozen.admitted(where, frozen), self.recent.admitted(where, recent)

    def having(self, term: str) -> int:
        """How many have a word."""
        words = self.frozen.words
        number = words.number(term)
        frozen = 0 if number is None else words.having(number) - int(self.went[number])
        return frozen + int(np.count_nonzero(self.recent_present[self.recent.having(term)]))

    def unwell(self) -> list[str]:
        """Names of those that are marked."""
        frozen = np.flatnonzero(self.frozen_present & ~self.frozen_well).tolist()
        recent = np.flatnonzero(self.recent_present & ~self.recent_well).tolist()
        return [self.frozen.name(i) for i in frozen] + [self.recent.name(i) for i in recent]


class Live:
    """Changed by one thread at a time; `state` is taken by any."""

    def __init__(self, generation: Path, records: Iterable[bytes] = ()) -> None:
        frozen = Frozen(generation)
        present = np.array(frozen.present)
        none = np.zeros(0, np.bool_)
        self._recent = Recent(frozen.dim)
        self._slots: dict[str, int] = {}
        self.state = State(
            frozen,
            present,
            present,
            0,
            np.zeros(len(frozen.words.term_ends), np.int32),
            False,
            self._recent.glimpse(),
            none,
            none,
            int(present.sum()),
        )
        self.apply(list(records))

    def apply(self, records: Sequence[bytes]) -> None:
        """Makes changes and publishes the state after all of them."""
        if records:
            draft = _Draft(self.state, self._recent, self._slots)
            for record in records:
                draft.take(record)
            self.state = draft.state()

    def __contains__(self, name: str) -> bool:
        if name in self._slots:
            return True
        slot = self.state.frozen.names.number(name)
        return slot is not None and bool(self.state.frozen_present[slot])


class _Draft:
    """The state to come. slots: of names in the recent part, which is changed with it."""

    def __init__(self, state: State, recent: Recent, slots: dict[str, int]) -> None:
        self._state, self._recent, self._slots = state, recent, slots
        self._frozen_present, self._frozen_well = state.frozen_present, state.frozen_well
        self._gone: list[int] = []
        self._sick = state.sick
        self._present = bytearray(state.recent_present.tobytes())
        self._well = bytearray(state.recent_well.tobytes())
        self._count = state.count

    def take(self, record: bytes) -> None:
        head, _, body = record.partition(b"\n")
        told: dict[str, Any] = json.loads(head)
        match told["change"]:
            case "put":
                self._drop(told["name"])
                self._put(_item(told, body, self._state.frozen.dim))
            case "drop":
                self._drop(told["name"])
            case _:
                self._mark(told["name"], healthy=told["healthy"])

    def state(self) -> State:
        went = self._state.went
        if self._gone:
            went = went.copy()
            words = self._state.frozen.words
            np.add.at(went, np.concatenate([words.terms_of(slot) for slot in self._gone]), 1)
        return State(
            self._state.frozen,
            self._frozen_present,
            self._frozen_well,
            self._state.gone + len(self._gone),
            went,
            self._sick,
            self._recent.glimpse(),
            np.frombuffer(bytes(self._present), np.bool_),
            np.frombuffer(bytes(self._well), np.bool_),
            self._count,
        )

    def _put(self, item: Item) -> None:
        self._slots[item.name] = self._recent.append(item)
        self._present.append(1)
        self._well.append(1)
        self._count += 1

    def _drop(self, name: str) -> None:
        slot = self._slots.pop(name, None)
        if slot is not None:
            self._present[slot] = self._well[slot] = 0
            self._count -= 1
            return
        slot = self._in_frozen(name)
        if slot is not None:
            self._copied()
            self._frozen_present[slot] = self._frozen_well[slot] = False
            self._gone.append(slot)
            self._count -= 1

    def _mark(self, name: str, *, healthy: bool) -> None:
        slot = self._slots.get(name)
        if slot is not None:
            self._well[slot] = healthy
            return
        slot = self._in_frozen(name)
        if slot is not None:
            self._copied()
            self._frozen_well[slot] = healthy
            self._sick = self._sick or not healthy

    def _in_frozen(self, name: str) -> int | None:
        slot = self._state.frozen.names.number(name)
        return slot if slot is not None and self._frozen_present[slot] else None

    def _copied(self) -> None:
        if self._frozen_present is self._state.frozen_present:
            self._frozen_present = self._state.frozen_present.copy()
            self._frozen_well = self._state.frozen_well.copy()


def item_of(entry: Entry, dim: int) -> Item:
    """Raises BadEntry."""
    shape = entry.vectors.shape
    if not entry.name:
        raise BadEntry(entry.name, "it has no name")
    if len(shape) != 2 or shape[1] != dim or not shape[0]:
        raise BadEntry(entry.name, f"its vectors are {list(shape)}, not [1 or more, {dim}]")
    if not np.isfinite(entry.vectors).all() or not np.abs(entry.vectors).max(axis=1).all():
        raise BadEntry(entry.name, "a vector has no direction")
    return Item(entry.name, coded(entry.vectors), terms(entry.text), entry.traits)


def put_record(item: Item) -> bytes:
    told = {
        "change": "put",
        "name": item.name,
        "words": item.words,
        "traits": traits_to_json(item.traits),
    }
    return json.dumps(told).encode() + b"\n" + item.codes.tobytes()


def drop_record(name: str) -> bytes:
    return json.dumps({"change": "drop", "name": name}).encode()


def mark_record(name: str, *, healthy: bool) -> bytes:
    return json.dumps({"change": "mark", "name": name, "healthy": healthy}).encode()


def _item(told: dict[str, Any], body: bytes, dim: int) -> Item:
    codes = np.frombuffer(body, np.int8).reshape(-1, dim)
    return Item(told["name"], codes, told["words"], traits_of(told["traits"]))
