"""The choice of an expert for a task: a pure function of cards, experience and time.

What is expected of an expert is its prior, drawn towards what was observed by a shrinkage mean,
(PRIOR_CALLS * prior + n * mean) / (PRIOR_CALLS + n), the posterior mean under a conjugate prior worth
PRIOR_CALLS calls (Efron and Morris 1977, "Stein's paradox in statistics", gives the idea).

`prefer` decides what comes first: "quality", "cost" and "latency" take the best in that one term, so moving from
one to the other never makes it worse; ties, and "balanced", go by a utility in points of quality in which
cost and latency count by their logarithm. An expert much worse than the best is not good enough for any.

A number is the same as a knob, 0 for quality over 0.5 for cost to 1 for latency: between two of them the
score is their weighted sum. What is gained by turning it never falls and what is given up never rises, because
the maximum of A - t B has a B that falls with t (and the set that is chosen from does not depend on it).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pointsman.router.cards import Candidate, ExpertCard, Route
from pointsman.router.errors import NoExpert
from pointsman.router.planning.base import Prefer
from pointsman.router.routing.observations import Observations

NOTHING: Mapping[str, float] = MappingProxyType({})
PRIOR_CALLS = 5.0
SILENT_AFTER = 15.0
"""Seconds without a heartbeat after which an expert is taken for dead."""
TAIL, PATIENCE, LEAST_PATIENCE = 3.0, 4.0, 5.0
"""A tail is the mean and 3 deviations. A call is given up for the runner-up after 4 tails, and after 5
seconds at the earliest."""
SHOWN = 12
"""So many candidates, and so many refused ones, are kept in a route: it is written to the run's bus."""
GOOD_ENOUGH = 0.7
"""Share of the best candidate's quality below which an expert is not good enough."""
COST_WEIGHT, COST_SCALE = 0.02, 100.0
LATENCY_WEIGHT, LATENCY_SCALE = 0.02, 0.1
"""Utility = quality - 0.02 ln(1 + micro-dollars / 100) - 0.02 ln(1 + seconds / 0.1): three points of
quality for a tenth of a cent from free, five for a second from nothing."""
COST_SPAN, LATENCY_SPAN = math.log1p(1_000_000 / COST_SCALE), math.log1p(100 / LATENCY_SCALE)
"""A dollar, and a hundred seconds, count 1 where the knob weighs them."""


class Expected(NamedTuple):
    """What is expected of one expert for one task. trouble: why it is not healthy, or "".

    most: micro-dollars that a call may cost: what the card says, or the dearest call so far. variance: of the
    seconds of a call.
    """

    expert: str
    quality: float
    cost: int
    latency: float
    trouble: str
    note: str = ""
    most: int = 0
    variance: float = 0.0

    @property
    def tail(self) -> float:
        """Seconds, queue included, that hardly a call takes when nothing is wrong."""
        return self.latency + TAIL * math.sqrt(max(0.0, self.variance))

    @property
    def healthy(self) -> bool:
        return not self.trouble

    @property
    def utility(self) -> float:
        cost = COST_WEIGHT * math.log1p(self.cost / COST_SCALE)
        return self.quality - cost - LATENCY_WEIGHT * math.log1p(self.latency / LATENCY_SCALE)

    def score(self, prefer: Prefer | float) -> float:
        """Higher is better. The term that is preferred in whole steps, the utility within a step."""
        if isinstance(prefer, float | int):
            return self._between(prefer)
        utility = self.utility
        if prefer == "balanced":
            return utility
        within = 0.5 + utility / (1 + abs(utility)) / 2
        match prefer:
            case "quality":
                return round(self.quality * 100) + within
            case "cost":
                return -self.cost + within
            case "latency":
                return -round(self.latency * 1_000) + within

    def _between(self, knob: float) -> float:
        """0: quality, 0.5: cost, 1: latency, each from about 0 to 1 for what is common."""
        cost = -math.log1p(self.cost / COST_SCALE) / COST_SPAN
        if knob <= 0.5:
            return (1 - 2 * knob) * self.quality + 2 * knob * cost
        latency = -math.log1p(self.latency / LATENCY_SCALE) / LATENCY_SPAN
        return (2 - 2 * knob) * cost + (2 * knob - 1) * latency


