"""Nothing is lost and nothing is done twice while the processes are killed; the checks see what is planted."""

import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.router.catalog import Catalog
from pointsman.router.events import (
    CancelRequested,
    Event,
    EventId,
    Fault,
    Posted,
    RunEnded,
    TaskDone,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskStarted,
)
from pointsman.router.plan import parse_plan, validate

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks are no part of what is installed

from benchmarks.crash.plans import random_plan, worth
from benchmarks.crash.tools import tools
from benchmarks.crash.trial import Conditions, conduct
from benchmarks.crash.verify import Facts, check, check_effects, check_stream, unknown_effects
from benchmarks.crash.witness import Sight

KILLS = 30


def test_thirty_kills_lose_nothing_and_repeat_nothing() -> None:
    seed = 4 if os.environ.get("CI") else random.randrange(10**9)
    found = conduct(Conditions(kills=KILLS, seed=seed, gap=0.7))
    assert found.violations == [], f"python -m benchmarks crash --kills {KILLS} --seed {seed}"
    assert found.toll.kills.total() == KILLS
    assert found.tasks["done"] > KILLS


def test_random_plans_are_valid() -> None:
    catalog = Catalog(t.capability for t in tools("http://127.0.0.1:9"))
    for seed in range(300):
        validate(parse_plan(random_plan(random.Random(seed))), catalog)


# --- the checks find what is planted --------------------------------------------------------------


def attempt(task: str, *, number: int = 1) -> list[Event]:
    return [
        TaskRouted(task, number, {"expert": "outside"}, 0.0),
        TaskStarted(task, number, "w", 0.0),
    ]


def done(task: str, *, number: int = 1) -> Event:
    return TaskDone(task, number, "number", "1", "", {}, 0.0, 0.0)


def posted(*events: Event) -> tuple[Posted, ...]:
    return tuple(Posted(EventId(f"{n}-0"), e) for n, e in enumerate(events, 1))


ENDED = RunEnded("done", {}, 0.0, 0.0)
A = worth("crash.keyed", 7, [])
B = worth("crash.once", 9, [A])


def facts(*events: Event, **fields: Any) -> Facts:
    """A run of two tasks, b after a, in which nothing is wrong unless `fields` says otherwise."""
    plan = {
        "tasks": [
            {"id": "a", "capability": "crash.keyed", "arguments": {"number": 7, "inputs": []}},
            {
                "id": "b",
                "capability": "crash.once",
                "arguments": {"number": 9, "inputs": [{"$task": "a"}]},
            },
        ]
    }
    told = events or (
        TaskReady("a", 0.0),
        *attempt("a"),
        done("a"),
        *attempt("b"),
        done("b"),
        ENDED,
    )
    good = Facts(
        run="r",
        status="done",
        epoch=1,
        plan=parse_plan(plan),
        events=posted(*told),
        statuses={"a": "done", "b": "done"},
        slots={"a": A, "b": B},
        versions={"a": 1, "b": 1},
        effects={"a/0": "done", "b/0": "done"},
    )
    return replace(good, **fields)


def broken(one: Facts) -> set[str]:
    return {v.promise for v in check(one)}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert check(facts()) == []


GONE = Fault("expert.worker-lost", "gone", "expert", True)


