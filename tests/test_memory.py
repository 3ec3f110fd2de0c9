"""The plan memory: what is remembered, when it is reused, when it is not, and how it is forgotten."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_catalog import catalog
from planning_files import FILES
from serving import ended, serving

from pointsman.experts.tools import calculator
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, Catalog, Effect, Prior
from pointsman.router.events import PlanProposed, RunEnded, RunId, RunStatus, TaskDone
from pointsman.router.plan import Plan, parse_plan, validate
from pointsman.router.planning.base import Proposal, Refusal, Request, Vectors
from pointsman.router.planning.memory import (
    MemoryPlanner,
    NotGeneral,
    Recollection,
    Remembered,
    Tombstone,
    generalise,
)
from pointsman.router.planning.memory.planner import FRESH
from pointsman.router.planning.memory.remembered import digested
from pointsman.router.planning.retrieval import stems
from pointsman.router.usage import Usage
from pointsman.router.workspace import Owner, RunSpec, Workspace, connect
from pointsman.router.workspace.owning import Owning
from pointsman.router.workspace.traces import KEYS, Judgement, MemoryTerms, Traces
from pointsman.router.workspace.tracing import keep_trace, sweep_traces

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
CATALOG = catalog()
pytestmark = pytest.mark.anyio


class WordVectors:
    """An Embedder for tests: a text is the sum of its words' stems, each at a place of its own."""

    dim = 512

    def __init__(self) -> None:
        self.asked = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += len(texts)
        made = np.full((len(texts), self.dim), 1e-6, np.float32)
        for row, text in zip(made, texts, strict=True):
            for stem in stems(text):
                row[int.from_bytes(stem.encode()[:6].ljust(6), "big") % self.dim] += 1
        return made / np.linalg.norm(made, axis=1, keepdims=True)


class Held:
    """What is remembered, for a planner without a store."""

    def __init__(self, *plans: Remembered, tombstones: tuple[Tombstone, ...] = ()) -> None:
        self.plans, self.tombstones = plans, tombstones

    async def version(self) -> str:
        return "1"

    async def recollect(self, embedder: WordVectors) -> Recollection:
        vectors = await embedder.embed([p.line for p in self.plans])
        return Recollection("1", self.plans, vectors, self.tombstones, secret="s")


def request(text: str, *files: str) -> Request:
    return Request(text, NOW, tuple(FILES[f] for f in files))


def read(file: str) -> dict[str, object]:
    return {
        "id": "read",
        "capability": "table.read",
        "arguments": {"file": FILES[file].ref.to_json()},
    }


def total(file: str, fn: str = "sum", column: str = "revenue", by: str = "region") -> Plan:
    measures = [{"fn": fn, "column": column}]
    arguments = {"table": {"$task": "read"}, "measures": measures, "by": [{"column": by}]}
    task = {"id": "total", "capability": "table.aggregate", "arguments": arguments}
    return parse_plan({"tasks": [read(file), task], "answer": ["total"]})


def one(capability: str, **arguments: object) -> Plan:
    return parse_plan({"tasks": [{"id": "t", "capability": capability, "arguments": arguments}]})


def learnt(text: str, plan: Plan, *files: str, run: str = "run_1") -> Remembered:
    validate(plan, CATALOG)
    asked = request(text, *files)
    return generalise(text, plan, CATALOG, files=asked.files, now=NOW, run=run)


async def planned(
    remembered: Remembered, text: str, *files: str, among: Catalog = CATALOG
) -> Proposal:
    return await MemoryPlanner(WordVectors(), Held(remembered)).plan(request(text, *files), among)


def arguments_of(proposal: Proposal, task: str = "t") -> dict[str, object]:
    assert isinstance(proposal.outcome, Plan), proposal
    return dict(next(t for t in proposal.outcome.tasks if t.id == task).arguments)


def why_not(proposal: Proposal) -> str:
    assert isinstance(proposal.outcome, Refusal)
    return str(proposal.considered[0].detail["why"])


# --- reuse ------------------------------------------------------------------------------------------


