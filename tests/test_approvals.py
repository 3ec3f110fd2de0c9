"""People's decisions in whole runs: on what was asked, once, in time, and on their own branch only."""

import asyncio
import time
from pathlib import Path

import pytest
from actors import controlling, events_of, first, over, pending, until, working

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.errors import ApprovalConflict, ApprovalNotFound, RunNotFound, RunOver
from pointsman.router.events import (
    ApprovalDecided,
    ApprovalRequested,
    RunId,
    TaskDone,
    TaskRouted,
)
from pointsman.router.plan import Plan, Ref, Task, TaskId
from pointsman.router.usage import Budget
from pointsman.router.workspace import RunSpec, Workspace
from pointsman.router.workspace.records import digest_of
from pointsman.workflows import starting

pytestmark = pytest.mark.anyio
A, B, C = TaskId("a"), TaskId("b"), TaskId("c")
SENT: list[str] = []


@capability("test.send", approval=True)
async def send(text: str) -> str:
    """Sends."""
    SENT.append(text)
    return f"sent {text}"


@capability("test.mail", effect="keyed")
async def mail(text: str) -> str:
    """Mails."""
    SENT.append(text)
    return f"mailed {text}"


@capability("test.upper")
async def upper(text: str) -> str:
    """Writes large."""
    return text.upper()


