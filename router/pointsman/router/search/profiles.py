"""Traits by number: a million capabilities have some thousands of different ones, so a filter looks at those."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.entries import Filter, Traits

Numbers = NDArray[np.int32]


class Profiles:
    """Different traits in the order in which they came."""

    def __init__(self, traits: Iterable[Traits] = ()) -> None:
        self._numbers: dict[Traits, int] = {}
        self._of: list[Traits] = []
        self._by_tenant: dict[str, list[int]] = {}
        for one in traits:
            self.number(one)

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, number: int) -> Traits:
        return self._of[number]

    def all(self) -> Sequence[Traits]:
        return tuple(self._of)

    def number(self, traits: Traits) -> int:
        """Of these traits, which are taken up when they are new."""
        present = self._numbers.get(traits)
        if present is not None:
            return present
        made = len(self._of)
        self._of.append(traits)
        self._by_tenant.setdefault(traits.tenant, []).append(made)
        self._numbers[traits] = made
        return made

    def admitted(self, where: Filter) -> Numbers:
        """Numbers of the traits that a filter lets through, ascending."""
        if where.tenant is None:
            looked_at: Iterable[int] = range(len(self._of))
        else:
            own = self._by_tenant.get(where.tenant, []) if where.tenant else []
            looked_at = sorted([*self._by_tenant.get("", []), *own])
        return np.array([i for i in looked_at if where.admits(self._of[i])], np.int32)


def traits_to_json(traits: Traits) -> dict[str, Any]:
    return {
        "tenant": traits.tenant,
        "effect": traits.effect,
        "regions": sorted(traits.regions),
        "modalities": sorted(traits.modalities),
    }


def traits_of(value: Mapping[str, Any]) -> Traits:
    """The inverse of `traits_to_json`; what is read was written by it and checked by its sum."""
    return Traits(
        value["tenant"],
        value["effect"],
        frozenset(value["regions"]),
        frozenset(value["modalities"]),
    )