async def test_a_plan_is_reused_with_the_files_columns_and_values_of_the_new_request() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    found = await planned(old, "total amount per status in orders.csv", "orders.csv")
    measures = arguments_of(found, "total")["measures"]
    assert measures == [{"fn": "sum", "column": "amount"}]
    assert arguments_of(found, "total")["by"] == [{"column": "status"}]
    assert arguments_of(found, "read")["file"] == FILES["orders.csv"].ref.to_json()
    assert found.confidence > 0.6


async def test_the_explanation_names_the_run_and_its_date() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    found = await planned(old, "total revenue per region in sales.csv", "sales.csv")
    assert isinstance(found.outcome, Plan)
    said = "done as in run run_1 on 25 November 2026, which was confirmed"
    assert found.outcome.assumptions == (said,)
    assert found.outcome.source == "memory:run_1"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ("lowest revenue per region in sales.csv", "least"),
        ("average revenue per region in sales.csv", "mean"),
        ("highest revenue per region in sales.csv without returns", "not"),
    ],
)
async def test_words_that_an_encoder_confuses_are_not_confused(other: str, word: str) -> None:
    old = learnt("highest revenue per region in sales.csv", total("sales.csv", "max"), "sales.csv")
    found = await planned(old, other, "sales.csv")
    assert word in why_not(found)


async def test_numbers_dates_and_what_stands_in_an_expression_are_filled_anew() -> None:
    old = learnt("what is 18% of 2450", one("math.calculate", expression="2450 * 18 / 100"))
    assert arguments_of(await planned(old, "what is 7.5% of 320")) == {
        "expression": "320 * 7.5 / 100"
    }
    gap = {"start": "2024-03-03", "end": "2025-08-17", "unit": "days"}
    old = learnt("days between 3 March 2024 and 17 August 2025", one("date.difference", **gap))
    found = arguments_of(await planned(old, "days between 2026-01-01 and 5 May 2026"))
    assert found == {"start": "2026-01-01", "end": "2026-05-05", "unit": "days"}


async def test_a_day_that_is_relative_to_now_is_read_by_the_new_clock() -> None:
    shift = {"date": "2026-11-25", "amount": 45, "unit": "days"}
    old = learnt("what date is 45 days from today", one("date.shift", **shift))
    later = Request("what date is 10 days from today", datetime(2027, 2, 1, tzinfo=UTC))
    found = await MemoryPlanner(WordVectors(), Held(old)).plan(later, CATALOG)
    assert arguments_of(found) == {"date": "2027-02-01", "amount": 10, "unit": "days"}


async def test_a_word_that_the_plan_took_over_is_taken_from_between_the_same_words() -> None:
    keep = {"texts": {"$task": "read"}, "criterion": "about late parcels"}
    task = {"id": "t", "capability": "text.filter", "arguments": keep}
    plan = parse_plan({"tasks": [read("tickets.csv"), task], "answer": ["t"]})
    old = learnt("which tickets are about late parcels in tickets.csv", plan, "tickets.csv")
    found = await planned(old, "which tickets are about lost luggage in tickets.csv", "tickets.csv")
    assert arguments_of(found)["criterion"] == "about lost luggage"


async def test_a_value_compared_with_a_column_must_be_one_that_the_file_has() -> None:
    where = [{"column": "region", "op": "eq", "value": "North"}]
    task = {
        "id": "t",
        "capability": "table.filter",
        "arguments": {"table": {"$task": "read"}, "where": where},
    }
    plan = parse_plan({"tasks": [read("sales.csv"), task], "answer": ["t"]})
    old = learnt("rows of sales.csv where region is North", plan, "sales.csv")
    found = await planned(old, "rows of sales.csv where region is south", "sales.csv")
    assert arguments_of(found)["where"] == [{"column": "region", "op": "eq", "value": "South"}]
    assert "kind 'cell'" in why_not(
        await planned(old, "rows of sales.csv where region is sunny", "sales.csv")
    )


