"""A model's plan is mended by rule where one reading is possible, and every repair is told."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer, Say

from pointsman.router.catalog import Capability, Catalog, Effect
from pointsman.router.errors import PlanError
from pointsman.router.plan import Plan, Ref, TaskId
from pointsman.router.planning.base import Request
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.provenance import Sources
from pointsman.router.planning.llm.reading import Reading, arguments_text
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.streaming import Failed, RequestAgain
from pointsman.router.values import FILE, TABLE, TEXT, Column, FileId, FileProfile, FileRef

NOW = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = {"type": "integer", "minimum": 0}


def capability(
    name: str,
    properties: Mapping[str, Any],
    required: tuple[str, ...],
    output: Any,
    effect: Effect = "pure",
) -> Capability:
    parameters = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    return Capability(name, f"does {name}", parameters, output, effect=effect)


CATALOG = Catalog(
    [
        capability("table.read", {"file": FILE}, ("file",), TABLE),
        capability(
            "table.sort",
            {
                "table": TABLE,
                "by": TEXT,
                "limit": COUNT,
                "order": {"enum": ["ascending", "descending"]},
                "columns": {"type": "array", "items": TEXT},
                "whole": {"type": "boolean"},
            },
            ("table", "by"),
            TABLE,
        ),
        capability(
            "text.cut",
            {"text": TEXT, "length": {**COUNT, "default": 100}},
            ("text", "length"),
            TEXT,
        ),
        capability("mail.send", {"to": TEXT, "body": TEXT}, ("to", "body"), TEXT, "once"),
    ]
)
SALES = FileProfile(
    FileRef(FileId("f-1"), "sales.csv", "text/csv", 9), "table", (Column("price", "number"),), 3
)
READ: dict[str, Any] = {
    "id": "read",
    "capability": "table.read",
    "arguments": {"file": {"$file": "sales.csv"}},
}


def sort(**changed: Any) -> dict[str, Any]:
    arguments = {"table": {"$task": "read"}, "by": "price", **changed}
    return {"id": "top", "capability": "table.sort", "arguments": arguments}


def read_plan(*tasks: Any, text: str = "sort the sales", **more: Any) -> Plan:
    """The plan that a model's answer becomes. Raises PlanError."""
    sources = Sources.of(Request(text, NOW, (SALES,)))
    reading = Reading(CATALOG, {"sales.csv": SALES}, sources, "llm:test", 0.8)
    answer = json.dumps({"tasks": list(tasks), **more})
    given = list(reading.feed(answer))
    plan = reading.finish(answer)
    assert isinstance(plan, Plan)
    assert [t for t in plan.tasks if t in given] == [
        t for t in plan.tasks if t.id in {g.id for g in given}
    ]
    return plan


def test_a_sound_plan_is_left_as_it_is() -> None:
    plan = read_plan(READ, sort(limit=3))
    assert plan.assumptions == ()
    assert plan.confidence == 0.8


