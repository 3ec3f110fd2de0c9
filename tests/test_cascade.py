"""Which planner's plan is taken, why the next one was asked, and what is told of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.base import Planner, Proposal, Refusal, Request
from pointsman.router.planning.cascade import Cascade
from pointsman.router.planning.confidence import Threshold
from pointsman.router.planning.streaming import Planned, Withdrawn

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SURE = Threshold(0.8, 0.95, 0.9)
REQUEST = Request("count the words", NOW)
CATALOG = Catalog([Capability("text.count", "Counts words.", {"type": "object"}, {})])


class Says:
    """A planner that always proposes the same, and counts how often it is asked."""

    def __init__(self, name: str, outcome: Plan | Refusal, confidence: float) -> None:
        self.name = name
        self.proposal = Proposal(outcome, confidence)
        self.asked = 0

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        self.asked += 1
        return self.proposal


class Streams(Says):
    """Tells its tasks before its proposal."""

    async def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        outcome = self.proposal.outcome
        assert isinstance(outcome, Plan)
        for task in outcome.tasks:
            yield task
        yield self.proposal


def plan(source: str, *, unserved: tuple[str, ...] = ()) -> Plan:
    task = Task(TaskId("count"), "text.count")
    return Plan((task,), (task.id,), source, unserved=unserved)


def taken(*planners: Planner) -> Proposal:
    return asyncio.run(Cascade(planners, sure=SURE).plan(REQUEST, CATALOG))


def told(proposal: Proposal) -> list[str]:
    return [str(c.detail["decision"]) for c in proposal.considered if "decision" in c.detail]


def source(proposal: Proposal) -> str:
    assert isinstance(proposal.outcome, Plan)
    return proposal.outcome.source


async def streamed(*planners: Planner) -> list[Planned]:
    cascade = Cascade(planners, sure=SURE)
    async with aclosing(cascade.plan_stream(REQUEST, CATALOG)) as items:
        return [item async for item in items]


def test_a_plan_that_is_sure_enough_is_taken_and_nobody_else_is_asked() -> None:
    second = Says("llm", plan("llm"), 1.0)
    found = taken(Says("embedded", plan("embedded"), 0.85), second)
    assert (source(found), second.asked) == ("embedded", 0)
    assert told(found) == [
        "sure to 0.85, at least 0.80 (of plans at least this sure, 95% were right)"
    ]


def test_an_unsure_plan_is_handed_over_and_that_is_said() -> None:
    found = taken(Says("embedded", plan("embedded"), 0.4), Says("llm", plan("llm"), 0.9))
    assert source(found) == "llm"
    first, second = told(found)
    assert first.startswith("sure to 0.40, less than 0.80")
    assert first.endswith("so the llm planner was asked")
    assert second.endswith("this is taken")


def test_a_plan_that_leaves_out_a_part_is_handed_over_however_sure() -> None:
    part = Says("embedded", plan("embedded", unserved=("nothing books flights",)), 1.0)
    found = taken(part, Says("llm", plan("llm"), 0.9))
    assert source(found) == "llm"
    assert "leaves out a part: nothing books flights" in told(found)[0]


def test_without_another_planner_an_unsure_plan_is_better_than_none() -> None:
    found = taken(Says("library", Refusal("no workflow"), 0.0), Says("embedded", plan("e"), 0.5))
    assert source(found) == "e"
    assert "no other planner is left" in told(found)[1]


def test_a_whole_plan_is_better_than_a_surer_one_that_leaves_out_a_part() -> None:
    part = Says("embedded", plan("embedded", unserved=("x",)), 0.9)
    assert source(taken(part, Says("llm", plan("llm"), 0.5))) == "llm"


def test_a_question_to_the_user_is_better_than_a_plain_refusal() -> None:
    asks = Says("embedded", Refusal("no column", question="Which column?"), 0.0)
    found = taken(asks, Says("llm", Refusal("no answer"), 0.0))
    assert isinstance(found.outcome, Refusal)
    assert found.outcome.question == "Which column?"
    assert told(found)[0].startswith("it asks: Which column?")


def test_tasks_told_early_are_passed_on_and_stand() -> None:
    items = asyncio.run(streamed(Streams("llm", plan("llm"), 0.9)))
    assert [type(i) for i in items] == [Task, Proposal]


def test_tasks_of_a_plan_that_is_not_taken_are_withdrawn() -> None:
    whole, part = plan("embedded"), plan("llm", unserved=("x",))
    items = asyncio.run(streamed(Says("embedded", whole, 0.5), Streams("llm", part, 0.6)))
    assert [type(i) for i in items] == [Task, Withdrawn, Proposal]
    assert isinstance(items[-1], Proposal)
    assert source(items[-1]) == "embedded"


def test_tasks_of_an_unsure_planner_are_withdrawn_before_the_next_is_asked() -> None:
    first, second = Streams("one", plan("one"), 0.5), Streams("two", plan("two"), 0.9)
    items = asyncio.run(streamed(first, second))
    assert [type(i) for i in items] == [Task, Withdrawn, Task, Proposal]


def test_a_cascade_needs_a_planner() -> None:
    with pytest.raises(ValueError, match="needs a planner"):
        Cascade(())