async def test_what_a_loop_goes_over_and_a_condition_compares_with_are_filled_too() -> None:
    names = ["server.log", "policy.md"]
    files = [FILES[n].ref.to_json() for n in names]
    read = {
        "id": "t",
        "capability": "text.read",
        "arguments": {"files": [{"$item": ""}]},
        "for_each": {"over": files},
    }
    count = {
        "id": "c",
        "capability": "math.calculate",
        "arguments": {"expression": "1 + 1"},
        "when": {"ref": {"$task": "t"}, "op": "gt", "value": 3},
    }
    plan = parse_plan({"tasks": [read, count], "answer": ["c"]})
    old = learnt("if there are more than 3 documents, calculate", plan, *names)
    assert "server.log" not in json.dumps(old.plan)
    text = "if there are more than 12 documents, calculate"
    found = (await planned(old, text, "contract.txt", "speech.txt", "policy.md")).outcome
    assert isinstance(found, Plan)
    loop, when = found.tasks[0].for_each, found.tasks[1].when
    assert loop is not None
    assert when is not None
    assert [f["name"] for f in loop.over] == ["contract.txt", "speech.txt", "policy.md"]  # type: ignore[union-attr]
    assert when.value == 12


@pytest.mark.parametrize("text", ["what is 18% of that", "what is 18% of 20 of 30"])
async def test_what_cannot_be_filled_does_not_apply(text: str) -> None:
    old = learnt("what is 18% of 2450", one("math.calculate", expression="2450 * 18 / 100"))
    assert "of kind 'amount'" in why_not(await planned(old, text))


async def test_a_column_that_the_plan_needs_and_the_new_file_lacks_does_not_apply() -> None:
    old = learnt("what sells best in sales.csv", total("sales.csv", by="product"), "sales.csv")
    found = await planned(old, "what sells best in orders.csv", "orders.csv")
    assert "no column" in why_not(found)


async def test_a_capability_that_changed_or_went_does_not_apply() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    without = Catalog(c for c in CATALOG if c.name != "table.aggregate")
    found = await planned(old, "total revenue per region in sales.csv", "sales.csv", among=without)
    assert why_not(found) == "nothing serves 'table.aggregate' any more"
    aggregate = CATALOG["table.aggregate"]
    changed = Capability(
        aggregate.name, aggregate.description, aggregate.parameters, {"type": "string"}
    )
    without.add(changed)
    found = await planned(old, "total revenue per region in sales.csv", "sales.csv", among=without)
    assert "something else than it did then" in why_not(found)


async def test_two_remembered_plans_that_differ_and_are_as_near_are_neither_offered() -> None:
    text = "total revenue per region in sales.csv"
    both = Held(
        learnt(text, total("sales.csv"), "sales.csv"),
        learnt(text, total("sales.csv", "count"), "sales.csv", run="run_2"),
    )
    found = await MemoryPlanner(WordVectors(), both).plan(request(text, "sales.csv"), CATALOG)
    assert isinstance(found.outcome, Refusal)
    assert "two remembered plans" in found.outcome.why


async def test_a_tombstone_bars_the_plan_for_the_same_words_only() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    bars = Tombstone(old.shape, digested(["total"], "s"))
    held = Held(old, tombstones=(bars,))
    asked = request("total revenue per region in sales.csv", "sales.csv")
    found = await MemoryPlanner(WordVectors(), held).plan(asked, CATALOG)
    assert "a person said" in why_not(found)


async def test_a_request_that_names_a_file_that_is_not_there_is_left_to_the_others() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    found = await planned(old, "total revenue per region in nothing.csv", "sales.csv")
    assert found.confidence == 0


def test_a_plan_with_a_file_that_did_not_come_with_the_request_is_not_general() -> None:
    with pytest.raises(NotGeneral, match="did not come with the request"):
        learnt("total revenue per region", total("sales.csv"))


def test_a_remembered_plan_survives_its_json() -> None:
    old = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    assert Remembered.from_json(json.loads(json.dumps(old.to_json()))) == old


AMOUNTS = st.integers(2, 10**9).map(str) | st.decimals(2, 10**6, places=2).map(str)


