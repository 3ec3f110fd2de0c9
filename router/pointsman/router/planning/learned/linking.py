"""Which of the chosen capabilities hands its result to which, or must come first: the learned link head.

Features are of the pair: what past plans did with both (linked, ordered), the order in which the request
mentions them, whether the output's kind fits a parameter, and what their texts say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability
from pointsman.router.plan import widen
from pointsman.router.planning.learned.features import Reader
from pointsman.router.planning.learned.heads import LinkHeads
from pointsman.router.planning.learned.memory import Votes
from pointsman.router.planning.retrieval import WORD, stems

Floats = NDArray[np.float32]
PAIR = (
    "linked", "linked_near", "linked_back", "linked_back_near", "before", "before_near", "both", "both_near",
    "mentioned_before", "both_mentioned", "fits", "fits_back", "between", "between_near", "like", "size",
    "earlier", "earlier_known",
)  # fmt: skip
LIKELY = 0.5
"""Probability from which a link is made."""


@dataclass(frozen=True, slots=True)
class Link:
    source: str
    target: str
    probability: float


def links(
    text: str,
    chosen: Sequence[Capability],
    reader: Reader,
    votes: Votes,
    heads: LinkHeads,
    earliness: Floats | None = None,
) -> list[Link]:
    """Likely links among the chosen, likeliest first, without a cycle."""
    if len(chosen) < 2:
        return []
    pairs, features = pair_features(text, chosen, reader, votes, earliness)
    likely = heads.probabilities(features)
    found = [
        Link(chosen[a].name, chosen[b].name, float(p))
        for (a, b), p in zip(pairs, likely, strict=True)
    ]
    return without_cycles(sorted(found, key=lambda link: -link.probability))


def without_cycles(found: Sequence[Link], least: float = LIKELY) -> list[Link]:
    """The links, best first, that are likely and close no circle with better ones."""
    after: dict[str, set[str]] = {}
    kept: list[Link] = []
    for link in found:
        if link.probability < least or _reaches(after, link.target, link.source):
            continue
        after.setdefault(link.source, set()).add(link.target)
        kept.append(link)
    return kept


def _reaches(after: Mapping[str, set[str]], start: str, goal: str) -> bool:
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting.extend(after.get(name, ()))
    return False


def pair_features(
    text: str,
    chosen: Sequence[Capability],
    reader: Reader,
    votes: Votes,
    earliness: Floats | None = None,
) -> tuple[list[tuple[int, int]], Floats]:
    """Every ordered pair of places in `chosen` and its features, [pairs, len(PAIR)].

    earliness: [dim] float32, the direction in which descriptions of what comes early lie.
    """
    count = len(chosen)
    before, before_near = _orders(chosen, reader, votes)
    linked = np.zeros((count, count, 2), np.float32)
    for a, first in enumerate(chosen):
        for b, second in enumerate(chosen):
            if a != b:
                linked[a, b] = reader.memory.linked(first.name, second.name, votes)
    both = before + before.T
    both_near = before_near + before_near.T
    share, near = before / (both + 1), before_near / (both_near + np.float32(0.05))
    mentions = mentioned(text, chosen)
    fits = np.array([[fit(a, b) for b in chosen] for a in chosen], np.float32)
    vectors = reader.index.described([reader.index.places[c.name] for c in chosen])
    like = vectors @ vectors.T
    early = vectors @ earliness if earliness is not None else np.zeros(count, np.float32)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    rows = [
        (
            linked[a, b, 0] / (both[a, b] + 1), linked[a, b, 1] / (both_near[a, b] + 0.05),
            linked[b, a, 0] / (both[a, b] + 1), linked[b, a, 1] / (both_near[a, b] + 0.05),
            share[a, b] - share[b, a], near[a, b] - near[b, a], np.log1p(both[a, b]), both_near[a, b],
            _sooner(mentions, a, b), float(mentions[a] is not None and mentions[b] is not None),
            fits[a, b], fits[b, a], _between(share, a, b), _between(near, a, b), like[a, b], count,
            early[a] - early[b], float(earliness is not None),
        )
        for a, b in pairs
    ]  # fmt: skip
    return pairs, np.array(rows, np.float32)


def _orders(chosen: Sequence[Capability], reader: Reader, votes: Votes) -> tuple[Floats, Floats]:
    places = reader.memory.places
    known = [i for i, c in enumerate(chosen) if c.name in places]
    before, near = (np.zeros((len(chosen), len(chosen)), np.float32) for _ in range(2))
    if known:
        rows = np.array([places[chosen[i].name] for i in known])
        before[np.ix_(known, known)], near[np.ix_(known, known)] = reader.memory.before(rows, votes)
    return before, near


def _between(share: NDArray[np.floating[Any]], a: int, b: int) -> float:
    """How likely another of the chosen stands between the two."""
    others = [c for c in range(len(share)) if c not in (a, b)]
    return max((float(min(share[a, c], share[c, b])) for c in others), default=0.0)


def _sooner(mentions: Sequence[float | None], a: int, b: int) -> float:
    first, second = mentions[a], mentions[b]
    return 0.0 if first is None or second is None else second - first


def mentioned(text: str, chosen: Sequence[Capability]) -> list[float | None]:
    """Where the request speaks of each, 0..1 of its length; None where it has none of its own words.

    A word that several of the chosen have says nothing about which is meant, so it counts less.
    """
    owned = [
        stems(f"{c.title} {c.name.replace('.', ' ').replace('_', ' ')} {c.description}")
        for c in chosen
    ]
    found: list[list[tuple[float, float]]] = [[] for _ in chosen]
    for match in WORD.finditer(text.lower()):
        for stem in stems(match.group()):
            owners = [i for i, words in enumerate(owned) if stem in words]
            for i in owners:
                found[i].append((match.start() / len(text), 1 / len(owners) ** 2))
    return [
        sum(p * w for p, w in places) / sum(w for _, w in places) if places else None
        for places in found
    ]


def fit(source: Capability, target: Capability) -> float:
    """Whether a parameter of the target takes the source's output: 1 yes, 0 no, 0.5 unknown.

    A required parameter of exactly that kind counts as yes; an optional one as 0.8.
    """
    gives = source.gives
    if "any" in gives or not target.properties:
        return 0.5
    fitting = [n for n in target.properties if gives & widen(target.takes(n))]
    if any(n in target.required for n in fitting):
        return 1.0
    return 0.8 if fitting else 0.0
