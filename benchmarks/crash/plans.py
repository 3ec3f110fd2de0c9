"""Random plans over all four effect classes, and what each of their calls is worth."""

import random
from collections.abc import Mapping
from typing import Any, Final

PRIME: Final = 9973
SALT: Final[Mapping[str, int]] = {
    "crash.pure": 1,
    "crash.idempotent": 2,
    "crash.keyed": 3,
    "crash.once": 4,
    "crash.charge": 5,
}
"""Capabilities that give a number. `crash.once` can be asked whether it was done, `crash.charge` cannot."""
NUMBERS: Final = "crash.numbers"
"""Gives a list of numbers."""
WEIGHTS: Final[Mapping[str, int]] = {
    "crash.pure": 3,
    "crash.idempotent": 2,
    "crash.keyed": 3,
    "crash.once": 2,
    "crash.charge": 1,
    NUMBERS: 1,
}
FEWEST, MOST = 3, 12


def worth(capability: str, number: int, inputs: Any) -> Any:
    """What a call gives: a function of its arguments alone, so that it can be checked afterwards."""
    if capability == NUMBERS:
        return [(number * 7 + i) % PRIME for i in range(1 + number % 4)]
    return (31 * number + 7 * total(inputs) + SALT[capability]) % PRIME


def total(inputs: Any) -> int:
    """The sum of all numbers in a nested list; null counts as nothing."""
    if isinstance(inputs, list):
        return sum(total(i) for i in inputs)
    return int(inputs) if inputs is not None else 0


def random_plan(rng: random.Random) -> dict[str, Any]:
    """A plan in its JSON form: 3 to 12 tasks, some looping, some guarded, some only waiting."""
    tasks: list[dict[str, Any]] = []
    for index in range(rng.randint(FEWEST, MOST)):
        tasks.append(_task(rng, index, tasks))
    return {"tasks": tasks}


def _task(rng: random.Random, index: int, before: list[dict[str, Any]]) -> dict[str, Any]:
    capability = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    ids = [t["id"] for t in before]
    number: Any = rng.randint(0, 999)
    task: dict[str, Any] = {"id": f"t{index}", "capability": capability}
    inputs = [{"$task": id} for id in rng.sample(ids, min(len(ids), rng.choice((0, 1, 1, 2))))]
    if capability != NUMBERS and rng.random() < 0.15:
        task["for_each"] = {"over": _items(rng, before)}
        number = {"$item": ""}
    scalars = [t["id"] for t in before if t["capability"] != NUMBERS and "for_each" not in t]
    if scalars and rng.random() < 0.12:
        ref = {"$task": rng.choice(scalars)}
        task["when"] = {"ref": ref, "op": rng.choice(("lt", "ge")), "value": PRIME // 3}
    if ids and rng.random() < 0.2:
        task["after"] = [rng.choice(ids)]
    task["arguments"] = {"number": number, "inputs": inputs}
    return task


def _items(rng: random.Random, before: list[dict[str, Any]]) -> Any:
    lists = [t["id"] for t in before if t["capability"] == NUMBERS]
    if lists and rng.random() < 0.7:
        return {"$task": rng.choice(lists)}
    return [rng.randint(0, 999) for _ in range(rng.randint(1, 4))]