@given(AMOUNTS, AMOUNTS)
async def test_any_two_numbers_are_filled_in_their_places(percent: str, whole: str) -> None:
    old = learnt("what is 18% of 2450", one("math.calculate", expression="2450 * 18 / 100"))
    found = arguments_of(await planned(old, f"what is {percent}% of {whole}"))
    left, _, right = str(found["expression"]).removesuffix(" / 100").partition(" * ")
    assert (Decimal(left), Decimal(right)) == (Decimal(whole), Decimal(percent))


# --- traces -----------------------------------------------------------------------------------------

TEXT = "total revenue per region in sales.csv"
CARD = ExpertCard("all", "tool", "serves all", {c.name: Prior() for c in CATALOG})


@pytest.fixture
async def traced(redis_url: str) -> AsyncIterator[Workspace]:
    """An empty workspace that keeps traces, and experts that serve the whole catalog."""
    redis = connect(redis_url)
    await redis.flushall()
    made = Workspace(redis)
    made.traces.terms = MemoryTerms()
    await served(made, CATALOG)
    yield made
    await made.close()


async def served(workspace: Workspace, catalog: Catalog) -> None:
    await workspace.announcements.announce("w", CARD, list(catalog), now=time.time())


async def begun(workspace: Workspace, text: str, plan: Plan, *files: str) -> tuple[RunId, Owner]:
    """A run whose tasks are all done, and which has not ended."""
    run = await workspace.create_run(RunSpec(text, tuple(FILES[f] for f in files)))
    owner = await workspace.own(run, "controller", lease=60)
    assert owner is not None
    await workspace.propose(owner, PlanProposed(plan.to_json(), 1, time.time(), [], {}))
    await workspace.write_plan(owner, plan, 1)
    for task in plan.tasks:
        done = TaskDone(task.id, 1, "table", "secret result", "", {}, 0.1, time.time())
        await workspace.settle(owner, task.id, "done", done, "secret result")
    return run, owner


def end(status: RunStatus = "done") -> RunEnded:
    return RunEnded(status, Usage(cost=120).to_json(), 0.5, time.time())


async def ran(
    workspace: Workspace, text: str = TEXT, plan: Plan | None = None, *files: str
) -> RunId:
    """A run that ended whole."""
    run, owner = await begun(
        workspace, text, plan or total("sales.csv"), *(files or ("sales.csv",))
    )
    await workspace.finish(owner, end())
    return run


def said(right: bool) -> Judgement:
    return Judgement(right, "", "ada", time.time())


async def held_values(workspace: Workspace) -> str:
    """All that Redis holds of the memory, as one text."""
    redis = workspace._redis
    found = []
    for key in KEYS:
        kind = await redis.type(key)
        if kind == "hash":
            found.append(json.dumps(await redis.hgetall(key)))
        elif kind == "zset":
            found.append(json.dumps(await redis.zrange(key, 0, -1)))
    return "\n".join(found)


async def test_a_run_that_ends_leaves_one_trace_with_its_outcome_and_cost(
    traced: Workspace,
) -> None:
    run = await ran(traced)
    assert await keep_trace(traced, run)
    found = [t async for t in traced.traces.all()]
    assert [(t.run, t.request, t.outcome, t.cost) for t in found] == [(run, TEXT, "whole", 120)]
    line = found[0].to_line()
    assert set(line) == {"request", "plan", "right", "run", "at"}
    assert line["right"] is None
    assert parse_plan(line["plan"]).tasks == total("sales.csv").tasks


async def test_no_result_is_kept(traced: Workspace) -> None:
    await ran(traced)
    assert "secret result" not in await held_values(traced)


async def test_a_controller_that_dies_between_end_and_trace_loses_none(traced: Workspace) -> None:
    run, owner = await begun(traced, TEXT, total("sales.csv"), "sales.csv")
    await traced.traces.due(run)
    assert await sweep_traces(traced, time.time() + 60) == 0  # it has not ended: nothing yet
    await Owning.finish(traced, owner, end())  # as one that dies before it keeps the trace
    assert await sweep_traces(traced, time.time() + 60) == 1
    assert await sweep_traces(traced, time.time() + 60) == 0
    assert (await traced.traces.size())["traces"] == 1


