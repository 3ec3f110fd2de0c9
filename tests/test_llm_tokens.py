"""Task tokens: written, read in any pieces, from models that are careless, back to the same plan."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer, Say

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.plan import Condition, Item, Loop, Plan, Ref, Task, TaskId, parse_plan
from pointsman.router.planning.base import Request
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.llm.token_reader import TokenScanner
from pointsman.router.planning.llm.tokens import TokenFault, task_tokens, write_tokens
from pointsman.router.values import FILE, TABLE, TEXT, Column, FileId, FileProfile, FileRef


def read(text: str, cuts: tuple[int, ...] = ()) -> dict[str, Any]:
    """The JSON form of a plan that comes cut at some places."""
    scanner = TokenScanner()
    tasks: list[Any] = []
    for start, end in pairwise((0, *sorted(cuts), len(text))):
        tasks += scanner.feed(text[start:end])
    return {"tasks": tasks, **{k: v for k, v in scanner.rest().items() if v}}


ids = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True).map(TaskId)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z][a-z0-9_]{0,8})?", fullmatch=True)
parameters = st.one_of(
    st.from_regex(r"[A-Za-z_][\w-]{0,8}", fullmatch=True), st.sampled_from(["id", "title", "when"])
)
paths = st.lists(st.text(max_size=5), max_size=3).map(tuple)
refs = st.builds(Ref, ids, paths)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
spans = st.builds(
    lambda of, start, end: {"kind": "span", "of": Ref(of), "start": start, "end": end},
    ids,
    st.integers(-1, 99),
    st.integers(0, 99),
)
regions = st.builds(
    lambda of, box: {"kind": "region", "of": Ref(of), "box": box},
    ids,
    st.lists(st.floats(0, 1), min_size=3, max_size=5),
)
plain = st.none() | st.booleans() | numbers | st.text(max_size=12)
keys = st.text(max_size=6).filter(lambda k: not k.startswith("$"))
values = st.recursive(
    plain | refs | st.builds(Item, paths) | spans | regions,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
literals = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
loops = st.builds(Loop, refs | st.lists(literals, max_size=3).map(tuple), st.integers(1, 20_000))
conditions = st.builds(
    Condition, refs, st.sampled_from(["exists", "not_empty", "eq", "ge"]), literals
)
tasks = st.builds(
    Task,
    ids,
    names,
    st.dictionaries(parameters, values, max_size=3),
    st.lists(ids, max_size=3).map(tuple),
    st.none() | loops,
    st.none() | conditions,
    st.text(max_size=12),
)
plans = st.builds(
    Plan,
    st.lists(tasks, min_size=1, max_size=4).map(tuple),
    st.lists(ids, min_size=1, max_size=3).map(tuple),
    st.just("given"),
    st.just(1.0),
    st.lists(st.text(max_size=12).map(str.strip), max_size=2).map(tuple),
    st.lists(st.text(max_size=12).map(str.strip), max_size=2).map(tuple),
)


@given(plan=plans, data=st.data(), prose=st.sampled_from(["", "Sure <b>, 3 < 4:\n", "<task"]))
def test_a_plan_written_as_tokens_is_read_as_the_same_plan(
    plan: Plan, data: st.DataObject, prose: str
) -> None:
    text = f"{prose} {write_tokens(plan)} That is <all>."
    cuts = tuple(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    assert parse_plan(read(text, cuts)) == parse_plan(plan.to_json())


@given(st.text(alphabet="<>:task refanswe=\"'\\[]{},/0 x\n", max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    scanner = TokenScanner()
    try:
        for char in text:
            for form in scanner.feed(char):
                assert isinstance(form["capability"], str)
                json.dumps(form)
        scanner.rest()
    except TokenFault:
        return


@given(st.text(alphabet="<>task:ref =\"'[]{},:-/1aü\\", max_size=60))
def test_a_broken_attribute_gives_no_half_task(inner: str) -> None:
    scanner = TokenScanner()
    try:
        found = scanner.feed(f"<task:table.sort id=a {inner}>")
    except TokenFault:
        return
    for form in found:
        json.dumps(form, allow_nan=False)


def test_a_task_is_given_with_its_last_character() -> None:
    scanner = TokenScanner()
    assert scanner.feed('<task:table.sort id=a table=<ref read> by=">"') == []
    (form,) = scanner.feed(">")
    assert form == {
        "capability": "table.sort",
        "id": "a",
        "arguments": {"table": {"$task": "read"}, "by": ">"},
    }


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ("by=price limit=3", {"by": "price", "limit": 3}),
        ("by='the price'", {"by": "the price"}),
        ("by = true", {"by": True}),
        ("by=2026-03-01 to=a@b.org", {"by": "2026-03-01", "to": "a@b.org"}),
        ("x=[1, <ref a /rows/0>]", {"x": [1, {"$task": "a", "path": "/rows/0"}]}),
        ("x={k: <item>}", {"x": {"k": {"$item": ""}}}),
        ("row=<ref:row a 3>", {"row": {"$task": "a", "path": "/rows/3"}}),
        ("cell=<ref:cell a 3 1>", {"cell": {"$task": "a", "path": "/rows/3/1"}}),
        ("s=<ref:span a 3-9>", {"s": {"kind": "span", "of": {"$task": "a"}, "start": 3, "end": 9}}),
        (
            "r=<ref:region a 0.1, 0.2, 0.5, 1>",
            {"r": {"kind": "region", "of": {"$task": "a"}, "box": [0.1, 0.2, 0.5, 1]}},
        ),
        ('f=<ref:artifact "my sales.csv">', {"f": {"$file": "my sales.csv"}}),
        ("f=<ref:artifact sales.csv>/", {"f": {"$file": "sales.csv"}}),
        ("arg:id=5", {"id": 5}),
    ],
)
def test_values_are_read_as_models_write_them(written: str, arguments: dict[str, Any]) -> None:
    (form,) = TokenScanner().feed(f"<task:x.y id=t {written}>")
    assert form["arguments"] == arguments


@pytest.mark.parametrize(
    "broken", ["<task: id=a>", "<task:x by=>", "<task:x [1]>", "<task:x a=[1>", "<task:x a={b}>"]
)
def test_what_breaks_the_grammar_is_said(broken: str) -> None:
    with pytest.raises(TokenFault):
        read(broken)


def capability(name: str, properties: dict[str, Any], output: Any) -> Capability:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return Capability(name, f"does {name}", parameters, output)


READ = capability("table.read", {"file": FILE}, TABLE)
SORT = capability("table.sort", {"table": TABLE, "by": TEXT}, TABLE)
SALES = FileProfile(
    FileRef(FileId("f-1"), "sales.csv", "text/csv", 9), "table", (Column("price", "number"),), 3
)


def test_a_new_expert_is_a_new_token() -> None:
    catalog = Catalog([READ])
    assert task_tokens(catalog) == ("<task:table.read",)
    catalog.add(SORT)
    assert task_tokens(catalog) == ("<task:table.read", "<task:table.sort")


@pytest.mark.anyio
async def test_a_model_that_writes_tokens_makes_a_plan() -> None:
    said = (
        "First I read it.\n<task:table.read id=read file=<ref:artifact sales.csv>>\n"
        'Then:\n<task:table.sort id=top title="sort it" table=<ref read> by=price>\n'
        '<answer top>\n<assume "by price, from low to high">\nDone.'
    )
    async with OpenAIServer([Say(said)]) as server:
        planner = LLMPlanner(RemoteSettings("small", base_url=server.url, format="task_tokens"))
        request = Request("sort by price", datetime(2026, 3, 1, tzinfo=UTC), (SALES,))
        items = [i async for i in planner.plan_stream(request, Catalog([READ, SORT]))]
        await planner.close()
    plan = items[-1].outcome  # type: ignore[union-attr]
    assert isinstance(plan, Plan)
    assert items[:2] == list(plan.tasks)
    assert plan.task(TaskId("top")).arguments == {"table": Ref(TaskId("read")), "by": "price"}
    assert plan.assumptions == ("by price, from low to high",)
    assert "response_format" not in server.requests[0]
    system = server.requests[0]["messages"][0]["content"]
    assert "<task:NAME" in system
    assert '"tasks"' not in system