def choose(
    capability: str,
    cards: Iterable[ExpertCard],
    observed: Observations,
    *,
    prefer: Prefer | float = "balanced",
    exclude: Iterable[str] = (),
    budget_left: int | None = None,
    predicted: Mapping[str, float] = NOTHING,
    now: float,
) -> Route:
    """The best expert that serves `capability`, with the runners-up and a reason for people.

    exclude: experts that were tried already. budget_left: micro-dollars, None for no cap. predicted: expert
    -> quality on this very input (quality.py), in place of the card's. now: seconds since the epoch. An expert that is not healthy is chosen only when no healthy one is left. The same
    arguments give the same route, whatever the order of the cards. Raises NoExpert, which says why.
    """
    excluded = set(exclude)
    by_name = {c.name: c for c in cards if capability in c.serves}
    expected = [
        expect(c, capability, observed, quality=predicted.get(n), now=now)
        for n, c in by_name.items()
        if n not in excluded
    ]
    payable, refused = expected, []
    if budget_left is not None:
        payable = [e for e in expected if e.most <= budget_left]
        over = [e for e in expected if e.most > budget_left]
        refused = sorted(over, key=lambda e: e.expert)
    if not payable:
        why = _why_none(by_name, excluded, refused, budget_left)
        raise NoExpert(capability, why)
    ranked = _ranked(payable, prefer)
    best = ranked[0]
    return Route(
        expert=best.expert,
        reason=_reason(ranked, refused, budget_left, prefer),
        candidates=tuple(
            [_candidate(e, prefer) for e in ranked[:SHOWN]]
            + [_candidate(e, prefer, _over(e, budget_left)) for e in refused[:SHOWN]]
        ),
        cost=best.cost,
        latency=best.latency,
        most=best.most,
        patience=_patience(ranked, excluded),
    )


def expect(
    card: ExpertCard,
    capability: str,
    observations: Observations,
    *,
    quality: float | None = None,
    now: float,
) -> Expected:
    """What a card promises, corrected by experience. quality: on this very input, in place of the card's."""
    prior = card.serves[capability]
    seen = observations.of(card.name, capability)
    kept = seen.kept(now)
    beat = observations.beats.get(card.name)
    seconds = _shrunk(prior.latency, seen.seconds, seen.good * kept)
    places = max(1, card.concurrency) * (beat.workers if beat else 1)
    squares = _shrunk(2 * prior.latency**2, seen.squares, seen.good * kept)
    waiting = seconds * (beat.queued / places) if beat else 0.0
    trouble, note = "", ""
    if beat is None:
        trouble = "no worker has announced itself"
    elif now - beat.at > SILENT_AFTER:
        trouble = f"silent for {now - beat.at:.0f} s"
    elif seen.is_open(now):
        trouble = (
            f"{seen.failures_in_a_row} failures in a row, rests {seen.open_until - now:.0f} s more"
        )
    elif seen.is_half_open(now):
        note = f"tried again after {seen.failures_in_a_row} failures"
    return Expected(
        card.name,
        quality=(prior.quality if quality is None else quality)
        * _shrunk(1.0, seen.success, seen.calls * kept),
        cost=math.ceil(_shrunk(prior.cost, seen.cost, seen.priced * kept)),
        latency=seconds + waiting,
        trouble=trouble,
        note=note,
        variance=squares - seconds * seconds,
        most=max(prior.cost, math.ceil(seen.dearest)),
    )


def _shrunk(prior: float, mean: float, count: float) -> float:
    return (PRIOR_CALLS * prior + count * mean) / (PRIOR_CALLS + count)


def _ranked(expected: Sequence[Expected], prefer: Prefer | float) -> list[Expected]:
    """Healthy before not, good enough before not, then by score; ties by name."""
    sound = [e for e in expected if not e.trouble]
    floor = GOOD_ENOUGH * max((e.quality for e in sound), default=0)
    ranked = sorted(sound, key=lambda e: (e.quality < floor, -e.score(prefer), e.expert))
    if len(sound) < len(expected):
        rest = [e for e in expected if e.trouble]
        least = GOOD_ENOUGH * max(e.quality for e in rest)
        ranked += sorted(rest, key=lambda e: (e.quality < least, -e.score(prefer), e.expert))
    return ranked