async def test_a_failed_run_leaves_a_trace_that_cannot_be_confirmed(traced: Workspace) -> None:
    run, owner = await begun(traced, TEXT, total("sales.csv"), "sales.csv")
    await traced.finish(owner, end("failed"))
    assert await traced.traces.judge(run, said(True)) == "noted"
    assert (await traced.traces.size())["plans"] == 0


async def test_what_a_person_confirms_is_reused_with_its_vectors_kept(traced: Workspace) -> None:
    run = await ran(traced)
    assert await traced.traces.judge(run, said(True)) == "remembered"
    assert await traced.traces.judge(run, said(True)) == "remembered"
    embedder = WordVectors()
    for _ in range(2):
        planner = MemoryPlanner(embedder, traced.traces)
        asked = request("total amount per status in orders.csv", "orders.csv")
        found = await planner.plan(asked, await traced.catalog())
        assert isinstance(found.outcome, Plan)
        assert found.outcome.source == f"memory:{run}"
    first = embedder.asked
    another = Traces(traced._calls, MemoryTerms())
    await MemoryPlanner(embedder, another).plan(asked, await traced.catalog())
    assert embedder.asked == first + 2  # the request and a probe: the vector came from the store


async def test_what_is_called_wrong_leaves_and_does_not_come_back(traced: Workspace) -> None:
    first, second = await ran(traced), await ran(traced)
    await traced.traces.judge(first, said(True))
    assert await traced.traces.judge(second, said(False)) == "barred"
    assert (await traced.traces.size())["plans"] == 0
    assert await traced.traces.judge(first, said(True)) == "barred"
    assert (
        await traced.traces.judge(second, said(True)) == "remembered"
    )  # it was a slip of the hand


async def test_in_auto_so_many_whole_runs_are_enough_and_one_complaint_is_too(
    traced: Workspace,
) -> None:
    traced.traces.terms = MemoryTerms(mode="auto", agree=3)
    sizes = []
    for _ in range(3):
        run = await ran(traced)
        sizes.append((await traced.traces.size())["plans"])
    assert sizes == [0, 0, 1]
    await traced.traces.judge(run, said(False))
    await ran(traced)
    assert (await traced.traces.size())["plans"] == 0


async def test_forgetting_leaves_no_word_of_it(traced: Workspace) -> None:
    text = "total revenue per region in sales.csv for the zebrafish"
    run = await ran(traced, text)
    await traced.traces.judge(run, Judgement(True, "zebrafish indeed", "ada", 1.0))
    await traced.traces.recollect(WordVectors())
    assert "zebrafish" in await held_values(traced)
    assert await traced.traces.forget(run) == 2
    assert "zebrafish" not in await held_values(traced)
    assert await traced.traces.size() == {
        "traces": 0,
        "plans": 0,
        "tombstones": 1,
        "trace_bytes": 0,
        "plan_bytes": 0,
    }
    again = await ran(traced, text)
    assert await traced.traces.judge(again, said(True)) == "barred"


async def test_a_run_that_is_forgotten_before_it_ends_leaves_no_trace(traced: Workspace) -> None:
    run, owner = await begun(traced, TEXT, total("sales.csv"), "sales.csv")
    await traced.traces.forget(run)
    await traced.finish(owner, end())
    assert (await traced.traces.size())["traces"] == 0
    assert await sweep_traces(traced, time.time() + 60) == 0


async def test_the_store_is_bounded_and_the_oldest_leave(traced: Workspace) -> None:
    traced.traces.terms = MemoryTerms(traces=3)
    runs = [await ran(traced) for _ in range(5)]
    assert [t.run async for t in traced.traces.all()] == runs[-3:]
    size = (await traced.traces.size())["trace_bytes"]
    traced.traces.terms = MemoryTerms(bytes=size)
    await ran(
        traced, "the sum of revenue for each and every region there is, from sales.csv please"
    )
    found = await traced.traces.size()
    assert (found["traces"], found["trace_bytes"] <= size) == (2, True)


