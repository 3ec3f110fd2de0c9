"""The examples are what they say, the right answers follow from them, and each check can fail."""

import copy
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from pointsman.client import Answer
from pointsman.client.results import Event, Part

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks are no part of what is installed

from benchmarks.planning.requests import more
from benchmarks.requests import gold_more, requests
from benchmarks.requests.checks import CHECKS, PNG, Seen, known, wrong
from benchmarks.requests.gold import EXAMPLES, compute, rows

MADE = ("sales.csv", "employees.json")
GOLD = {"n": 7.5, "all": [["a", 1.0], ["b", 2.0]], "ids": ["x", "y"]}


def table(columns: list[str], *rows: list[Any]) -> Part:
    value: dict[str, Any] = {"kind": "table"}
    value["columns"] = [{"name": c, "type": "text"} for c in columns]
    return Part("t", "t", "table", value | {"rows": list(rows), "row_count": len(rows)})


def answer(*parts: Part, status: Any = "done", text: str = "so it is") -> Answer:
    return Answer("r", status, text, parts)


def text(words: str, kind: str = "text") -> Part:
    return Part("t", "t", kind, {"text": words} if kind == "answer" else words)


def spans(*moments: tuple[str, str, float]) -> list[Event]:
    return [Event(str(i), t, at, {"task": task}) for i, (t, task, at) in enumerate(moments)]


COUNTED = ["topic", "count"]
TABLE = table(["k", "v"], ["a", 1], ["b", 2])
QUANTITY = Part("t", "t", "quantity", {"kind": "quantity", "value": "7.5", "unit": "m"})
PICTURE = Part("t", "t", "picture", {"kind": "picture", "file": "good"})
BROKEN = Part("t", "t", "picture", {"kind": "picture", "file": "bad"})
WORKBOOK = Part("t", "t", "file", {"kind": "file", "id": "book", "name": "all.xlsx"})


def call(capability: str, **arguments: Any) -> Part:
    return Part("t", "t", "object", {"capability": capability, "arguments": arguments})


def book(rows: int) -> bytes:
    """An Excel file with so many rows below its header."""
    made, out = Workbook(), io.BytesIO()
    sheet = made.active
    assert sheet is not None
    for number in range(rows + 1):
        sheet.append([number])
    made.save(out)
    return out.getvalue()


CASES: list[tuple[dict[str, Any], list[Answer], list[Answer]]] = [
    (
        {"value": "$n"},
        [answer(QUANTITY), answer(table(["v"], [7.5]))],
        [answer(table(["v"], [7.4])), answer(table(["v"], [7.5], [1])), answer(status="failed")],
    ),
    (
        {"count": 2},
        [answer(TABLE, text="2 rows"), answer(table(["count"], [2]))],
        [answer(TABLE), answer(table(["count"], [3]))],
    ),
    (
        {"rows": "$all", "ordered": True},
        [answer(TABLE)],
        [answer(table(["k", "v"], ["b", 2], ["a", 1])), answer(table(["k", "v"], ["a", 1]))],
    ),
    (
        {"rows": "$all"},
        [answer(table(["k", "v"], ["b", 2], ["a", 1]))],
        [answer(table(["k", "v"], ["b", 1], ["a", 2]))],
    ),
    (
        {"column": {"name": "k", "equals": ["a", "b"]}},
        [answer(TABLE)],
        [answer(table(["k"], ["a"])), answer(table(["k"], ["a"], ["a"]))],
    ),
    (
        {"f1": {"key": "id", "gold": "$ids", "least": 0.8}},
        [answer(table(["id"], ["x"], ["y"]))],
        [answer(table(["id"], ["x"], ["z"], ["w"])), answer(TABLE)],
    ),
    (
        {"labels": {"least": 2, "most": 3, "total": 5, "names": ["Pay", "Door"]}},
        [answer(table(COUNTED, ["pay", 3], ["door", 2]))],
        [
            answer(table(COUNTED, ["pay", 3], ["door", 1])),
            answer(table(COUNTED, ["pay", 3], ["pay", 2])),
            answer(table(COUNTED, ["pay", 3], ["cat", 2])),
        ],
    ),
    (
        {"readable": True},
        [answer(table(COUNTED, ["late delivery", 3]))],
        [answer(table(COUNTED, ["topic_3", 3], ["17", 1])), answer(TABLE)],
    ),
    ({"contains": ["Ab"]}, [answer(text("x ab"))], [answer(text("ba"))]),
    ({"lacks": ["ab"]}, [answer(text("ba"))], [answer(text("x AB"))]),
    (
        {"cells": ["Ann Ray"]},
        [answer(table(["value"], ["Ann Ray"]))],
        [answer(table(["text"], ["Ann Ray " + "and so on " * 9])), answer(text("Ann Ray"))],
    ),
    (
        {"first": "slug"},
        [answer(table(["text"], ["a slug"], ["b"]))],
        [answer(table(["text"], ["b"], ["a slug"]))],
    ),
    (
        {"short": 9},
        [answer(text("nine", "answer"))],
        [answer(text("far too long", "answer")), answer(text("nine"))],
    ),
    (
        {"sentences": {"of": "One. Two. Three.", "least": 1, "most": 2}},
        [answer(text("One. Three."))],
        [answer(text("One. Two. Three.")), answer(text("Four."))],
    ),
    ({"picture": True}, [answer(PICTURE)], [answer(BROKEN), answer(TABLE)]),
    ({"top": ["a", 1]}, [answer(TABLE)], [answer(table(["k", "v"], ["b", 2], ["a", 1]))]),
    ({"workbook": 2}, [answer(WORKBOOK)], [answer(TABLE)]),
    ({"workbook": 3}, [], [answer(WORKBOOK)]),
    (
        {"called": {"capability": "film.find", "arguments": {"query": "Up", "page": 1}}},
        [answer(call("film.find", query="up", page=1))],
        [
            answer(call("film.find", query="up")),
            answer(call("film.find", query="up", page=2)),
            answer(call("film.show", query="up", page=1)),
        ],
    ),
    (
        {"called": {"capability": "film.find"}},
        [answer(call("film.find", query="up"))],
        [answer(call("film.show"))],
    ),
    (
        {"refused": True},
        [answer(status="refused")],
        [answer(TABLE, status="refused"), answer(), answer(status="refused", text="")],
    ),
]


