"""Past plans made searchable: how the plans of like requests vote on each capability.

Two requests are alike by the cosine of their vectors and by the words that they share. Votes are those of the
nearest past requests, and a kernel ridge regression of "was it used" on all of them (Saunders, Gammerman and
Vovk 1998), whose value for a past request as if that one had not been there is known in closed form:
y - a / diag(G), with G the inverse of the regularised kernel and a = G y. So a head can be trained on the very
requests of the memory without any of them seeing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.lexical import Lexicon, grams
from pointsman.router.planning.learned.past import PastPlan

Floats = NDArray[np.float32]
MOST = 4_000
"""Past plans that vote: the newest. Fitting takes time by the cube of it, four seconds at this many."""
RIDGE = 0.3
SHARPNESS = 5.0
WIDE_SHARPNESS = 2.0
WORDS = 0.7
"""Weight of shared words beside the cosine among the nearest."""
RARE = 50
"""From this many past plans, words that only one of them has do not count."""


@dataclass(frozen=True, slots=True)
class Votes:
    """What past plans say of a request; capabilities in the order of `PlanMemory.names`.

    ridge, wide: kernel ridge estimates of the probability, [names], with words and without. few, mixed, many:
    shares of the nearest 5, 10 and 20, weighted by nearness. nearest: likeness of the nearest past
    request that used it, 0..1. counts: past plans that used it. alike: likeness of the nearest of all.
    plans: rows of the 20 nearest past plans, nearest first; weights: theirs, summing to 1; both [nearest].
    left_out: the past plan that the question is about, if it is one of the memory.
    """

    ridge: Floats
    wide: Floats
    few: Floats
    mixed: Floats
    many: Floats
    nearest: Floats
    counts: Floats
    alike: float
    plans: NDArray[np.int64]
    weights: Floats
    left_out: int | None


class PlanMemory:
    """Past plans and their vectors. vectors: [plans, dim] float32 of the masked requests."""

    def __init__(self, past: Sequence[PastPlan], vectors: Vectors) -> None:
        self.past = tuple(past)[-MOST:]
        self._vectors = vectors[-MOST:]
        self.names = tuple(dict.fromkeys(c for p in self.past for c in p.capabilities))
        self.places = {n: i for i, n in enumerate(self.names)}
        self.used = np.zeros((len(self.past), len(self.names)), np.float32)
        for row, plan in enumerate(self.past):
            self.used[row, [self.places[c] for c in plan.capabilities]] = 1
        self.places_in = np.zeros_like(self.used, dtype=np.int16)
        """[plans, names]: the place of a capability in its plan, from 1; 0 where it is not used."""
        self._linked: dict[tuple[str, str], list[int]] = {}
        for row, plan in enumerate(self.past):
            for place, name in enumerate(plan.capabilities, 1):
                self.places_in[row, self.places[name]] = place
            for link in plan.links:
                self._linked.setdefault(link, []).append(row)
        self._lexicon = Lexicon(
            [p.request for p in self.past], grams, least=2 if len(self.past) >= RARE else 1
        )
        self._counts = self.used.sum(0)

    def __len__(self) -> int:
        return len(self.past)

    @cached_property
    def _kernels(self) -> tuple[Floats, Floats]:
        cosines = self._vectors @ self._vectors.T
        shared = (self._lexicon.rows @ self._lexicon.rows.T).toarray()
        return shared + np.exp(SHARPNESS * (cosines - 1)), np.exp(WIDE_SHARPNESS * (cosines - 1))

    @cached_property
    def _fitted(self) -> tuple[Floats, Floats]:
        """Coefficients of both regressions, [plans, names] each."""
        ridged = (k + RIDGE * np.eye(len(self), dtype=np.float32) for k in self._kernels)
        wordy, wide = (cho_solve(cho_factor(k), self.used) for k in ridged)
        return wordy, wide

    @cached_property
    def _leverages(self) -> tuple[Floats, Floats]:
        ridged = (k + RIDGE * np.eye(len(self), dtype=np.float32) for k in self._kernels)
        wordy, wide = (np.diag(np.linalg.inv(k)).astype(np.float32) for k in ridged)
        return wordy, wide

    @cached_property
    def usual(self) -> float:
        """The likeness to the nearest other past request that nineteen of twenty past requests reach.

        A conformal threshold: a further request of the same kind reaches it as often (Vovk, Gammerman and
        Shafer 2005). Of fewer than twenty, that of the least alike.
        """
        cosines = self._vectors @ self._vectors.T
        shared = (self._lexicon.rows @ self._lexicon.rows.T).toarray()
        alike = (cosines + WORDS * shared) / (1 + WORDS)
        np.fill_diagonal(alike, -1)
        nearest = np.sort(alike.max(1))
        return float(nearest[max(0, (len(nearest) + 1) // 20 - 1)])

    def votes(
        self, text: str, vector: NDArray[np.float32], *, left_out: int | None = None
    ) -> Votes:
        """vector: [dim] float32 of the masked text. left_out: row that must not see itself."""
        if not self.past:
            return _SILENT
        cosines = self._vectors @ vector
        shared = self._lexicon.cosines(text)
        if left_out is None:
            ridge = (shared + np.exp(SHARPNESS * (cosines - 1))) @ self._fitted[0]
            wide = np.exp(WIDE_SHARPNESS * (cosines - 1)) @ self._fitted[1]
        else:
            own = self.used[left_out]
            ridge, wide = (
                own - a[left_out] / g[left_out]
                for a, g in zip(self._fitted, self._leverages, strict=True)
            )
        mixed: Floats = ((cosines + WORDS * shared) / (1 + WORDS)).astype(np.float32)
        if left_out is not None:
            cosines, mixed = cosines.copy(), mixed.copy()
            cosines[left_out] = mixed[left_out] = -np.inf
        return self._counted(ridge, wide, cosines, mixed, left_out)

    def _counted(
        self, ridge: Floats, wide: Floats, cosines: Floats, mixed: Floats, left_out: int | None
    ) -> Votes:
        rows, weights = _nearest(mixed, 20, 0.06)
        few_rows, few_weights = _nearest(mixed, 5, 0.06)
        close_rows, close_weights = _nearest(cosines, 10, 0.05)
        counts = self._counts if left_out is None else self._counts - self.used[left_out]
        near = np.zeros(len(self.names), np.float32)
        for row in rows[::-1]:
            near[self.used[row] > 0] = mixed[row]
        return Votes(
            ridge=ridge.astype(np.float32),
            wide=wide.astype(np.float32),
            few=few_weights @ self.used[few_rows],
            mixed=close_weights @ self.used[close_rows],
            many=weights @ self.used[rows],
            nearest=near,
            counts=counts,
            alike=float(mixed[rows[0]]) if len(rows) else 0.0,
            plans=rows,
            weights=weights,
            left_out=left_out,
        )

    def together(self, rows: NDArray[np.int64], votes: Votes) -> Floats:
        """Past plans, the left-out one not counted, that used both of two names; [rows, rows] float32."""
        used = self.used[:, rows]
        both: Floats = used.T @ used
        if votes.left_out is not None:
            both -= np.outer(used[votes.left_out], used[votes.left_out])
        return both

    def company(self, ridge: Floats, votes: Votes) -> Floats:
        """How likely each name is beside the ones that `ridge` [names] votes for, [names].

        The sum of ridge(u) P(t | u) over u, with the shares of past plans for P, the left-out one not counted.
        """
        made: Floats = ridge @ self._follows
        if votes.left_out is not None:
            own = np.flatnonzero(self.used[votes.left_out])
            counts = self._counts[own, None]
            less = (self._follows[own] * (counts + 2) - self.used[votes.left_out]) / (counts + 1)
            less[np.arange(len(own)), own] = 0
            made += ridge[own] @ (less - self._follows[own])
        return made

    @cached_property
    def _follows(self) -> Floats:
        """[names, names]: the share of the past plans with one name that have the other, of two plans more."""
        shares = (self.used.T @ self.used) / (self._counts[:, None] + 2)
        made: Floats = shares.astype(np.float32)
        np.fill_diagonal(made, 0)
        return made

    def linked(self, source: str, target: str, votes: Votes) -> tuple[float, float]:
        """Past plans that hand `source` on to `target`: how many, and the share of the near ones."""
        rows = self._linked.get((source, target), [])
        near = votes.weights[np.isin(votes.plans, rows)].sum() if rows else 0.0
        return float(len(rows) - (votes.left_out in rows)), float(near)

    def before(self, rows: NDArray[np.int64], votes: Votes) -> tuple[Floats, Floats]:
        """Past plans in which one name stands before another, [rows, rows]: how many, and the near share."""
        there = self.places_in[:, rows]
        if votes.left_out is not None:
            there[votes.left_out] = 0
        return _before(there, np.ones(len(there), np.float32)), _before(
            there[votes.plans], votes.weights
        )

    def near_together(self, rows: NDArray[np.int64], votes: Votes) -> Floats:
        """Share of the near plans, by weight, that used both of two names; [rows, rows] float32."""
        used = self.used[votes.plans][:, rows]
        both: Floats = ((used * votes.weights[:, None]).T @ used).astype(np.float32)
        return both


def _before(places: NDArray[np.int16], weights: Floats) -> Floats:
    """Weight of the plans in which column a stands before column b, [columns, columns]."""
    first, second = places[:, :, None], places[:, None, :]
    earlier = ((first > 0) & (second > first)).astype(np.float32)
    made: Floats = np.einsum("nab,n->ab", earlier, weights)
    return made


def _nearest(likeness: Floats, count: int, heat: float) -> tuple[NDArray[np.int64], Floats]:
    """Rows of the nearest, nearest first, and their weights: a softmax of the likeness over `heat`.

    Rows that are infinitely far are none.
    """
    count = min(count, int(np.isfinite(likeness).sum()))
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    rows = np.argpartition(-likeness, count - 1)[:count]
    rows = rows[np.argsort(-likeness[rows], kind="stable")]
    shares = np.exp((likeness[rows] - likeness[rows[0]]) / heat)
    return rows, (shares / shares.sum()).astype(np.float32)


_NONE = np.zeros(0, np.float32)
_SILENT = Votes(
    _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, 0.0, np.zeros(0, np.int64), _NONE, None
)
