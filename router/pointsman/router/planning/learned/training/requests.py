"""Requests with the plans that are right for them (requests.yaml), and the verdict on a plan."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pointsman.router.plan import Plan
from pointsman.router.planning.base import Refusal

READERS = ("table.read", "text.read")
FILE = Path(__file__).parent / "requests.yaml"


@dataclass(frozen=True, slots=True)
class Example:
    """A request. files: names in examples/; a folder stands for all in it. choices: sorted capabilities of the
    plans that are right, readers left out; empty: nothing serves it. arguments: by "capability.argument".
    """

    text: str
    files: tuple[str, ...] = ()
    choices: tuple[tuple[str, ...], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_scope(self) -> bool:
        return bool(self.choices)


def load(path: Path = FILE) -> list[Example]:
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
    return [_example(e) for e in entries]


def _example(entry: Mapping[str, Any]) -> Example:
    said = [] if entry.get("refuse") else " ".join(entry["caps"]).split("|")
    return Example(
        entry["q"],
        tuple(entry.get("files", ())),
        tuple(tuple(sorted(c.split())) for c in said),
        entry.get("args", {}),
    )


def right(example: Example, outcome: Plan | Refusal) -> bool:
    """Whether a plan has the right capabilities with the arguments that are known; or rightly none."""
    if isinstance(outcome, Refusal):
        return not example.in_scope
    if not example.in_scope or outcome.unserved:
        return False
    made = Counter(
        t.capability for t in outcome.tasks if t.when is None and t.capability not in READERS
    )
    if not any(made == Counter(c) for c in example.choices):
        return False
    return all(_stands(outcome, key, value) for key, value in example.arguments.items())


def _stands(plan: Plan, key: str, wanted: Any) -> bool:
    name, _, argument = key.rpartition(".")
    given: Sequence[Any] = [t.arguments.get(argument) for t in plan.tasks if t.capability == name]
    return any(_alike(g, wanted) for g in given)


def _alike(given: Any, wanted: Any) -> bool:
    if isinstance(given, str) and isinstance(wanted, str):
        return given.casefold() == wanted.casefold()
    return bool(given == wanted)
