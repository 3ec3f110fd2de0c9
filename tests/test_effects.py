"""Effects outside, when workers are lost: keyed ones repeat under their key, `once` ones never unasked."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from actors import (
    announced,
    claimed_by_one_who_dies,
    controlling,
    events_of,
    first,
    over,
    pending,
    until,
    working,
)

from pointsman.experts.base import Call, Reconciled
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Effect
from pointsman.router.errors import ExpertFailed, ExpertUnavailable
from pointsman.router.events import RunId, TaskFailed, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import Claim, RunSpec, Workspace

pytestmark = pytest.mark.anyio
A = TaskId("a")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller looks at leases often."""
    monkeypatch.setattr("pointsman.workflows.dispatcher.LOOK", 0.1)
    monkeypatch.setattr("pointsman.workflows.dispatcher.LEASE_SLACK", 0.0)
    monkeypatch.setattr("pointsman.workflows.dispatcher.BACKOFF", 0.01)


@dataclass
class Outside:
    """A service outside: what it was called with, and what it tells of that afterwards."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    answer: Reconciled = field(default_factory=lambda: Reconciled("unknown"))
    errors: list[Exception] = field(default_factory=list)
    seconds: float = 0.0

    def expert(self, effect: Effect) -> ToolExpert:
        async def reconcile(call: Call) -> Reconciled:
            self.asked.append(call.attempt)
            return self.answer

        @capability("test.pay", effect=effect, reconcile=reconcile)
        async def pay(amount: int, call: Call) -> str:
            """Pays."""
            self.calls.append((call.key(), call.attempt))
            await asyncio.sleep(self.seconds)
            if self.errors:
                raise self.errors.pop(0)
            return f"paid {amount}"

        return ToolExpert("tools", "for tests", [pay])


@pytest.fixture
def outside() -> Outside:
    return Outside()


async def begun(workspace: Workspace) -> RunId:
    plan = Plan((Task(A, "test.pay", {"amount": 5}),), answer=(A,))
    return await workspace.create_run(RunSpec("pay", plan=plan))


async def lost(workspace: Workspace, effect: Effect, outside: Outside) -> Claim:
    """An attempt that had its effect, perhaps, and was never heard of again."""
    claim = await claimed_by_one_who_dies(workspace, "tools")
    assert (await workspace.intend(claim, effect, "one who dies")).answer == "go"
    outside.calls.append((claim.key(), claim.attempt))
    return claim


async def states(workspace: Workspace, run: RunId) -> list[tuple[str, int]]:
    return [(e.state, e.attempt) for e in await workspace.effects(run)]


# --- a lost worker --------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_what_may_be_repeated_is_repeated_without_a_ledger(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside, effect: Effect
) -> None:
    expert = outside.expert(effect)
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await claimed_by_one_who_dies(workspace, "tools")
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert [attempt for _, attempt in outside.calls] == [2]
    assert await workspace.effects(run) == []


async def test_a_keyed_effect_is_repeated_under_the_same_key(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    expert = outside.expert("keyed")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "keyed", outside)
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert outside.calls == [(f"{run}.a.0", 1), (f"{run}.a.0", 2)]
    assert await states(workspace, run) == [("done", 2)]
    assert outside.asked == []


async def test_a_once_effect_that_its_tool_finds_done_is_not_repeated(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.answer = Reconciled("done", "paid 5 before")
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "once", outside)
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid 5 before"
    assert [attempt for _, attempt in outside.calls] == [1]
    assert outside.asked == [1]  # about the attempt that began it
    assert await states(workspace, run) == [("done", 1)]


async def test_a_once_effect_that_its_tool_finds_not_done_is_called_again(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.answer = Reconciled("not-done")
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "once", outside)
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid 5"
    assert [attempt for _, attempt in outside.calls] == [1, 2]
    assert await states(workspace, run) == [("done", 2)]


# --- nobody but a person knows --------------------------------------------------------------------


async def test_a_person_says_that_an_unknown_effect_has_happened(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "once", outside)
        async with working(workspace, tmp_path, [expert]):
            (asked,) = await pending(workspace, run)
            assert (asked.why, asked.arguments) == ("unknown-effect", {"amount": 5})
            assert (await workspace.snapshot(run)).status["a"] == "held"
            assert await states(workspace, run) == [("intent", 1)]
            await workspace.decide(
                run, asked.id, "done", digest=asked.digest, by="ann", value="paid by hand"
            )
            record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid by hand"
    assert [attempt for _, attempt in outside.calls] == [1]
    assert [e.state for e in await workspace.effects(run)] == ["done"]


async def test_a_person_lets_an_unknown_effect_be_called_again(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "once", outside)
        async with working(workspace, tmp_path, [expert]):
            (asked,) = await pending(workspace, run)
            await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
            record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid 5"
    assert len(outside.calls) == 2
    assert [e.state for e in await workspace.effects(run)] == ["done"]


async def test_a_person_denies_and_the_effect_stays_listed_as_unknown(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        await lost(workspace, "once", outside)
        async with working(workspace, tmp_path, [expert]):
            (asked,) = await pending(workspace, run)
            await workspace.decide(
                run, asked.id, "denied", digest=asked.digest, by="ann", note="too late"
            )
            record = await over(workspace, run)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "approval.denied"
    assert "ann said no: too late" in record.error.message
    assert len(outside.calls) == 1
    (entry,) = await workspace.effects(run)
    assert (entry.state, entry.key, entry.capability) == ("intent", f"{run}.a.0", "test.pay")


# --- errors ---------------------------------------------------------------------------------------


async def test_an_error_before_the_effect_is_retried(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.errors = [ExpertUnavailable("the bank is closed")]
    async with (
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [outside.expert("once")]),
    ):
        run = await begun(workspace)
        record = await over(workspace, run)
    assert record.status == "done"
    assert [attempt for _, attempt in outside.calls] == [1, 2]
    assert outside.asked == []
    assert await states(workspace, run) == [("done", 2)]


async def test_an_error_that_may_come_after_the_effect_is_asked_about(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.errors = [ExpertFailed("the line went dead")]
    async with (
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [outside.expert("once")]),
    ):
        run = await begun(workspace)
        (asked,) = await pending(workspace, run)
        assert "the line went dead" in asked.question
        assert await states(workspace, run) == [("unknown", 1)]
        assert outside.asked == [1]  # its tool comes before a person
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        record = await over(workspace, run)
    assert record.status == "done"
    assert len(outside.calls) == 2


async def test_a_tool_that_finds_its_effect_done_after_an_error_needs_nobody(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.errors = [ExpertFailed("the line went dead")]
    outside.answer = Reconciled("done", "paid all the same")
    async with (
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [outside.expert("once")]),
    ):
        run = await begun(workspace)
        record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid all the same"
    assert len(outside.calls) == 1
    assert await workspace.approvals(run) == []


async def test_a_defect_of_a_tool_counts_as_unknown(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.errors = [ZeroDivisionError("by nought")]
    async with (
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [outside.expert("once")]),
    ):
        run = await begun(workspace)
        (asked,) = await pending(workspace, run)
        await workspace.cancel(run, "enough")
        record = await over(workspace, run)
    assert record.status == "cancelled"
    assert asked.why == "unknown-effect"
    assert await states(workspace, run) == [("unknown", 1)]


# --- workers that are stopped ---------------------------------------------------------------------


async def test_a_stopped_worker_lets_an_effect_end(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.seconds = 0.5
    expert = outside.expert("once")
    async with controlling(workspace, redis_url):
        async with working(workspace, tmp_path, [expert]):
            run = await begun(workspace)

            async def under_way() -> bool:
                return bool(outside.calls)

            await until(under_way)
        record = await over(workspace, run)
    assert record.status == "done"
    assert len(outside.calls) == 1
    assert await states(workspace, run) == [("done", 1)]


async def test_a_stopped_worker_hands_other_calls_back_at_once(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    outside.seconds = 60.0
    expert = outside.expert("pure")
    async with controlling(workspace, redis_url):
        async with working(workspace, tmp_path, [expert]):
            run = await begun(workspace)
            await first(workspace, run, TaskStarted)
        failed = await first(workspace, run, TaskFailed)
        assert (failed.error.code, failed.final) == ("expert.worker-stopped", False)
        outside.seconds = 0.0
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert [s.attempt for s in await events_of(workspace, run, TaskStarted)] == [1, 2]


async def test_the_outcome_of_a_superseded_attempt_is_kept_for_the_next(
    workspace: Workspace, redis_url: str, tmp_path: Path, outside: Outside
) -> None:
    """A worker that stood still comes back after its lease and tells that its effect has happened."""
    expert = outside.expert("once")
    await announced(workspace, tmp_path, [expert])
    async with controlling(workspace, redis_url):
        run = await begun(workspace)
        claim = await lost(workspace, "once", outside)
        failed = await first(workspace, run, TaskFailed)
        assert failed.error.code == "expert.worker-lost"
        assert await workspace.note_effect(claim, 1, "done", "late", "paid 5 late")
        async with working(workspace, tmp_path, [expert]):
            record = await over(workspace, run)
    assert record.status == "done"
    assert await workspace.slot(run, "a") == "paid 5 late"
    assert len(outside.calls) == 1
