"""Adapters under a memory limit: each one's rank by what it costs in measured loss.

A product down @ up is cut to its largest singular values (Eckart and Young 1936); within an adapter those are kept
that carry most for the numbers they take. How far each adapter is cut is chosen among tiers (after FlexMoRE,
2602.08818, and the pyramid of 2603.12577): an easy task keeps few parameters, a hard one many.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pointsman.experts.models.adapters import Pair

Key: TypeAlias = tuple[int, str]
TIERS = (0.0, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
"""Shares of an adapter's numbers; with 0 it is left out."""
STEPS = 200
"""Of a limit: memory is counted in this many parts."""


def decomposed(down: Tensor, up: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of down @ up: u [in, rank], singular values [rank] falling, v [rank, out]. By QR, not by the whole product."""
    left, r_left = torch.linalg.qr(down)
    right, r_right = torch.linalg.qr(up.T)
    u, s, v = torch.linalg.svd(r_left @ r_right.T)
    return left @ u, s, v @ right.T


def truncated_pair(down: Tensor, up: Tensor, rank: int) -> Pair:
    """The nearest product of a rank."""
    u, s, v = decomposed(down.detach(), up.detach())
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


def truncated(parts: Mapping[Key, Pair], share: float) -> dict[Key, Pair]:
    """An adapter with at most a share (0..1) of its numbers; maps of which nothing is kept are left out."""
    if share >= 1:
        return dict(parts)
    split = {key: decomposed(*pair) for key, pair in parts.items()}
    room = share * numbers(parts)
    worth = sorted(
        (
            (float(value**2) / (len(u) + v.shape[1]), len(u) + v.shape[1], key)
            for key, (u, s, v) in split.items()
            for value in s
        ),
        reverse=True,
    )
    ranks = dict.fromkeys(parts, 0)
    for _, size, key in worth:
        if size <= room:
            ranks[key] += 1
            room -= size
    return {key: truncated_pair(*parts[key], rank) for key, rank in ranks.items() if rank}


def numbers(parts: Mapping[Key, Pair]) -> int:
    """Numbers of an adapter; 4 bytes each."""
    return sum(down.numel() + up.numel() for down, up in parts.values())


def chosen(
    adapters: Sequence[Mapping[Key, Pair]],
    loss: Callable[[int, Mapping[Key, Pair]], float],
    limit: float,
) -> list[float]:
    """The tier of each adapter with the least sum of losses within a limit, a share of the numbers of all.

    loss: of adapter n when it is replaced by these parts, on held-out texts.
    """
    whole = sum(numbers(a) for a in adapters)
    best: dict[int, tuple[float, list[float]]] = {0: (0.0, [])}
    for at, adapter in enumerate(adapters):
        options = []
        for tier in TIERS:
            cut = truncated(adapter, tier)
            options.append((-(-numbers(cut) * STEPS // whole), loss(at, cut), tier))
        grown: dict[int, tuple[float, list[float]]] = {}
        for used, (cost, tiers) in best.items():
            for size, more, tier in options:
                total = used + size
                if total <= limit * STEPS and cost + more < grown.get(total, (torch.inf, []))[0]:
                    grown[total] = (cost + more, [*tiers, tier])
        best = grown
    return min(best.values(), key=lambda found: found[0])[1]