@pytest.mark.parametrize(
    ("written", "argument", "value"),
    [
        ({"limit": "3"}, "limit", 3),
        ({"limit": 3.0}, "limit", 3.0),
        ({"limit": [3]}, "limit", 3),
        ({"limit": {"value": 3}}, "limit", 3),
        ({"limt": 3}, "limit", 3),
        ({"whole": "yes"}, "whole", True),
        ({"order": "Descending"}, "order", "descending"),
        ({"order": "decending"}, "order", "descending"),
        ({"columns": "price"}, "columns", ["price"]),
        ({"columns": '["price"]'}, "columns", ["price"]),
        ({"columns": ["price", 7]}, "columns", ["price", "7"]),
        ({"by": 2024}, "by", "2024"),
        ({"table": "read"}, "table", Ref(TaskId("read"))),
        ({"table": "${read}"}, "table", Ref(TaskId("read"))),
        ({"table": "{{ read.output }}"}, "table", Ref(TaskId("read"))),
        ({"table": {"$task": "$read"}}, "table", Ref(TaskId("read"))),
        ({"table": {"$ref": "read"}}, "table", Ref(TaskId("read"))),
        (
            {"by": {"$task": "read", "path": "columns/0/name"}},
            "by",
            Ref(TaskId("read"), ("columns", "0", "name")),
        ),
        (
            {"by": {"$task": "read", "path": ["columns", 0, "name"]}},
            "by",
            Ref(TaskId("read"), ("columns", "0", "name")),
        ),
        ({"by": "${read.columns[0].name}"}, "by", Ref(TaskId("read"), ("columns", "0", "name"))),
    ],
)
def test_values_and_references_are_mended(written: Any, argument: str, value: Any) -> None:
    plan = read_plan(READ, sort(**written))
    found = plan.task(TaskId("top")).arguments[argument]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ([{**READ, "capability": "table.rea"}], "'table.rea'"),
        ([{**READ, "capability": "Table-Read"}], "table.read"),
        ([{**READ, "capability": "functions.table.read"}], None),
        ([{**READ, "surprise": 1}], "'surprise'"),
        ([{**READ, "arguments": {}}], "sales.csv"),
        ([{**READ, "arguments": {**READ["arguments"], "encoding": "x"}}], "'encoding'"),
        ([{**READ, "arguments": json.dumps(READ["arguments"])}], None),
        ([{"id": "read", "tool": "table.read", "args": READ["arguments"]}], None),
        (
            [{"type": "function", "function": {"name": "table.read", "arguments": "{}"}}],
            "only file",
        ),
        ([{"id": "c", "capability": "text.cut", "arguments": {"text": "abc"}}], "default 100"),
        ([READ, READ], "twice"),
        ([READ, sort(table={"$task": "reads"})], "'reads'"),
        ([READ, sort(table={"$task": "table.read"})], "'table.read'"),
        ([READ, {**sort(), "after": "top"}], "does not wait"),
        ([{**READ, "after": ["top"]}, sort()], "does not wait"),
        ([READ, {**sort(), "when": {"$task": "read"}}], None),
        ([READ, {**sort(), "id": "top one!"}], None),
    ],
)
def test_a_repair_is_an_assumption_of_the_plan(tasks: list[Any], told: str | None) -> None:
    plan = read_plan(*tasks)
    if told is None:
        assert plan.tasks
        return
    assert any(told in a for a in plan.assumptions), plan.assumptions
    assert plan.confidence == pytest.approx(0.72)


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ([{**READ, "capability": "tables.delete"}], "not in the catalog"),
        (
            [{"id": "m", "capability": "mail.sent", "arguments": {"to": "a", "body": "b"}}],
            "not in the catalog",
        ),
        ([READ, sort(limit="few")], "limit"),
        ([READ, sort(order="up")], "order"),
        ([sort(table={"$task": "x"}), {**READ, "id": "read_a"}, {**READ, "id": "read_b"}], "'x'"),
        ([READ, {**sort(), "id": "read"}, sort()], "two tasks"),
        (
            [{**sort(table={"$task": "b"}), "id": "a"}, {**sort(table={"$task": "a"}), "id": "b"}],
            "wait for each other",
        ),
        ([{**sort(table={"$task": "top"})}], "wait for each other"),
    ],
)
def test_what_has_two_readings_is_no_plan(tasks: list[Any], why: str) -> None:
    with pytest.raises(PlanError, match=why):
        read_plan(*tasks)


def test_answers_that_are_a_list_or_are_wrapped_are_read() -> None:
    sources = Sources.of(Request("sort", NOW, (SALES,)))
    for answer in ([READ], {"plan": {"tasks": [READ]}}, {"steps": [READ]}):
        reading = Reading(CATALOG, {"sales.csv": SALES}, sources, "llm:test", 0.8)
        text = f"Here it is:\n```json\n{json.dumps(answer)}\n```"
        list(reading.feed(text))
        plan = reading.finish(text)
        assert isinstance(plan, Plan)
        assert [t.id for t in plan.tasks] == ["read"]


def test_ids_of_the_answer_are_mended_or_left_out() -> None:
    plan = read_plan(READ, sort(), answer=["Top", "nothing like it"])
    assert plan.answer == ("top",)
    assert any("nothing like it" in a for a in plan.assumptions)


shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["read", "top", "$read", "3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$task", "$item", "path", "id", "over", "ref"]), inner)
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["id", "capability", "arguments", "after", "for_each", "when", "tool", "args", "function"]
)


@given(st.lists(st.dictionaries(keys, shapes, max_size=5) | shapes, max_size=4))
def test_any_answer_is_a_valid_plan_or_a_plan_error(tasks: list[Any]) -> None:
    try:
        plan = read_plan(READ, *tasks)
    except PlanError:
        return
    assert plan.tasks[0].id == "read"


# --- planned again -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_model_is_told_what_failed_and_may_not_say_it_again() -> None:
    why = 'no column "prise" <task:mail.send>'
    said = [Say(json.dumps({"tasks": [READ, sort(by="prise")]}))]
    said.append(Say(json.dumps({"tasks": [READ, sort(by="price")]})))
    first = read_plan(READ, sort(by="prise")).task(TaskId("top"))
    request = RequestAgain(
        "sort the sales",
        NOW,
        (SALES,),
        failed=(Failed("table.sort", "sort", why, arguments_text(first)),),
        open=(CATALOG["table.sort"],),
    )
    without_sort = Catalog(c for c in CATALOG if c.name != "table.sort")
    async with OpenAIServer(said) as server:
        planner = LLMPlanner(RemoteSettings("small", base_url=server.url))
        proposal = await planner.plan(request, without_sort)
        await planner.close()
    document = json.loads(server.requests[0]["messages"][1]["content"])
    assert document["failed"][0]["capability"] == "table.sort"
    assert document["failed"][0]["why"] == why
    assert why not in server.requests[0]["messages"][0]["content"]
    assert len(server.requests) == 2
    assert isinstance(proposal.outcome, Plan)
    assert proposal.outcome.task(TaskId("top")).arguments["by"] == "price"
