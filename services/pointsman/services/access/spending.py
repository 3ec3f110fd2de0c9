"""What is set aside of a key's budget while work goes on, and what becomes of it when nobody settles it."""

import secrets
import time
from dataclasses import replace

from pointsman.router.errors import RunNotFound
from pointsman.router.events import OVER
from pointsman.router.usage import Budget
from pointsman.router.workspace import Workspace
from pointsman.router.workspace.access import Held, TurnedAway, day_of
from pointsman.services.access.caller import Caller
from pointsman.services.access.errors import BudgetSpent

CALL = "call_"
LONGEST_CALL = 3_600.0
"""Seconds after which a call that nobody settled is given up: its gateway died."""
LONGEST_START = 60.0
"""Seconds that may pass between what is set aside for a run and the run."""


def new_call() -> str:
    """A name for a piece of work that is no run; it tells when it began, as a run's id does."""
    return f"{CALL}{int(time.time() * 1000):011x}{secrets.token_hex(5)}"


def began(work: str) -> float:
    """Seconds since the epoch."""
    return int(work.partition("_")[2][:11], 16) / 1000


async def settle_overdue(workspace: Workspace, key: str) -> int:
    """Settles what was left: runs that have ended and whose controller died before it counted them, and what
    never came to be. Gives how many there were."""
    done = 0
    for work, day in (await workspace.access.holds(key)).items():
        cost = await _cost_of(workspace, work)
        if cost is not None:
            done += await workspace.access.settle(key, work, cost=cost[0], tokens=cost[1], day=day)
    return done


async def _cost_of(workspace: Workspace, work: str) -> tuple[int, int] | None:
    """What a piece of work has cost and its tokens; None while it goes on."""
    age = time.time() - began(work)
    if work.startswith(CALL):
        return (0, 0) if age > LONGEST_CALL else None
    try:
        record = await workspace.run(work)
    except RunNotFound:
        return (0, 0) if age > LONGEST_START else None
    return (record.usage.cost, record.usage.tokens) if record.status in OVER else None


async def held(workspace: Workspace, caller: Caller, work: str, budget: Budget) -> Budget:
    """Sets aside what a piece of work may cost, and gives its budget within that. Raises BudgetSpent."""
    key = caller.key
    if key is None or not key.limits.money:
        return budget
    found = await _hold(workspace, key.id, work, budget)
    if isinstance(found, TurnedAway) and await settle_overdue(workspace, key.id):
        found = await _hold(workspace, key.id, work, budget)
    if isinstance(found, TurnedAway):
        raise BudgetSpent(found.what, found.retry)
    cost = budget.cost if found.cost is None else found.cost
    tokens = budget.tokens if found.tokens is None else found.tokens
    return replace(budget, cost=cost, tokens=tokens)


async def _hold(workspace: Workspace, key: str, work: str, budget: Budget) -> Held | TurnedAway:
    now = time.time()
    return await workspace.access.hold(key, work, cost=budget.cost, tokens=budget.tokens, now=now)


async def let_go(workspace: Workspace, caller: Caller, work: str) -> None:
    """The work was not done after all."""
    if caller.key is not None and caller.key.limits.money:
        await spend(workspace, caller, work, 0, 0)


async def spend(workspace: Workspace, caller: Caller, work: str, cost: int, tokens: int) -> None:
    """A piece of work is over. cost: micro-dollars. Counts nothing for whoever has no key."""
    if caller.key is not None:
        day = day_of(began(work))
        await workspace.access.settle(caller.key.id, work, cost=cost, tokens=tokens, day=day)