@pytest.mark.parametrize(
    ("promise", "planted"),
    [
        ("end", lambda: facts(status="running")),
        ("end", lambda: facts(*attempt("a"), done("a"), *attempt("b"), done("b"), ENDED, ENDED)),
        ("end", lambda: facts(*attempt("a"), done("a"), *attempt("b"), done("b"))),
        ("settled", lambda: facts(statuses={"a": "done", "b": "running"})),
        ("settled", lambda: facts(*attempt("a"), done("a"), *attempt("b"), ENDED)),
        (
            "settled",
            lambda: facts(*attempt("a"), done("a"), *attempt("b"), done("b"), done("b"), ENDED),
        ),
        (
            "lost",
            lambda: facts(
                *attempt("a"),
                done("a"),
                *attempt("b"),
                TaskFailed("b", 1, GONE, False, 0.0),
                TaskFailed("b", 1, GONE, True, 0.0),
                ENDED,
            ),
        ),
        ("commit", lambda: facts(versions={"a": 2, "b": 1})),
        ("commit", lambda: facts(slots={"a": A})),
        (
            "commit",
            lambda: facts(
                *attempt("a"), done("a"), *attempt("b"), *attempt("b", number=2), done("b"), ENDED
            ),
        ),
        (
            "commit",
            lambda: facts(*attempt("a"), done("a"), *attempt("b"), *attempt("b")[1:], done("b")),
        ),
        ("order", lambda: facts(*attempt("a"), *attempt("b"), done("a"), done("b"), ENDED)),
        (
            "order",
            lambda: facts(
                *attempt("a"), done("a"), *attempt("b"), CancelRequested("", 0.0), done("b"), ENDED
            ),
        ),
        ("value", lambda: facts(slots={"a": A, "b": B + 1})),
        ("value", lambda: facts(statuses={"a": "skipped", "b": "done"})),
    ],
)
def test_what_is_planted_in_a_run_is_found(promise: str, planted: Callable[[], Facts]) -> None:
    assert promise in broken(planted())


def test_a_stream_that_lost_or_doubled_an_event_is_found() -> None:
    one = facts()
    ids = [str(p.id) for p in one.events]
    assert check_stream(one, ids, []) == []
    assert check_stream(one, ids[:2] + ids[3:], [])
    assert check_stream(one, ids[:2] + ids[1:], [])
    assert check_stream(one, ids, ["it is gone"])


def application(task: str, capability: str) -> dict[str, str]:
    return {"run": "r", "task": task, "capability": capability}


def test_effects_that_took_place_twice_are_found_unless_a_person_asked_for_it() -> None:
    keyed, once = application("a", "crash.keyed"), application("b", "crash.once")
    runs = {"r": facts()}
    assert check_effects(runs, [keyed, once], {}) == []
    assert [v.promise for v in check_effects(runs, [keyed, keyed, once], {})] == ["keyed"]
    assert [v.promise for v in check_effects(runs, [keyed, once, once], {})] == ["once"]
    assert check_effects(runs, [keyed, once, once], {("r", "b"): 1}) == []
    allowed = {("r", "a"): 1}
    assert [v.promise for v in check_effects(runs, [keyed, keyed, once], allowed)] == ["keyed"]


@pytest.mark.parametrize(
    ("state", "status", "took_place", "wrong"),
    [
        (None, "failed", True, True),
        ("unknown", "failed", True, False),
        ("unknown", "failed", False, False),
        ("intent", "cancelled", True, False),
        ("done", "cancelled", True, False),
        ("done", "failed", False, True),
        ("cleared", "failed", True, True),
        ("cleared", "failed", False, False),
        ("unknown", "done", True, True),
    ],
)
def test_the_ledger_says_of_each_effect_what_it_is(
    state: str | None, status: str, took_place: bool, wrong: bool
) -> None:
    effects = {"b/0": state} if state else {}
    one = facts(statuses={"a": "done", "b": status}, effects=effects)
    books = [application("b", "crash.once")] if took_place else []
    assert [v.promise for v in check_effects({"r": one}, books, {})] == ["unknown"] * wrong
    assert unknown_effects(one) == (["b/0"] if state in ("intent", "unknown") else [])


def test_the_witness_sees_a_result_that_changes_and_a_fence_that_falls() -> None:
    sight = Sight()
    assert sight.compare(1, {"a": 1}, {}) == []
    assert sight.compare(2, {"a": 2}, {"a": "5"}) == []
    assert len(sight.compare(1, {"a": 1}, {"a": "6"})) == 3