def _patience(ranked: Sequence[Expected], excluded: set[str]) -> float | None:
    """How long the first call may take before another expert is asked instead: only when there is one, and only
    at the first try, so that a task that simply takes long ends with an expert that is let finish."""
    if excluded or len(ranked) < 2 or not ranked[1].healthy:
        return None
    return max(LEAST_PATIENCE, PATIENCE * ranked[0].tail)


def _candidate(expected: Expected, prefer: Prefer | float, refusal: str = "") -> Candidate:
    extra = [t for t in (refusal, expected.trouble, expected.note) if t]
    return Candidate(
        expert=expected.expert,
        score=expected.score(prefer),
        quality=expected.quality,
        cost=expected.cost,
        latency=expected.latency,
        healthy=expected.healthy,
        why="; ".join([", ".join(_terms(expected)), *extra]),
    )


def _terms(expected: Expected) -> tuple[str, str, str]:
    return (
        f"quality {expected.quality:.2f}",
        money(expected.cost),
        f"~{duration(expected.latency)}",
    )


def _reason(
    ranked: Sequence[Expected],
    refused: Sequence[Expected],
    budget: int | None,
    prefer: Prefer | float,
) -> str:
    best = ranked[0]
    told = [f"{best.expert}: {', '.join(_terms(best))}"]
    if best.trouble:
        told[0] += f", although {best.trouble}: nothing else is at hand"
    elif best.note:
        told[0] += f", {best.note}"
    if prefer != "balanced" and len(ranked) > 1:
        told[0] += f" ({_named(prefer)} preferred)"
    if len(ranked) > 1:
        told.append(f"runner-up {_against(ranked[1], best)}")
    elif not refused:
        told[0] += "; the only one that can serve it"
    told += [f"{e.expert} refused: {_over(e, budget)}" for e in refused[:SHOWN]]
    if len(refused) > SHOWN:
        told.append(f"{len(refused) - SHOWN} more refused")
    return "; ".join(told)


def _named(prefer: Prefer | float) -> str:
    if isinstance(prefer, str):
        return prefer
    low, high = ("quality", "cost") if prefer <= 0.5 else ("cost", "latency")
    share = 2 * prefer if prefer <= 0.5 else 2 * prefer - 1
    return (
        low
        if share <= 0
        else high
        if share >= 1
        else f"{low} {1 - share:.0%} to {high} {share:.0%}"
    )


def _against(other: Expected, best: Expected) -> str:
    """The runner-up in words: what it has for it, "but" what it has against it."""
    quality, cost, latency = _terms(other)
    pairs = (
        (quality, other.quality >= best.quality),
        (cost, other.cost <= best.cost),
        (latency, other.latency <= best.latency),
    )
    good = [term for term, better in pairs if better]
    bad = [term for term, better in pairs if not better]
    if other.trouble:
        bad = [*bad, other.trouble]
    joined = " but ".join(" and ".join(p) for p in (good, bad) if p)
    return f"{other.expert}: {joined}"


def _over(expected: Expected, budget: int | None) -> str:
    return f"over budget, may cost {money(expected.most)} and {money(budget or 0)} is left"


def _why_none(
    by_name: Iterable[str], excluded: set[str], refused: Sequence[Expected], budget: int | None
) -> str:
    serving = sorted(by_name)
    if not serving:
        return "none of the experts that run serves it; start one that does"
    told = [f"{n} was tried already" for n in serving if n in excluded]
    told += [f"{e.expert} is {_over(e, budget)}" for e in refused]
    return "; ".join(told)


def money(micro_dollars: int) -> str:
    """For people: "free", "0.2 ct", "$1.50"."""
    if micro_dollars == 0:
        return "free"
    if micro_dollars >= 1_000_000:
        return f"${micro_dollars / 1_000_000:,.2f}"
    return f"{micro_dollars / 10_000:.2g} ct"


def duration(seconds: float) -> str:
    """For people: "20 ms", "1.5 s", "3 min"."""
    if seconds < 0.9995:
        return f"{max(1, round(seconds * 1_000))} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


__all__ = ["Expected", "choose", "duration", "expect", "money"]
