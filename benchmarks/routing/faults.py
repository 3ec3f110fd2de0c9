"""Faults: experts that fail, hang, flap or answer with the wrong schema; what routing saves of it.

A simulation of time only: choice, experience, circuit breakers and patience are the product's own functions
(`choose`, `observe`, `tried`), the rule of retries is the reducer's (three attempts, another expert after a failure).
Three experts of about equal worth serve one capability; requests come at random and keep no expert busy.

Ways: one expert (the best by its card, tried again); fallbacks (the runner-up after a failure, no memory);
breakers (what was seen moves the choice, circuits open); patience (a first call that takes longer than its expert
ever does is given up for the runner-up: what ships); hedging (in place of patience a second call beside the first
after the tail, whichever ends first: not in the product, where a task has one attempt at a time).
"""

import heapq
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from benchmarks.routing import Options
from pointsman.router.cards import ExpertCard, Route
from pointsman.router.catalog import Prior
from pointsman.router.errors import NoExpert
from pointsman.router.routing import Observations, choose, expect, heartbeat, observe, tried
from pointsman.router.run import MAX_ATTEMPTS

Way = Literal["one expert", "fallbacks", "breakers", "patience", "hedging"]
WAYS: tuple[Way, ...] = ("one expert", "fallbacks", "breakers", "patience", "hedging")
REQUESTS = 5_000
RATE = 5.0
"""Requests a second."""
LONGEST = 120.0
"""Seconds after which any call is given up, as the dispatcher does."""
WHAT = "text.summarise"
START = 1_800_000_000.0
CARDS = tuple(
    ExpertCard(name, "remote", name, {WHAT: Prior(quality, 0, 0.4)}, concurrency=64)
    for name, quality in (("first", 0.90), ("second", 0.89), ("third", 0.88))
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the best expert, or with everyone. failing: share of its calls; seconds: how long such a call takes.

    period: seconds of a cycle, of which it is wrong in the first half; 0: always.
    """

    name: str
    failing: float
    seconds: float
    period: float = 0.0
    succeeds: bool = False
    everyone: bool = False


FAULTS = (
    Fault("none", 0.0, 0.0),
    Fault("errors (30 %, at once)", 0.3, 0.02),
    Fault("down (all, at once)", 1.0, 0.02),
    Fault("wrong schema (50 %, after the answer)", 0.5, 0.4),
    Fault("flapping (all, 60 s of 120 s)", 1.0, 0.02, 120.0),
    Fault("slow (2 % take 20 s)", 0.02, 20.0, succeeds=True),
    Fault("hangs (2 % never end)", 0.02, 1e9),
    Fault("everyone errs (30 %, at once)", 0.3, 0.02, everyone=True),
    Fault("everyone slow (2 % take 20 s)", 0.02, 20.0, succeeds=True, everyone=True),
    Fault("everyone hangs (2 % never end)", 0.02, 1e9, everyone=True),
)


@dataclass
class World:
    """One way under one fault. learns: a heap of (when a call has ended, order, expert, seconds, ok)."""

    way: Way
    fault: Fault
    rng: np.random.Generator
    seen: Observations = field(default_factory=Observations)
    learns: list[tuple[float, int, str, float, bool]] = field(default_factory=list)
    calls: int = 0

    def call(self, expert: str, at: float) -> tuple[float, bool]:
        """Seconds and success of a call that begins at `at`."""
        self.calls += 1
        seconds = float(self.rng.lognormal(np.log(0.35), 0.5))
        fault = self.fault
        wrong = not fault.period or at % fault.period < fault.period / 2
        if (expert == "first" or fault.everyone) and wrong and self.rng.random() < fault.failing:
            return min(fault.seconds, LONGEST), fault.succeeds and fault.seconds < LONGEST
        return seconds, True

    def route(self, at: float, exclude: tuple[str, ...]) -> Route:
        """Raises NoExpert."""
        while self.learns and self.learns[0][0] <= at:
            ended, _, expert, seconds, ok = heapq.heappop(self.learns)
            self.seen = observe(self.seen, expert, WHAT, seconds, ok, ended)
        for card in CARDS:
            self.seen = heartbeat(self.seen, card.name, at)
        route = choose(WHAT, CARDS, self.seen, exclude=exclude, now=at)
        self.seen = tried(self.seen, route.expert, WHAT, at)
        return route

    def learn(self, expert: str, at: float, seconds: float, ok: bool) -> None:
        if self.way not in ("one expert", "fallbacks"):
            heapq.heappush(self.learns, (at + seconds, self.calls, expert, seconds, ok))

    def request(self, began: float) -> tuple[bool, float]:
        """Whether it was served, and after how many seconds."""
        at, exclude = began, ()
        for _ in range(MAX_ATTEMPTS):
            try:
                route = self.route(at, exclude)
            except NoExpert:
                return False, at - began
            seconds, ok = self.attempt(route, at)
            at += seconds
            if ok:
                return True, at - began
            if self.way != "one expert":
                exclude = (*exclude, route.expert)
        return False, at - began

    def attempt(self, route: Route, at: float) -> tuple[float, bool]:
        seconds, ok = self.call(route.expert, at)
        if self.way == "patience" and route.patience is not None and seconds > route.patience:
            seconds, ok = route.patience, False
        if self.way == "hedging" and len(route.candidates) > 1:
            return self.hedged(route, at, seconds, ok)
        self.learn(route.expert, at, seconds, ok)
        return seconds, ok

    def hedged(self, route: Route, at: float, seconds: float, ok: bool) -> tuple[float, bool]:
        card = next(c for c in CARDS if c.name == route.expert)
        after = expect(card, WHAT, self.seen, now=at).tail
        if seconds <= after:
            self.learn(route.expert, at, seconds, ok)
            return seconds, ok
        second = route.candidates[1].expert
        more, fine = self.call(second, at + after)
        self.learn(second, at + after, more, fine)
        if fine and after + more < seconds:
            # the first is dropped; that it took longer is all that is known of it
            self.learn(route.expert, at, after + more, False)
            return after + more, True
        self.learn(route.expert, at, seconds, ok)
        return seconds, ok


def run(options: Options) -> dict[str, object]:
    figures: dict[str, object] = {}
    print(f"  {'fault of the best of three':38}" + "".join(f"{way:>24}" for way in WAYS))
    print(f"  {'':38}" + f"{'served      p99  calls':>24}" * len(WAYS))
    for fault in FAULTS:
        row: dict[str, object] = {}
        for way in WAYS:
            served, tail, calls = np.mean([_one(way, fault, s) for s in options.seeds], 0).tolist()
            row[way] = {
                "served": round(served, 5),
                "p99_s": round(tail, 3),
                "calls": round(calls, 3),
            }
        figures[fault.name] = row
        cells = [f"{r['served']:8.2%} {r['p99_s']:6.2f} s {r['calls']:5.2f}" for r in row.values()]  # type: ignore[index]
        print(f"  {fault.name:38}" + "".join(f"{cell:>24}" for cell in cells))
    return figures


def _one(way: Way, fault: Fault, seed: int) -> tuple[float, float, float]:
    """Share that was served, 99th percentile of the seconds of all requests, calls a request."""
    world = World(way, fault, np.random.default_rng(seed))
    times = START + np.cumsum(np.random.default_rng(seed + 99).exponential(1 / RATE, REQUESTS))
    outcomes = [world.request(float(at)) for at in times]
    served = float(np.mean([ok for ok, _ in outcomes]))
    tail = float(np.quantile([seconds for _, seconds in outcomes], 0.99))
    return served, tail, world.calls / REQUESTS
