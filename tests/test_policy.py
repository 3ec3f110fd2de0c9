"""What may be called, by whom and within which bounds: enforced where tasks are started, whatever a plan says."""

from pathlib import Path
from typing import Any

import pytest
from actors import controlling, over, pending, working

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.errors import BadFile
from pointsman.router.plan import Plan, Ref, Task, TaskId
from pointsman.router.workspace import RunSpec, Workspace
from pointsman.workflows.policy import OPEN, Policy, PolicyIn, read_policy

pytestmark = pytest.mark.anyio

PAID: list[int] = []


@capability("shop.pay", effect="once")
async def pay(amount: int) -> str:
    """Pays."""
    PAID.append(amount)
    return f"paid {amount}"


@capability("shop.price")
async def price(of: str) -> int:
    """Tells a price."""
    return 100 * len(of)


SHOP = ToolExpert("shop", "for tests", [pay, price])
A, B = TaskId("a"), TaskId("b")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    PAID.clear()
    monkeypatch.setattr("pointsman.workflows.dispatcher.LOOK", 0.1)


def policy(*rules: dict[str, Any], default: str = "allow") -> Policy:
    return Policy(PolicyIn.model_validate({"default": default, "rules": rules}))


def paying(amount: Any) -> Plan:
    """A plan that pays; a text is what the amount is the price of."""
    if isinstance(amount, str):
        asked = Task(A, "shop.price", {"of": amount})
        return Plan((asked, Task(B, "shop.pay", {"amount": Ref(A)})), answer=(B,))
    return Plan((Task(B, "shop.pay", {"amount": amount}),), answer=(B,))


SMALL = {"properties": {"amount": {"maximum": 50}}}


@pytest.mark.parametrize(
    ("rules", "tenant", "amount", "expected"),
    [
        ([], "a", 10, "allow"),
        ([{"tools": ["shop.*"], "then": "refuse"}], "a", 10, "refuse"),
        ([{"tools": ["mail.*"], "then": "refuse"}], "a", 10, "allow"),
        ([{"who": ["b*"], "then": "refuse"}], "a", 10, "allow"),
        ([{"who": ["b*"], "then": "refuse"}], "bob", 10, "refuse"),
        ([{"effects": ["once"], "then": "ask"}], "a", 10, "ask"),
        ([{"effects": ["pure"], "then": "ask"}], "a", 10, "allow"),
        ([{"arguments": SMALL, "then": "allow"}, {"then": "ask"}], "a", 10, "allow"),
        ([{"arguments": SMALL, "then": "allow"}, {"then": "ask"}], "a", 60, "ask"),
        ([{"bounds": SMALL, "then": "allow"}], "a", 60, "refuse"),
        ([{"bounds": SMALL, "then": "ask"}], "a", 10, "ask"),
    ],
)
def test_the_first_rule_that_fits_decides(
    rules: list[dict[str, Any]], tenant: str, amount: int, expected: str
) -> None:
    found = policy(*rules).judge(tenant, "shop.pay", "once", {"amount": amount})
    assert found.decision == expected


def test_what_no_rule_fits_is_as_the_default_says() -> None:
    assert policy(default="refuse").judge("a", "x", "pure", {}).decision == "refuse"
    assert OPEN.judge("a", "x", "once", {}).decision == "allow"


async def ran(
    workspace: Workspace, url: str, folder: Path, given: Policy, plan: Plan, **spec: Any
) -> Any:
    async with controlling(workspace, url, given), working(workspace, folder, [SHOP]):
        run = await workspace.create_run(RunSpec("pay", plan=plan, **spec))
        return await over(workspace, run)


@pytest.mark.parametrize("amount", [60, "chair"])
async def test_a_call_beyond_its_bounds_is_not_made_wherever_the_amount_is_from(
    workspace: Workspace, redis_url: str, tmp_path: Path, amount: Any
) -> None:
    bounded = policy({"tools": ["shop.pay"], "bounds": SMALL, "then": "allow"})
    ended = await ran(workspace, redis_url, tmp_path, bounded, paying(amount))
    assert ended.status == "failed"
    assert "rule 1 bounds amount" in str(ended.answer) + str(ended.error)
    assert PAID == []


async def test_a_run_cannot_turn_off_what_the_policy_asks(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    asking = policy({"tools": ["shop.pay"], "then": "ask", "why": "a person pays"})
    async with controlling(workspace, redis_url, asking), working(workspace, tmp_path, [SHOP]):
        run = await workspace.create_run(RunSpec("pay", plan=paying(7), approve="never"))
        (held,) = await pending(workspace, run)
        assert "a person pays" in held.question
        assert PAID == []
        await workspace.decide(run, held.id, "approved", digest=held.digest, by="ana")
        assert (await over(workspace, run)).status == "done"
    assert PAID == [7]


async def test_other_arguments_of_a_person_are_bounded_too(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    asking = policy({"tools": ["shop.pay"], "bounds": SMALL, "then": "ask"})
    async with controlling(workspace, redis_url, asking), working(workspace, tmp_path, [SHOP]):
        run = await workspace.create_run(RunSpec("pay", plan=paying(7)))
        (held,) = await pending(workspace, run)
        id = await workspace.edit(run, held.id, {"amount": 700}, digest=held.digest, by="ana")
        (edited,) = await pending(workspace, run)
        assert edited.id == id
        await workspace.decide(run, id, "approved", digest=edited.digest, by="ana")
        assert (await over(workspace, run)).status == "failed"
    assert PAID == []


async def test_a_tenant_may_do_what_another_may_not(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    given = policy({"tools": ["shop.pay"], "who": ["support"], "then": "allow"}, {"tools": ["shop.pay"], "then": "refuse"})  # fmt: skip
    ended = await ran(workspace, redis_url, tmp_path, given, paying(5), tenant="guest")
    assert ended.status == "failed"
    ended = await ran(workspace, redis_url, tmp_path, given, paying(5), tenant="support")
    assert ended.status == "done"
    assert PAID == [5]


async def test_a_policy_outlives_the_controller_that_held_the_task(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    """The one that comes after judges anew: what was approved before is not allowed for ever."""
    asking = policy({"tools": ["shop.pay"], "then": "ask"})
    async with working(workspace, tmp_path, [SHOP]):
        async with controlling(workspace, redis_url, asking):
            run = await workspace.create_run(RunSpec("pay", plan=paying(7)))
            (held,) = await pending(workspace, run)
        await workspace.decide(run, held.id, "approved", digest=held.digest, by="ana")
        closed = policy({"tools": ["shop.pay"], "then": "refuse"})
        async with controlling(workspace, redis_url, closed):
            assert (await over(workspace, run)).status == "failed"
    assert PAID == []


def test_a_policy_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    assert read_policy(path) is OPEN
    path.write_text("default: refuse\nrules: [{tools: [table.*], then: allow}]\n")
    found = read_policy(path)
    assert found.judge("a", "table.sort", "pure", {}).decision == "allow"
    assert found.judge("a", "http.get", "idempotent", {}).decision == "refuse"


@pytest.mark.parametrize(
    "text",
    ["rules: [{then: maybe}]", "rules: [{}]", "nonsense: 1", "rules: [{then: ask, bounds: {type: 5}}]", "{"],
)  # fmt: skip
def test_a_policy_that_cannot_be_read_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(BadFile):
        read_policy(path)


def test_a_policy_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        read_policy(tmp_path / "gone.yaml", needed=True)