def seen(given: Answer, events: list[Event] | None = None) -> Seen:
    files = {"good": PNG + bytes(3000), "bad": b"<html>", "book": book(2)}
    return Seen(given, events or [], files.__getitem__)


@pytest.mark.parametrize(("check", "right", "not_right"), CASES, ids=lambda c: str(c)[:30])
def test_a_check_tells_right_from_wrong(
    check: dict[str, Any], right: list[Answer], not_right: list[Answer]
) -> None:
    for given in right:
        assert wrong(seen(given), [check], GOLD) == ""
    for given in not_right:
        assert wrong(seen(given), [check], GOLD)


def test_tasks_that_overlap_are_told_from_those_in_turn() -> None:
    both = spans(("task.started", "a", 1), ("task.started", "b", 2), ("task.done", "a", 3))
    turns = spans(("task.started", "a", 1), ("task.done", "a", 2), ("task.started", "b", 3))
    assert wrong(seen(answer(), both), [{"parallel": True}], GOLD) == ""
    assert wrong(seen(answer(), turns), [{"parallel": True}], GOLD)


def test_a_chart_is_of_the_kind_that_its_plan_says() -> None:
    task = {"capability": "chart.draw", "arguments": {"kind": "pie"}}
    events = [Event("1", "plan.proposed", 1.0, {"plan": {"tasks": [task]}})]
    assert wrong(seen(answer(), events), [{"drawn": "pie"}], GOLD) == ""
    assert wrong(seen(answer(), events), [{"drawn": "bar"}], GOLD)
    assert wrong(seen(answer()), [{"drawn": "pie"}], GOLD)


def test_each_check_is_tried_here() -> None:
    assert {next(iter(c)) for c, _, _ in CASES} | {"parallel", "drawn"} == set(CHECKS)


def test_requests_are_45_of_at_least_twelve_kinds_and_name_what_exists() -> None:
    asked, gold = requests(), compute()
    assert len(asked) == len({r["id"] for r in asked}) == 45
    assert len({r["kind"] for r in asked}) >= 12
    for request in asked:
        assert all((EXAMPLES / name).exists() for name in request.get("files", ()))
        assert request["checks"]
        for check in copy.deepcopy(request["checks"]):
            assert next(iter(check)) in CHECKS
            known(check, gold)


def test_further_requests_are_60_of_which_some_need_other_capabilities_and_some_nothing() -> None:
    further, gold = more(), gold_more.compute()
    assert len(further) == len({r["id"] for r in further}) == 60
    assert not {r["id"] for r in further} & {r["id"] for r in requests()}
    named = [next(iter(c)) for r in further for c in r["checks"]]
    assert set(named) <= set(CHECKS)
    assert named.count("called") == 15
    assert named.count("refused") == 6
    for request in further:
        assert all((EXAMPLES / name).exists() for name in request.get("files", ()))
        for check in copy.deepcopy(request["checks"]):
            known(check, gold)


def test_the_made_up_examples_are_made_again_to_the_letter(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "make.py", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "make.py")], check=True, timeout=60)
    for name in MADE:
        digest = [hashlib.sha256((f / name).read_bytes()).digest() for f in (EXAMPLES, tmp_path)]
        assert digest[0] == digest[1], name
    assert (tmp_path / "weather.parquet").stat().st_size > 1000


def test_the_examples_hold_what_their_page_says() -> None:
    reviews = rows("reviews.csv")
    assert len(reviews) == 160
    assert list(reviews[0]) == ["id", "product", "text"]
    assert len(rows("tickets.csv")) == 20
    assert len(rows("sales.csv")) == 400
    assert len(json.loads((EXAMPLES / "employees.json").read_text())) == 60
    assert len(list((EXAMPLES / "notes").iterdir())) == 8
    page = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name in page or path.name in {"README.md", "__pycache__"}
    assert sum(p.stat().st_size for p in EXAMPLES.rglob("*") if p.is_file()) < 300_000
