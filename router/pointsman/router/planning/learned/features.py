"""What a head knows of a candidate: features of the pair request and capability, and among the candidates.

Nothing here names a capability, so a head that was trained on some capabilities works on others. Where there
is no past plan, votes are zero and the head goes by meaning and words alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.learned.bridge import Bridge
from pointsman.router.planning.learned.index import CapabilityIndex, Nearness
from pointsman.router.planning.learned.memory import PlanMemory, Votes
from pointsman.router.planning.learned.subsets import Sets, sets_of

Floats = NDArray[np.float32]

CANDIDATES = 10
FRESH = 4
"""Candidates that are taken by meaning alone, of capabilities that no past plan used."""
PAIR = (
    "name", "description", "example", "best", "soft", "words", "ridge", "wide", "few", "mixed", "many",
    "nearest", "count", "company", "given_first", "given_second", "follows_first", "leads_first", "like_first",
    "stands_out", "bridged", "kin", "kin_most", "kin_nearest", "kin_company",
)  # fmt: skip
"""Features of request and capability; each stands twice: as it is, and less the best of the candidates."""
CONTEXT = (
    "ridge_1", "ridge_2", "ridge_3", "ridge_4", "ridge_sum", "size", "length", "memory", "alike", "catalog",
)  # fmt: skip
UNARY = 2 * len(PAIR) + 2 + len(CONTEXT)
JOINT = ("follows_most", "follows_least", "together", "like", "both_ridge", "either_many")
KIN = 0.08
"""Cosine by which a capability is e times less of kin to another."""
WHOLE = 4
"""Features of a set as a whole; its size and the context are beside them."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A request's candidates as a head sees them. k: candidates, at most CANDIDATES.

    places: rows of the catalog, [k]. unary: [k, UNARY]. joint: [k, k, len(JOINT)], symmetric use.
    whole: [sets, WHOLE], of the sets of k candidates. prior: the order in which they were taken, [k].
    """

    places: NDArray[np.int64]
    unary: Floats
    joint: Floats
    whole: Floats
    prior: Floats

    @property
    def context(self) -> Floats:
        """What is known of the request alone, [len(CONTEXT)]."""
        return self.unary[0, -len(CONTEXT) :]


@dataclass(frozen=True, slots=True)
class _Spread:
    """Votes put on the capabilities that are looked at; [looked] each."""

    ridge: Floats
    wide: Floats
    few: Floats
    mixed: Floats
    many: Floats
    nearest: Floats
    counts: Floats


class Reader:
    """Makes scenes over one catalog and one memory. Past use of capabilities that are gone is ignored."""

    def __init__(self, index: CapabilityIndex, memory: PlanMemory, bridge: Bridge) -> None:
        self.index = index
        self.memory = memory
        self.bridge = bridge
        known = [(m, index.places[n]) for m, n in enumerate(memory.names) if n in index.places]
        self._from = np.array([m for m, _ in known], np.int64)
        self._to = np.array([p for _, p in known], np.int64)
        self._row_of = np.full(len(index.capabilities), -1, np.int64)
        self._row_of[self._to] = self._from
        self._known = np.concatenate([index.named(self._to), index.described(self._to)], 1)

    def read(
        self, text: str, vector: Floats, *, left_out: int | None = None
    ) -> tuple[Scene, Votes]:
        """vector: [dim] float32 of the masked text."""
        votes = self.memory.votes(text, vector, left_out=left_out)
        near = self.index.near(text, vector, self.bridge(vector), self._voted(votes))
        spread = self._spread(votes, near.places)
        prior = _prior(near, spread)
        taken = _taken(prior, near, spread)
        return self._scene(text, taken, prior[taken], near, votes, spread), votes

    def _voted(self, votes: Votes) -> NDArray[np.int64]:
        """Rows of the capabilities that past plans speak for."""
        for_it = (votes.ridge > 0.05) | (votes.many > 0)
        return self._to[for_it[self._from]] if len(self._from) else self._to

    def _spread(self, votes: Votes, places: NDArray[np.int64]) -> _Spread:
        rows = self._row_of[places]
        known = rows >= 0

        def put(values: Floats) -> Floats:
            made = np.zeros(len(places), np.float32)
            made[known] = values[rows[known]]
            return made

        return _Spread(
            put(np.clip(votes.ridge, -0.2, 1.2)),
            put(np.clip(votes.wide, -0.2, 1.2)),
            put(votes.few),
            put(votes.mixed),
            put(votes.many),
            put(votes.nearest),
            put(votes.counts),
        )

    def _scene(
        self,
        text: str,
        taken: NDArray[np.int64],
        prior: Floats,
        near: Nearness,
        votes: Votes,
        spread: _Spread,
    ) -> Scene:
        """taken: the candidates, as rows of what was looked at."""
        places = near.places[taken]
        rows = self._row_of[places]
        described = self.index.described(places)
        like = described @ described.T
        both, near_both = self._company(rows, votes)
        counts = spread.counts[taken]
        follows = both / (counts[:, None] + 2)
        leads = follows.T
        given = near_both / (np.diag(near_both)[:, None] + np.float32(0.05))
        ridge = np.clip(spread.ridge[taken], 0, 1)
        company = (ridge[:, None] * follows).sum(0)
        best = near.best[taken]
        stands_out = (best - near.best.mean()) / (near.best.std() + 1e-6)
        columns = [
            near.name[taken], near.description[taken], near.example[taken], best,
            near.soft[taken], near.words[taken], spread.ridge[taken], spread.wide[taken],
            spread.few[taken], spread.mixed[taken], spread.many[taken], spread.nearest[taken],
            np.log1p(counts) / 5, company, given[0], given[min(1, len(given) - 1)],
            follows[0], leads[0], like[0], stands_out / 5, near.bridged[taken],
            *self._kin(places, votes),
        ]  # fmt: skip
        pair = np.stack(columns, 1)
        ranks = np.stack([_ranks(near.soft[taken]), _ranks(prior)], 1)
        context = self._context(text, ridge, votes)
        unary = np.concatenate(
            [pair, pair - pair.max(0), ranks, np.tile(context, (len(places), 1))], 1
        ).astype(np.float32)
        used = self._used(rows, votes)
        joint = _joint(follows, near_both, like, ridge, spread.many[taken])
        return Scene(places, unary, joint, _whole(used, votes.weights, float(context[5])), prior)

    def _kin(self, places: NDArray[np.int64], votes: Votes) -> tuple[Floats, ...]:
        """What votes for the capabilities of kin say of each candidate, itself not counted; [k] each.

        Their votes on average and at most, how near the nearest of kin with past use is, and how usual they are
        beside what is voted for.
        """
        if not len(self._to):
            return (np.zeros(len(places), np.float32),) * 4
        own = np.concatenate([self.index.named(places), self.index.described(places)], 1)
        likeness = (own @ self._known.T) / 2
        kin = np.exp((likeness - 1) / KIN)
        itself = places[:, None] == self._to[None]
        kin[itself] = 0
        everyone = np.clip(votes.ridge, 0, 1)
        ridge, used = everyone[self._from], (votes.counts[self._from] > 0).astype(np.float32)
        beside = self.memory.company(everyone, votes)[self._from]
        made = (
            (kin @ ridge) / (kin @ used + 0.05),
            (kin * ridge).max(1),
            np.where(itself, 0, likeness * used).max(1),
            (kin @ beside) / (kin.sum(1) + 0.05),
        )
        return tuple(values.astype(np.float32) for values in made)

    def _company(self, rows: NDArray[np.int64], votes: Votes) -> tuple[Floats, Floats]:
        """Past plans with both of two candidates: how many, and the share of the near ones; [k, k] each."""
        all_both, near_both = (np.zeros((len(rows), len(rows)), np.float32) for _ in range(2))
        known = np.flatnonzero(rows >= 0)
        if len(known):
            grid = np.ix_(known, known)
            all_both[grid] = self.memory.together(rows[known], votes)
            near_both[grid] = self.memory.near_together(rows[known], votes)
        np.fill_diagonal(all_both, 0)
        return all_both, near_both

    def _used(self, rows: NDArray[np.int64], votes: Votes) -> Floats:
        """Which candidates the near plans used: [nearest, k], and in a last column how many others."""
        used = self.memory.used[votes.plans]
        made = np.zeros((len(used), len(rows) + 1), np.float32)
        known = rows >= 0
        made[:, :-1][:, known] = used[:, rows[known]]
        made[:, -1] = used.sum(1) - made[:, :-1].sum(1)
        return made

    def _context(self, text: str, ridge: Floats, votes: Votes) -> Floats:
        top = np.zeros(4, np.float32)
        highest = np.sort(ridge)[::-1][:4]
        top[: len(highest)] = highest
        sizes = self.memory.used[votes.plans].sum(1)
        return np.array(
            [
                *top, votes.ridge.clip(0, 1).sum() / 3, (sizes @ votes.weights) / 3,
                np.log1p(len(text.split())) / 4, np.log1p(len(self.memory)) / 8, votes.alike,
                np.log1p(len(self.index.capabilities)) / 8,
            ],
            np.float32,
        )  # fmt: skip


def _prior(near: Nearness, spread: _Spread) -> Floats:
    """By what candidates are taken: votes where there are some, meaning and words everywhere."""
    told = (
        0.25 * (near.best + near.soft + near.example) / 3 + 0.15 * near.bridged + 0.2 * near.words
    )
    prior: Floats = np.asarray(
        told + np.clip(spread.ridge, 0, 1) + 0.3 * spread.mixed + 0.3 * spread.few, np.float32
    )
    return prior


def _taken(prior: Floats, near: Nearness, spread: _Spread) -> NDArray[np.int64]:
    """The candidates, best first: most by all that is known, the rest by meaning among what was never used."""
    order = np.argsort(-prior, kind="stable")
    first = order[: CANDIDATES - FRESH]
    fresh = np.where(spread.counts > 0, np.float32(-1), near.bridged + 0.5 * near.words)
    fresh[first] = -2
    others = np.argsort(-fresh, kind="stable")[:FRESH]
    others = others[fresh[others] > -1]
    rest = order[CANDIDATES - FRESH :]
    rest = rest[~np.isin(rest, others)][: FRESH - len(others)]
    taken = np.concatenate([first, others, rest])
    return taken[np.argsort(-prior[taken], kind="stable")]


def _ranks(values: Floats) -> Floats:
    ranks = np.empty(len(values), np.float32)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values), dtype=np.float32)
    return ranks / np.float32(CANDIDATES)


def _joint(follows: Floats, together: Floats, like: Floats, ridge: Floats, many: Floats) -> Floats:
    """[k, k, len(JOINT)], the same both ways."""
    more, less = np.maximum(follows, follows.T), np.minimum(follows, follows.T)
    both = ridge[:, None] * ridge[None]
    either = np.minimum(many[:, None], many[None])
    return np.stack([more, less, together, like, both, either], -1).astype(np.float32)


def _whole(used: Floats, weights: Floats, size: float) -> Floats:
    """Features of whole sets: what the near plans would give each as F1, and who agrees wholly; its size."""
    sets: Sets = sets_of(used.shape[1] - 1)
    shared = sets.members @ used[:, :-1].T
    sizes = used.sum(1)
    f1 = 2 * shared / (sets.sizes[:, None] + sizes[None])
    exact = (f1 > 0.999).astype(np.float32)
    sharp = weights**2 / max(float((weights**2).sum()), 1e-9)
    made = np.zeros((len(sets.sizes), WHOLE), np.float32)
    made[:, 0] = f1 @ weights
    made[:, 1] = f1 @ sharp
    made[:, 2] = exact @ weights
    made[:, 3] = np.abs(sets.sizes - 3 * size)
    return made