TOOLS = ToolExpert("tools", "for tests", [send, mail, upper])
SENDING = Plan((Task(A, "test.send", {"text": "hello"}),), answer=(A,))
BRANCHES = Plan(
    (
        Task(A, "test.send", {"text": "hello"}),
        Task(B, "test.upper", {"text": "meanwhile"}),
        Task(C, "test.upper", {"text": Ref(B)}),
        Task(TaskId("d"), "test.upper", {"text": Ref(A)}),
    ),
    answer=(TaskId("d"), C),
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    SENT.clear()
    monkeypatch.setattr("pointsman.workflows.dispatcher.LOOK", 0.1)


def expiring(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What is asked of people from now on must be decided within so many seconds."""

    def request_for(*args, **kwargs):  # type: ignore[no-untyped-def]
        return REQUEST_FOR(*args, **{**kwargs, "seconds": seconds})

    monkeypatch.setattr(starting, "request_for", request_for)


REQUEST_FOR = starting.request_for


async def parked(workspace: Workspace, run: RunId) -> None:
    """Returns when nobody owns the run."""

    async def look() -> bool:
        return (await owner_of(workspace, run)) == ""

    await until(look)


async def owner_of(workspace: Workspace, run: RunId) -> str:
    found = await workspace._redis.hget(f"pm:{{{run}}}:run", "owner")
    return str(found)


# --- what is asked, and what it stops -------------------------------------------------------------


async def test_a_marked_capability_waits_for_a_yes_and_stops_only_its_own_branch(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=BRANCHES))
        (asked,) = await pending(workspace, run)
        assert (asked.task, asked.capability, asked.arguments) == (
            "a",
            "test.send",
            {"text": "hello"},
        )
        assert asked.why == "marked"
        assert asked.digest == digest_of("test.send", {"text": "hello"})
        await first(workspace, run, TaskDone, task="c")  # the other branch is through
        status = (await workspace.snapshot(run)).status
        assert (status["a"], status["d"]) == ("held", "waiting")
        assert SENT == []
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        record = await over(workspace, run)
    assert record.status == "done"
    assert SENT == ["hello"]
    assert await workspace.slot(run, "d") == "SENT HELLO"


async def test_several_requests_wait_at_once_and_each_decision_is_its_own(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        tuple(Task(TaskId(f"s{n}"), "test.send", {"text": str(n)}) for n in range(4)),
        answer=(TaskId("s0"), TaskId("s3")),
    )
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=plan))
        asked = {a.task: a for a in await pending(workspace, run, 4)}
        for task, decision in (
            ("s3", "approved"),
            ("s1", "denied"),
            ("s0", "approved"),
            ("s2", "denied"),
        ):
            a = asked[task]
            await workspace.decide(run, a.id, decision, digest=a.digest, by="ann")  # type: ignore[arg-type]
        record = await over(workspace, run)
    assert record.status == "done"
    assert sorted(SENT) == ["0", "3"]
    status = (await workspace.snapshot(run)).status
    assert [status[f"s{n}"] for n in range(4)] == ["done", "failed", "failed", "done"]


async def test_a_run_may_ask_for_every_effect_or_for_none(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan((Task(A, "test.mail", {"text": "x"}), Task(B, "test.send", {"text": "y"})))
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        asking = await workspace.create_run(RunSpec("x", plan=plan, approve="effects"))
        assert {a.task for a in await pending(workspace, asking, 2)} == {"a", "b"}
        assert SENT == []
        free = await workspace.create_run(RunSpec("x", plan=plan, approve="never"))
        await over(workspace, free)
    assert await workspace.approvals(free) == []
    assert sorted(SENT) == ["x", "y"]


# --- decisions ------------------------------------------------------------------------------------


async def test_an_edit_is_a_request_of_its_own_with_its_trail(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        (asked,) = await pending(workspace, run)
        edited = await workspace.edit(
            run, asked.id, {"text": "good day"}, digest=asked.digest, by="ann", note="politer"
        )
        (new,) = await pending(workspace, run)
        assert (new.id, new.edits, new.arguments) == (edited, asked.id, {"text": "good day"})
        assert new.digest != asked.digest
        with pytest.raises(ApprovalConflict, match="it was edited by ann"):
            await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ben")
        with pytest.raises(ApprovalConflict, match="not those that were seen"):
            await workspace.decide(run, new.id, "approved", digest=asked.digest, by="ben")
        assert SENT == []
        await workspace.decide(run, new.id, "approved", digest=new.digest, by="ben")
        record = await over(workspace, run)
    assert record.status == "done"
    assert SENT == ["good day"]
    trail = [(a.decision, a.by, a.edits) for a in await workspace.approvals(run)]
    assert trail == [("edited", "ann", None), ("approved", "ben", asked.id)]
    assert len(await events_of(workspace, run, ApprovalRequested)) == 2
    assert [e.decision for e in await events_of(workspace, run, ApprovalDecided)] == [
        "edited",
        "approved",
    ]


async def test_of_many_decisions_one_counts(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        (asked,) = await pending(workspace, run)
        found = await asyncio.gather(
            *(
                workspace.decide(run, asked.id, "approved", digest=asked.digest, by=f"p{n}")
                for n in range(8)
            ),
            return_exceptions=True,
        )
        await over(workspace, run)
    assert found.count(None) == 1
    assert sum(isinstance(f, ApprovalConflict | RunOver) for f in found) == 7
    assert SENT == ["hello"]


async def test_what_was_not_asked_cannot_be_decided(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        (asked,) = await pending(workspace, run)
        with pytest.raises(ApprovalConflict, match="not those that were seen"):
            await workspace.decide(run, asked.id, "approved", digest="0" * 64, by="ann")
        with pytest.raises(ApprovalConflict, match="outcome is unknown"):
            await workspace.decide(run, asked.id, "done", digest=asked.digest, by="ann", value=1)
        with pytest.raises(ApprovalNotFound):
            await workspace.decide(run, "apr_no", "approved", digest=asked.digest, by="ann")
        with pytest.raises(RunNotFound):
            await workspace.decide("run_no", asked.id, "approved", digest=asked.digest, by="ann")
        assert (await pending(workspace, run))[0].id == asked.id
    assert SENT == []


async def test_after_a_stop_no_decision_counts(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        (asked,) = await pending(workspace, run)
        await workspace.cancel(run, "enough")
        with pytest.raises((ApprovalConflict, RunOver)):
            await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        record = await over(workspace, run)
        with pytest.raises(RunOver):
            await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
    assert record.status == "cancelled"
    assert SENT == []
    assert await events_of(workspace, run, ApprovalDecided) == []


async def test_a_request_that_nobody_decides_expires_and_fails_its_task(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(monkeypatch, 0.5)
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=BRANCHES))
        (asked,) = await pending(workspace, run)
        record = await over(workspace, run)
        with pytest.raises(RunOver):
            await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="late")
    assert record.status == "done"  # of two answers one is there
    assert record.answer is not None
    assert "nobody decided in time" in record.answer["text"]
    status = (await workspace.snapshot(run)).status
    assert (status["a"], status["c"], status["d"]) == ("failed", "done", "skipped")
    assert [a.decision for a in await workspace.approvals(run)] == ["expired"]
    assert SENT == []


# --- people take their time -----------------------------------------------------------------------


async def test_a_run_that_waits_for_people_is_let_go_and_found_again(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with working(workspace, tmp_path, [TOOLS]):
        async with controlling(workspace, redis_url) as one:
            run = await workspace.create_run(RunSpec("send", plan=BRANCHES))
            (asked,) = await pending(workspace, run)
            await parked(workspace, run)
            assert one._mine == set()  # it takes no place of the controller
            assert await workspace.ownerless() == []
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        assert await owner_of(workspace, run) == ""
        async with controlling(workspace, redis_url):
            record = await over(workspace, run)
    assert record.status == "done"
    assert SENT == ["hello"]
    routed = [e.task for e in await events_of(workspace, run, TaskRouted)]
    assert sorted(routed) == ["a", "b", "c", "d"]  # nothing was begun twice


async def test_a_decision_while_the_run_is_being_let_go_wakes_it_up(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the act that lets go of the run and the mark when to look at it again."""
    mark = workspace._mark_active
    decided: list[str] = []

    async def late(run: RunId | str, at: float) -> None:
        if not decided and at > time.time() + 60:  # when what was asked expires
            (asked,) = await pending(workspace, RunId(run))
            decided.append(asked.id)
            await workspace.decide(RunId(run), asked.id, "approved", digest=asked.digest, by="ann")
            await asyncio.sleep(0.2)  # the controller is called back before it has let go
        await mark(run, at)

    async with working(workspace, tmp_path, [TOOLS]), controlling(workspace, redis_url):
        monkeypatch.setattr(workspace, "_mark_active", late)
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        record = await over(workspace, run)
    assert decided
    assert record.status == "done"
    assert SENT == ["hello"]


async def test_a_parked_run_that_nobody_decides_is_ended_by_another_controller(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiring(monkeypatch, 1.0)
    async with working(workspace, tmp_path, [TOOLS]):
        async with controlling(workspace, redis_url):
            run = await workspace.create_run(RunSpec("send", plan=SENDING))
            await pending(workspace, run)
            await parked(workspace, run)
        async with controlling(workspace, redis_url):
            record = await over(workspace, run)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "approval.expired"


async def test_a_parked_run_is_stopped_at_once(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        await pending(workspace, run)
        await parked(workspace, run)
        await workspace.cancel(run, "never mind")
        record = await over(workspace, run)
    assert record.status == "cancelled"
    assert [e.task for e in await events_of(workspace, run, TaskRouted)] == []


async def test_a_run_is_not_late_while_it_waits_for_people(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody set a deadline, so ours does not count for as long as a person thinks."""
    monkeypatch.setattr("pointsman.workflows.estimates.RUN_SECONDS", 1.0)
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING))
        (asked,) = await pending(workspace, run)
        created = (await workspace.run(run)).created
        await asyncio.sleep(max(0.0, created + 1.2 - time.time()))
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        record = await over(workspace, run)
    assert record.status == "done"
    assert SENT == ["hello"]


async def test_a_deadline_that_the_caller_set_holds_for_people_too(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with controlling(workspace, redis_url), working(workspace, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("send", plan=SENDING, budget=Budget(seconds=1.0)))
        await pending(workspace, run)
        record = await over(workspace, run)
    assert record.status == "cancelled"
    assert record.cancel == "the deadline has passed"
    assert SENT == []