async def test_of_remembered_plans_those_used_longest_ago_leave(traced: Workspace) -> None:
    traced.traces.terms = MemoryTerms(plans=2)
    texts = (TEXT, "in sales.csv the total revenue by country region", "region totals, sales.csv")
    runs = []
    for text in texts:
        plan = total("sales.csv") if len(runs) != 2 else total("sales.csv", "count")
        runs.append(await ran(traced, text, plan))
        await traced.traces.judge(runs[-1], said(True))
        if len(runs) == 2:
            used = {**total("sales.csv").to_json(), "source": f"memory:{runs[0]}"}
            await ran(traced, "something else altogether", parse_plan(used))
    assert {k.plan.run for k in await traced.traces.kept()} == {runs[0], runs[2]}


async def test_a_remembered_plan_that_does_not_end_whole_loses_confidence(
    traced: Workspace,
) -> None:
    run = await ran(traced)
    await traced.traces.judge(run, said(True))
    plan = parse_plan({**total("sales.csv").to_json(), "source": f"memory:{run}"})
    asked = request(TEXT, "sales.csv")
    planner = MemoryPlanner(WordVectors(), traced.traces)
    before = (await planner.plan(asked, CATALOG)).confidence
    for _ in range(3):
        _, owner = await begun(traced, TEXT, plan, "sales.csv")
        await traced.finish(owner, end("failed"))
    later = (await MemoryPlanner(WordVectors(), traced.traces).plan(asked, CATALOG)).confidence
    assert later == pytest.approx(before / 2)


async def with_mail(workspace: Workspace, effect: Effect) -> tuple[Plan, str]:
    string = {"type": "string"}
    properties = {"to": string, "subject": string}
    schema = {"type": "object", "properties": properties, "required": ["to"]}
    mail = Capability("mail.send", "Sends a mail.", schema, {}, "mail", effect=effect)
    await served(workspace, Catalog([*CATALOG, mail]))
    to = "ada@example.org"
    plan = one("mail.send", to=to, subject="hello world")
    return plan, f'mail {to} with the subject "hello world"'


async def test_values_that_go_into_an_effect_are_withheld_unless_it_is_allowed(
    traced: Workspace,
) -> None:
    plan, text = await with_mail(traced, "once")
    run = await ran(traced, text, plan)
    held = await held_values(traced)
    assert "ada@" not in held
    assert "hello world" not in held
    assert await traced.traces.judge(run, said(True)) == "remembered"
    asked = Request('mail bo@example.org with the subject "the weather"', NOW)
    found = await MemoryPlanner(WordVectors(), traced.traces).plan(asked, await traced.catalog())
    assert arguments_of(found) == {"to": "bo@example.org", "subject": "the weather"}
    traced.traces.terms = MemoryTerms(effect_arguments=True)
    await ran(traced, text, plan)
    assert "ada@example.org" in await held_values(traced)


async def test_where_nothing_is_to_be_kept_nothing_is(traced: Workspace) -> None:
    traced.traces.terms = MemoryTerms(mode="off")
    await ran(traced)
    assert await held_values(traced) == ""


async def test_a_run_is_planned_from_memory_and_counts_as_a_use(
    traced: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = one("math.calculate", expression="17 * 23")
    await traced.announcements.withdraw("w", [CARD])
    planner = MemoryPlanner(WordVectors(), traced.traces)
    async with serving(traced, redis_url, tmp_path, [calculator.CALCULATOR], planner):
        assert (await ended(traced, RunSpec("multiply 4 by 5"))).status == "refused"
        given = await ended(traced, RunSpec("multiply 17 by 23", plan=plan))
        await keep_trace(traced, given.id)
        assert await traced.traces.judge(given.id, said(True)) == "remembered"
        await asyncio.sleep(FRESH)
        reused = await ended(traced, RunSpec("multiply 4 by 5"))
        await keep_trace(traced, reused.id)
    assert (reused.status, reused.plan and reused.plan["source"]) == ("done", f"memory:{given.id}")
    assert "20" in (reused.answer or {})["text"]
    assert [k.whole for k in await traced.traces.kept()] == [1]


def test_all_keys_of_the_memory_are_on_one_node_of_a_cluster() -> None:
    assert {k.partition("}")[0] for k in KEYS} == {"pm:{memory"}
