"""The plan memory: what is remembered, when it is reused, when it is not, and how it is forgotten."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_catalog import catalog
from planning_files import FILES
from redis_servers import cluster
from serving import ended, serving

from pointsman.experts.base import EchoExpert
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, Catalog, Prior
from pointsman.router.events import RunEnded
from pointsman.router.plan import Plan, parse_plan, validate
from pointsman.router.planning.base import Proposal, Refusal, Request, Vectors
from pointsman.router.planning.memory import (
    MemoryPlanner,
    NotGeneral,
    Recollection,
    Remembered,
    Tombstone,
    examples_of,
    generalise,
)
from pointsman.router.planning.memory.remembered import digested
from pointsman.router.planning.retrieval import stems
from pointsman.router.usage import Usage
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.router.workspace.traces import Judgement, MemoryTerms, Trace, Traces
from pointsman.router.workspace.tracing import Tracing

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
CATALOG = catalog()
pytestmark = pytest.mark.anyio


class Traced(Tracing, Workspace):
    """A workspace that keeps traces."""


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
        ("highest revenue per region in sales.csv without North", "not"),
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
    assert "known values" in why_not(
        await planned(old, "rows of sales.csv where region is sunny", "sales.csv")
    )


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


async def test_examples_show_what_was_said_and_no_two_of_one_shape() -> None:
    sums = learnt("total revenue per region in sales.csv", total("sales.csv"), "sales.csv")
    same = learnt("revenue by region, total, sales.csv", total("sales.csv"), "sales.csv")
    calculated = learnt("what is 18% of 2450", one("math.calculate", expression="2450 * 18 / 100"))
    found = examples_of([(sums, 0.9), (same, 0.8), (calculated, 0.7)], 3)
    assert [e.request for e in found] == [sums.request, calculated.request]
    assert found[1].plan["tasks"][0]["arguments"] == {"expression": "2450 * 18 / 100"}


AMOUNTS = st.integers(2, 10**9).map(str) | st.decimals(2, 10**6, places=2).map(str)


@given(AMOUNTS, AMOUNTS)
async def test_any_two_numbers_are_filled_in_their_places(percent: str, whole: str) -> None:
    old = learnt("what is 18% of 2450", one("math.calculate", expression="2450 * 18 / 100"))
    found = arguments_of(await planned(old, f"what is {percent}% of {whole}"))
    left, _, right = str(found["expression"]).removesuffix(" / 100").partition(" * ")
    assert (Decimal(left), Decimal(right)) == (Decimal(whole), Decimal(percent))
