"""What a head knows of a candidate: features of the pair request and capability, and among the candidates.

Nothing here names a capability, so a head that was trained on some capabilities works on others. Where there
is no past plan, votes are zero and the head goes by meaning and words alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.learned.index import CapabilityIndex, Nearness
from pointsman.router.planning.learned.memory import PlanMemory, Votes
from pointsman.router.planning.learned.subsets import Sets, sets_of

Floats = NDArray[np.float32]

CANDIDATES = 10
PAIR = (
    "name", "description", "example", "best", "soft", "words", "ridge", "wide", "few", "mixed", "many",
    "nearest", "count", "company", "given_first", "given_second", "follows_first", "leads_first", "like_first",
    "stands_out",
)  # fmt: skip
"""Features of request and capability; each stands twice: as it is, and less the best of the candidates."""
CONTEXT = (
    "ridge_1", "ridge_2", "ridge_3", "ridge_4", "ridge_sum", "size", "length", "memory", "alike", "catalog",
)  # fmt: skip
UNARY = 2 * len(PAIR) + 2 + len(CONTEXT)
JOINT = ("follows_most", "follows_least", "together", "like", "both_ridge", "either_many")
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
    """Votes put on the rows of the catalog; [capabilities] each."""

    ridge: Floats
    wide: Floats
    few: Floats
    mixed: Floats
    many: Floats
    nearest: Floats
    counts: Floats


class Reader:
    """Makes scenes over one catalog and one memory. Past use of capabilities that are gone is ignored."""

    def __init__(self, index: CapabilityIndex, memory: PlanMemory) -> None:
        self.index = index
        self.memory = memory
        known = [(m, index.places[n]) for m, n in enumerate(memory.names) if n in index.places]
        self._from = np.array([m for m, _ in known], np.int64)
        self._to = np.array([p for _, p in known], np.int64)
        self._row_of = np.full(len(index.capabilities), -1, np.int64)
        self._row_of[self._to] = self._from

    def read(
        self, text: str, vector: NDArray[np.float32], *, left_out: int | None = None
    ) -> tuple[Scene, Votes]:
        """vector: [dim] float32 of the masked text."""
        near = self.index.near(text, vector)
        votes = self.memory.votes(text, vector, left_out=left_out)
        spread = self._spread(votes)
        prior = _prior(near, spread)
        count = min(CANDIDATES, len(prior))
        places = np.argpartition(-prior, count - 1)[:count]
        places = places[np.argsort(-prior[places], kind="stable")]
        return self._scene(text, places, prior[places], near, votes, spread), votes

    def _spread(self, votes: Votes) -> _Spread:
        def put(values: Floats) -> Floats:
            made = np.zeros(len(self.index.capabilities), np.float32)
            made[self._to] = values[self._from]
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
        places: NDArray[np.int64],
        prior: Floats,
        near: Nearness,
        votes: Votes,
        spread: _Spread,
    ) -> Scene:
        rows = self._row_of[places]
        described = self.index.described(places.tolist())
        like = described @ described.T
        both, near_both = self._company(rows, votes)
        counts = spread.counts[places]
        follows = both / (counts[:, None] + 2)
        leads = follows.T
        given = near_both / (np.diag(near_both)[:, None] + np.float32(0.05))
        ridge = np.clip(spread.ridge[places], 0, 1)
        company = (ridge[:, None] * follows).sum(0)
        stands_out = (near.best[places] - near.best.mean()) / (near.best.std() + 1e-6)
        columns = [
            near.name[places], near.description[places], near.example[places], near.best[places],
            near.soft[places], near.words[places], spread.ridge[places], spread.wide[places],
            spread.few[places], spread.mixed[places], spread.many[places], spread.nearest[places],
            np.log1p(counts) / 5, company, given[0], given[min(1, len(given) - 1)],
            follows[0], leads[0], like[0], stands_out / 5,
        ]  # fmt: skip
        pair = np.stack(columns, 1)
        ranks = np.stack([_ranks(near.soft[places]), _ranks(prior)], 1)
        context = self._context(text, ridge, votes)
        unary = np.concatenate(
            [pair, pair - pair.max(0), ranks, np.tile(context, (len(places), 1))], 1
        ).astype(np.float32)
        used = self._used(rows, votes)
        joint = _joint(follows, near_both, like, ridge, spread.many[places])
        return Scene(places, unary, joint, _whole(used, votes.weights, float(context[5])), prior)

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
    told = 0.25 * (near.best + near.soft + near.example) / 3 + 0.15 * near.name + 0.2 * near.words
    prior: Floats = np.asarray(
        told + np.clip(spread.ridge, 0, 1) + 0.3 * spread.mixed + 0.3 * spread.few, np.float32
    )
    return prior


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
