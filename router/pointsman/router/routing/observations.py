"""What was seen of the experts: calls, failures, heartbeats. A value; the functions give a new one.

    seen = heartbeat(Observations(), "minilm", queued=0, now=now)
    seen = observe(seen, "minilm", "text.sentiment", seconds=0.02, ok=True, now=now)

The state lives with the controller; `to_json` and `from_json` keep it over restarts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

Pair: TypeAlias = tuple[str, str]

MEMORY = 50
"""Calls that a mean remembers: beyond them it is an exponential one, so that it follows a change."""
HALF_LIFE = 300.0
"""Seconds after which an observation counts half: an expert that had a bad hour gets another chance."""
OPEN_AFTER = 3
"""Failures in a row after which a circuit opens."""
OPEN_SECONDS = 30.0
OPEN_LONGEST = 300.0
TRIAL_SECONDS = 15.0
"""How long a half-open circuit waits for the call that tries it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Of one expert and one capability.

    calls, good: weights of the means, at most MEMORY. seconds, squares: means of the good calls' seconds and of
    their squares. cost: mean in
    micro-dollars of the calls whose cost is known (`priced`), dearest: the highest of them. open_until, at (the last call): seconds since
    the epoch.
    """

    calls: float = 0.0
    success: float = 1.0
    good: float = 0.0
    seconds: float = 0.0
    squares: float = 0.0
    priced: float = 0.0
    cost: float = 0.0
    dearest: float = 0.0
    failures_in_a_row: int = 0
    open_until: float = 0.0
    at: float = 0.0

    def faded(self, now: float) -> "Observed":
        """With the weights that the means have after the time that passed."""
        kept = self.kept(now)
        return replace(
            self, calls=self.calls * kept, good=self.good * kept, priced=self.priced * kept, at=now
        )

    def kept(self, now: float) -> float:
        """The share of their weight that the means have left."""
        return math.exp2(-max(0.0, now - self.at) / HALF_LIFE)

    def is_open(self, now: float) -> bool:
        """No call should be made."""
        return now < self.open_until

    def is_half_open(self, now: float) -> bool:
        """One call may try whether it works again."""
        return self.failures_in_a_row >= OPEN_AFTER and not self.is_open(now)


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life of an expert. queued: tasks that wait for it; workers: how many serve it."""

    at: float
    queued: int = 0
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Observations:
    pairs: Mapping[Pair, Observed] = field(default_factory=dict)
    beats: Mapping[str, Beat] = field(default_factory=dict)

    def of(self, expert: str, capability: str) -> Observed:
        return self.pairs.get((expert, capability), UNSEEN)

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": [
                {"expert": e, "capability": c, **PAIR.dump_python(o)}
                for (e, c), o in sorted(self.pairs.items())
            ],
            "beats": {e: BEAT.dump_python(b) for e, b in sorted(self.beats.items())},
        }

    @classmethod
    def from_json(cls, value: Any) -> "Observations":
        """What another version wrote and cannot be read is forgotten: it is only experience."""
        try:
            pairs = {
                (str(p["expert"]), str(p["capability"])): PAIR.validate_python(
                    {k: v for k, v in p.items() if k not in ("expert", "capability")}
                )
                for p in value["pairs"]
            }
            beats = {str(e): BEAT.validate_python(b) for e, b in value["beats"].items()}
        except (KeyError, TypeError, AttributeError, ValidationError):
            return cls()
        return cls(pairs, beats)


UNSEEN = Observed()
PAIR: TypeAdapter[Observed] = TypeAdapter(Observed)
BEAT: TypeAdapter[Beat] = TypeAdapter(Beat)


def observe(
    observations: Observations,
    expert: str,
    capability: str,
    seconds: float,
    ok: bool,
    now: float,
    *,
    cost: int | None = None,
) -> Observations:
    """After a call. ok is false only for the expert's own faults, not for bad arguments.

    seconds count only for good calls: a quick failure makes no expert quick. cost: micro-dollars.
    """
    seen = observations.of(expert, capability).faded(now)
    calls = min(seen.calls + 1, MEMORY)
    seen = replace(seen, calls=calls, success=_mean(seen.success, float(ok), calls))
    if cost is not None:
        priced = min(seen.priced + 1, MEMORY)
        dearest = max(seen.dearest, cost)
        seen = replace(seen, priced=priced, cost=_mean(seen.cost, cost, priced), dearest=dearest)
    if ok:
        good = min(seen.good + 1, MEMORY)
        took = max(0.0, seconds)
        seen = replace(
            seen,
            good=good,
            seconds=_mean(seen.seconds, took, good),
            squares=_mean(seen.squares, took * took, good),
            failures_in_a_row=0,
            open_until=0.0,
        )
    else:
        failures = seen.failures_in_a_row + 1
        beyond = min(failures - OPEN_AFTER, 10)
        wait = min(OPEN_SECONDS * 2.0**beyond, OPEN_LONGEST) if beyond >= 0 else 0.0
        open_until = now + wait if wait else 0.0
        seen = replace(seen, failures_in_a_row=failures, open_until=open_until)
    return replace(observations, pairs={**observations.pairs, (expert, capability): seen})


def tried(observations: Observations, expert: str, capability: str, now: float) -> Observations:
    """Before a call: closes a half-open circuit to others until this call has told how it is."""
    seen = observations.of(expert, capability)
    if not seen.is_half_open(now):
        return observations
    seen = replace(seen, open_until=now + TRIAL_SECONDS)
    return replace(observations, pairs={**observations.pairs, (expert, capability): seen})


def heartbeat(
    observations: Observations, expert: str, now: float, *, queued: int = 0, workers: int = 1
) -> Observations:
    """A sign of life of an expert."""
    beat = Beat(now, max(0, queued), max(1, workers))
    return replace(observations, beats={**observations.beats, expert: beat})


def _mean(mean: float, value: float, weight: float) -> float:
    return mean + (value - mean) / weight


__all__ = ["Beat", "Observations", "Observed", "heartbeat", "observe", "tried"]
