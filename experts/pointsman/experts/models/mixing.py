"""Many adapters in one forward pass of the backbone.

Adapters of one rank class lie in one bank: for each map that they change a stack of all their matrices. A
batch takes the matrices of its rows out of the stacks and applies them by one batched product for each map
(the gathered form of Punica, Chen et al. 2023, arXiv 2310.18547, and of S-LoRA, Sheng et al. 2023, arXiv
2311.03285, in plain torch). A loop over the adapters costs twice as much on a CPU, because its products are
too small for two cores (`python -m benchmarks experts --part mixed`).
"""

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Tensor

from pointsman.experts.models.adapters import MODULES, Adapter, Place

FIRST = 8
"""Adapters that a new bank has room for; it doubles when it is full."""
Shape: TypeAlias = tuple[int, frozenset[tuple[int, str]]]
"""Rank class and (layer, module) of the maps that are changed: what adapters of one bank share."""


@dataclass(slots=True)
class _Stack:
    """down: [room, in, modules * rank]. up: for each module (first column of its outputs, [room, rank, out])."""

    down: Tensor
    ups: list[tuple[int, Tensor]]


class _Bank:
    """Adapters of one shape. A place is free again when its adapter is forgotten."""

    def __init__(self, shape: Shape) -> None:
        self.rank, self._maps = shape
        self._free = deque(range(FIRST))
        self._room = FIRST
        self._places: weakref.WeakKeyDictionary[Adapter, int] = weakref.WeakKeyDictionary()
        self.stacks = {key: self._stack(*key) for key in self._keys()}

    def _keys(self) -> set[tuple[int, Place]]:
        return {(layer, MODULES[name].place) for layer, name in self._maps}

    def _names(self, layer: int, place: Place) -> list[str]:
        return sorted(n for at, n in self._maps if at == layer and MODULES[n].place == place)

    def _stack(self, layer: int, place: Place) -> _Stack:
        modules = [MODULES[name] for name in self._names(layer, place)]
        down = torch.zeros(self._room, modules[0].inputs, self.rank * len(modules))
        ups = [(m.at, torch.zeros(self._room, self.rank, m.outputs)) for m in modules]
        return _Stack(down, ups)

    def place(self, adapter: Adapter) -> int:
        """Where it lies; it is put there if it does not."""
        found = self._places.get(adapter)
        if found is not None:
            return found
        if not self._free:
            self._grow()
        at = self._free.popleft()
        self._write(at, adapter)
        self._places[adapter] = at
        weakref.finalize(adapter, self._free.append, at)
        return at

    def _grow(self) -> None:
        old, self._room = self._room, 2 * self._room
        self._free.extend(range(old, self._room))
        for key, stack in self.stacks.items():
            wider = self._stack(*key)
            wider.down[:old] = stack.down
            for (_, new), (_, up) in zip(wider.ups, stack.ups, strict=True):
                new[:old] = up
            self.stacks[key] = wider

    def _write(self, at: int, adapter: Adapter) -> None:
        """A rank below the class's is filled up with zeros."""
        for (layer, place), stack in self.stacks.items():
            for index, name in enumerate(self._names(layer, place)):
                down, up = adapter.parts[layer, name]
                rank, first = up.shape[0], index * self.rank
                columns = stack.down[at, :, first : first + self.rank]
                columns.zero_()
                columns[:, :rank] = down
                rows = stack.ups[index][1][at]
                rows.zero_()
                rows[:rank] = up


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows start..end of a batch: their adapters, all of one bank. one: they have the same."""

    bank: _Bank
    start: int
    end: int
    places: Tensor
    one: bool


class Mixture:
    """The adapters of a batch's rows, for one forward pass."""

    def __init__(self, spans: Sequence[_Span]) -> None:
        self._spans = spans

    def add(self, layer: int, place: Place, x: Tensor, y: Tensor) -> None:
        """Adds to y, in place. x: [rows, tokens, in] -> y: [rows, tokens, out], float32."""
        for span in self._spans:
            stack = span.bank.stacks.get((layer, place))
            if stack is None:
                continue
            rows = slice(span.start, span.end)
            rank = span.bank.rank
            narrow = torch.matmul(x[rows], _taken(stack.down, span))
            for index, (at, up) in enumerate(stack.ups):
                part = narrow[..., index * rank : (index + 1) * rank]
                y[rows, :, at : at + up.shape[2]] += torch.matmul(part, _taken(up, span))


def _taken(stack: Tensor, span: _Span) -> Tensor:
    """[in, out] where all rows have one adapter, else [rows, in, out]."""
    if span.one:
        return stack[int(span.places[0])]
    return stack.index_select(0, span.places)


class Mixer:
    """All banks. For one thread at a time; adapters may be forgotten by any."""

    def __init__(self) -> None:
        self._banks: dict[Shape, _Bank] = {}

    def order(self, adapter: Adapter | None) -> tuple[int, int]:
        """A key by which the rows of a batch are to be sorted."""
        if adapter is None:
            return (-1, 0)
        bank = self._bank(adapter)
        return (list(self._banks.values()).index(bank), bank.place(adapter))

    def mixture(self, rows: Sequence[Adapter | None]) -> Mixture | None:
        """For rows that were sorted by `order`; None where none has an adapter."""
        spans, start = [], 0
        for bank, group in groupby(rows, key=lambda a: None if a is None else self._bank(a)):
            among = list(group)
            end = start + len(among)
            if bank is not None:
                places = torch.tensor([bank.place(a) for a in among if a is not None])
                spans.append(_Span(bank, start, end, places, bool((places == places[0]).all())))
            start = end
        return Mixture(spans) if spans else None

    def _bank(self, adapter: Adapter) -> _Bank:
        shape = (_rank_class(adapter.rank), frozenset(adapter.parts))
        if shape not in self._banks:
            self._banks[shape] = _Bank(shape)
        return self._banks[shape]


def _rank_class(rank: int) -> int:
    """The next power of two."""
    return 1 << max(0, rank - 1).bit_length()
