"""How likely a plan is right: a probability from what is known of the decision, and what it is compared with.

A logistic regression over features of one clause's reading, fitted to plans that are known to be right or wrong
(learned/training/confidence.py), then Platt-scaled on held-out folds (Platt 1999), so that of the plans with
confidence p about the share p is right. A plan is as sure as all of its clauses together: the product.

Two thresholds go with it, each with the coverage that held-out plans showed: `sure`, from which a plan is taken
without asking the next planner, and `least`, below which it is not offered at all.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

Floats: TypeAlias = NDArray[np.float64]
Way = Literal["exact", "table", "texts", "capability", "foreign"]

WEIGHTS = Path(__file__).with_name("confidence.safetensors")
FAR = 2.5
WAYS: tuple[Way, ...] = ("exact", "table", "texts", "capability", "foreign")
FEATURES = (
    *(f"way is {way}" for way in WAYS),
    "score of the reading",
    "words accounted for",
    "names and numbers accounted for",
    "likeness of the nearest capability",
    "lead over the next",
    "cue words",
    "in scope (log-odds)",
    "nearness to what nothing here does",
    "assumptions",
    "length",
    "refers back",
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of how one clause was read. score: of the reading, not calibrated. share: of the words,
    literals: of the names and numbers, that the reading accounts for. likeness, lead, cue: of the capability
    found first. odds: log-odds of being in scope. nearness: cosine to an example of what nothing here does.
    """

    way: Way
    score: float
    share: float = 1.0
    literals: float = 1.0
    likeness: float = 0.0
    lead: float = 0.0
    cue: float = 0.0
    odds: float = 0.0
    nearness: float = 0.0
    assumptions: int = 0
    words: int = 1
    refers_back: bool = False

    def features(self) -> Floats:
        """[len(FEATURES)] float64, in the order of FEATURES."""
        ways = [float(self.way == way) for way in WAYS]
        odds = max(-5.0, min(5.0, self.odds)) / 5
        rest = [self.score, self.share, self.literals, self.likeness, self.lead, self.cue, odds]
        rest += [self.nearness, min(self.assumptions, 3) / 3, math.log(max(1, self.words)) / 3]
        return np.array([*ways, *rest, float(self.refers_back)])


@dataclass(frozen=True, slots=True)
class Threshold:
    """A confidence, and what held-out plans at or above it showed: the share of plans that were right, and
    the share of right plans that reach it.
    """

    confidence: float
    precision: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Confidence:
    """weights, centre, spread: [len(FEATURES)] float64. slope, shift: of the Platt scale."""

    weights: Floats
    centre: Floats
    spread: Floats
    bias: float
    slope: float
    shift: float
    sure: Threshold
    least: Threshold

    def of(self, evidence: Evidence) -> float:
        """The probability that a clause was read rightly, 0..1."""
        return float(self.of_rows(evidence.features()[None])[0])

    def of_rows(self, rows: Floats) -> Floats:
        """Probabilities of features, [n, len(FEATURES)] float64 to [n] float64."""
        odds = self.standard(rows) @ self.weights + self.bias
        made: Floats = 1 / (1 + np.exp(-np.clip(self.slope * odds + self.shift, -40, 40)))
        return made

    def standard(self, rows: Floats) -> Floats:
        """Features in standard deviations from their mean, cut at FAR: one odd feature must not decide alone."""
        made: Floats = np.clip((rows - self.centre) / self.spread, -FAR, FAR)
        return made

    def reasons(self, evidence: Evidence, *, most: int = 3) -> list[str]:
        """What weighed most, for and against: "in scope (log-odds) speaks for it"."""
        parts = self.standard(evidence.features()) * self.weights * self.slope
        strongest = sorted(range(len(FEATURES)), key=lambda i: -abs(parts[i]))[:most]
        return [
            f"{FEATURES[i]}: speaks {'for' if parts[i] > 0 else 'against'} it"
            for i in strongest
            if abs(parts[i]) >= 0.1
        ]

    def save(self, path: Path) -> None:
        tensors = {"weights": self.weights, "centre": self.centre, "spread": self.spread}
        numbers = {"bias": self.bias, "slope": self.slope, "shift": self.shift}
        marks = {n: _written(t) for n, t in (("sure", self.sure), ("least", self.least))}
        save_file(tensors, path, metadata={"numbers": json.dumps(numbers), **marks})


def together(clauses: Sequence[float]) -> float:
    """The confidence in a plan, from those in its clauses: all must be right."""
    return math.prod(clauses)


def _written(mark: Threshold) -> str:
    return json.dumps([mark.confidence, mark.precision, mark.coverage])


@lru_cache(maxsize=4)
def confidence(path: Path = WEIGHTS) -> Confidence:
    """The fitted confidence that ships, or that of another file."""
    with safe_open(path, framework="numpy") as held:
        told: Mapping[str, str] = held.metadata()
        numbers = json.loads(told["numbers"])
        marks = [Threshold(*json.loads(told[n])) for n in ("sure", "least")]
        return Confidence(
            held.get_tensor("weights"),
            held.get_tensor("centre"),
            held.get_tensor("spread"),
            numbers["bias"],
            numbers["slope"],
            numbers["shift"],
            *marks,
        )
