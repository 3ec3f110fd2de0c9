"""Workflows from past plans: groups, parameters, expected actions; what is discovered allows what was seen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.router.errors import BadExample
from pointsman.router.plan import Plan, parse_plan
from pointsman.router.planning.workflows.action_plan import ActionPlan, parse_actions, to_form
from pointsman.router.planning.workflows.discovery import discover
from pointsman.workflows.generalising import generalised
from pointsman.workflows.library import read_workflow
from pointsman.workflows.mining import Mined, Observed, mine, read_observed, traces
from pointsman.workflows.shapes import shape_of
from pointsman.workflows.writing import to_yaml

LOGS = st.lists(st.text("abcd", max_size=5).map(tuple), min_size=1, max_size=5)


@given(LOGS)
@settings(max_examples=200, deadline=None)
def test_what_is_discovered_allows_every_sequence_that_was_seen(
    log: list[tuple[str, ...]],
) -> None:
    plan = ActionPlan(discover(log), "refuse")
    for sequence in log:
        for place, action in enumerate(sequence):
            assert plan.check(sequence[:place], action).kind == "allowed"
        assert plan.is_complete(sequence)


@pytest.mark.parametrize(
    ("log", "steps"),
    [
        (["abc", "abc"], ["a", "b", "c"]),
        (["abcd", "acbd", "ad"], ["a", {"optional": {"in_any_order": ["b", "c"]}}, "d"]),
        (["abd", "acd"], ["a", {"any_of": ["b", "c"]}, "d"]),
        (["abcbcd"], ["a", {"repeat": {"in_order": ["b", "c"]}}, "d"]),
    ],
)
def test_the_structure_of_what_was_seen_is_discovered(log: list[str], steps: list[Any]) -> None:
    assert to_form(ActionPlan(discover([tuple(t) for t in log])))["steps"] == steps


def file(name: str) -> dict[str, Any]:
    return {"kind": "file", "id": f"f-{name}", "name": name, "media_type": "text/csv", "size": 9}


def reviews(name: str, kept: str, limit: int, *, ids: str = "rst") -> Plan:
    """Read, judge, keep, show; ids: of the tasks."""
    read, judge, show = ids
    tasks = [
        {"id": show, "capability": "table.sort", "arguments": {"table": {"$task": judge}, "limit": limit}},
        {"id": read, "capability": "table.read", "arguments": {"file": file(name)}},
        {
            "id": judge,
            "capability": "table.filter",
            "title": f"keep {kept}",
            "arguments": {
                "table": {"$task": read},
                "where": [{"column": "mood", "op": "eq", "value": kept}],
            },
        },
    ]  # fmt: skip
    return parse_plan({"tasks": tasks if ids == "rst" else tasks[::-1]})


def test_plans_have_one_shape_whatever_their_ids_and_constants() -> None:
    assert shape_of(reviews("a.csv", "bad", 3)) == shape_of(reviews("b.csv", "good", 5, ids="xyz"))
    other = parse_plan({"tasks": [{"id": "r", "capability": "table.read", "arguments": {"file": file("a")}}]})  # fmt: skip
    assert shape_of(other) != shape_of(reviews("a.csv", "bad", 3))


def test_tasks_are_told_apart_by_what_reads_them() -> None:
    """Two reads of which one is filtered: the file of that one is the same parameter in every plan."""

    def joined(first: str, second: str, turned: bool) -> Plan:
        reads = [
            {"id": i, "capability": "table.read", "arguments": {"file": file(f)}}
            for i, f in (("p", first), ("q", second))
        ]
        rest = [
            {"id": "k", "capability": "table.filter", "arguments": {"table": {"$task": "p"}}},
            {
                "id": "j",
                "capability": "table.join",
                "arguments": {"left": {"$task": "k"}, "right": {"$task": "q"}},
            },
        ]
        return parse_plan({"tasks": [*(reads[::-1] if turned else reads), *rest]})

    plans = [joined("big1", "small", False), joined("big2", "small", True)]
    assert shape_of(plans[0]) == shape_of(plans[1])
    form, parameters = generalised(plans)
    assert set(parameters) == {"file", "q_file"}
    read = {t["id"]: t["arguments"] for t in form["tasks"]}
    assert read["p"] == {"file": {"$param": "file"}}
    assert read["q"] == {"file": {"$param": "q_file"}}


def observed() -> tuple[list[Observed], np.ndarray]:
    """Four of one kind with a variant, three of another, one alone; each kind has a direction of its own."""
    kinds = [
        (0, "negative reviews in a.csv, top 3", reviews("a.csv", "bad", 3)),
        (0, "negative reviews in b.csv, top 5", reviews("b.csv", "bad", 5, ids="xyz")),
        (0, "show negative reviews of c.csv", reviews("c.csv", "bad", 3)),
        (0, "negative reviews, unsorted", Plan(reviews("d.csv", "bad", 3).tasks[1:], ())),
        *(
            (1, f"weather in {c}", parse_plan({"tasks": [{"id": "w", "capability": "weather", "arguments": {"city": c}}]}))
            for c in ("Rome", "Oslo", "Bonn")
        ),
        (2, "sing", parse_plan({"tasks": [{"id": "s", "capability": "sing"}]})),
    ]  # fmt: skip
    vectors = np.zeros((len(kinds), 3), np.float32)
    for row, (kind, _, _) in zip(vectors, kinds, strict=True):
        row[kind] = 1.0
    return [Observed(text, plan, "2026-11-01") for _, text, plan in kinds], vectors


def mined() -> dict[str, Mined]:
    return {m.form["name"]: m for m in mine(*observed())}


def test_what_is_done_alike_becomes_a_workflow_with_parameters() -> None:
    found = mined()
    assert set(found) == {"negative-reviews", "weather"}
    reviews_ = found["negative-reviews"]
    assert (reviews_.support, reviews_.of_shape, reviews_.variants) == (4, 3, 2)
    made = read_workflow(to_yaml(reviews_.form, note=reviews_.note), "x.yaml")
    assert made.parameters == {
        "file": {"x-kind": "file", "x-shape": "table"},
        "limit": {"type": "integer", "default": 3},
    }
    kept = next(t for t in made.plan["tasks"] if t["capability"] == "table.filter")
    assert kept["arguments"]["where"][0]["value"] == "bad"
    assert made.actions is not None
    assert made.actions.is_complete(["table.read", "table.filter"])
    assert made.actions.check(["table.read"], "mail.send").kind == "ask"
    assert found["weather"].form["parameters"] == {"city": {"type": "string"}}


def test_a_constant_of_a_loop_becomes_a_parameter_that_can_be_read_back() -> None:
    def looped(*names: str) -> Plan:
        task = {
            "id": "g",
            "capability": "greet",
            "arguments": {"who": {"$item": ""}},
            "for_each": {"over": list(names)},
        }
        return parse_plan({"tasks": [task]})

    form, parameters = generalised([looped("Ana"), looped("Bo", "Cy")])
    assert list(parameters) == ["over"]
    whole = {"name": "greet", "title": "greet", "description": "Greets.", "examples": ["greet"]}
    read_workflow(to_yaml({**whole, "parameters": parameters, "plan": form}), "x.yaml")


def test_side_by_side_tasks_are_seen_in_several_orders() -> None:
    plan = parse_plan({"tasks": [{"id": i, "capability": i} for i in "ab"]})
    assert set(traces(plan)) == {("a", "b"), ("b", "a")}
    step = discover(traces(plan))
    assert parse_actions(to_form(ActionPlan(step))).allowed([]) == {"a", "b"}


def line(**more: Any) -> str:
    plan = {"tasks": [{"id": "a", "capability": "x"}]}
    return json.dumps({"request": "do x", "plan": plan, **more})


def test_wrong_plans_are_not_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_text("\n".join([line(right=True), line(right=False), "", line(right=None)]))
    assert len(read_observed(path)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (line(rihgt=True), "rihgt"),
        (line(plan={"tasks": [{"id": "a"}]}), "capability"),
        (line(plan={"tasks": [{"id": "a", "capability": "x", "after": ["a"]}]}), "a -> a"),
        ("{", "line 2"),
    ],
)
def test_a_faulty_line_is_refused_with_its_number(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_text(f"{line()}\n{text}\n")
    with pytest.raises(BadExample, match="line 2") as caught:
        read_observed(path)
    assert words in str(caught.value)


def test_mining_by_command_proposes_and_never_writes_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pointsman.cli import main

    path, out = tmp_path / "plans.jsonl", tmp_path / "own"
    plans, _ = observed()
    rows = [{"request": o.request, "plan": o.plan.to_json()} for o in plans]
    path.write_text("\n".join(map(json.dumps, rows)))
    out.mkdir()
    (out / "weather.yaml").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["workflows", "mine", "--from", str(path), "--out", str(out)])
    assert not ended.value.code
    assert (out / "weather.yaml").read_text() == "mine"
    made = yaml.safe_load((out / "negative-reviews.yaml").read_text())
    assert made["parameters"]["limit"]["default"] == 3
    assert "left as it is" in capsys.readouterr().err
