"""Before anything runs: what a plan is expected to take, and whether the budget holds it."""

from typing import Any

from pointsman.router.catalog import Catalog
from pointsman.router.errors import BudgetExceeded
from pointsman.router.plan import Plan, critical_path
from pointsman.router.usage import Budget
from pointsman.router.workspace import RunRecord

RUN_SECONDS = 600.0
"""How long a run may take when nobody set a deadline."""


def estimate(plan: Plan, catalog: Catalog) -> dict[str, Any]:
    """Before anything ran: seconds along the critical path and micro-dollars, from the priors."""
    seconds = {t.id: catalog[t.capability].prior.latency for t in plan.tasks}
    cost = sum(catalog[t.capability].prior.cost for t in plan.tasks)
    return {
        "seconds": round(critical_path(plan, seconds), 3),
        "cost": cost,
        "tasks": len(plan.tasks),
    }


def over_budget(budget: Budget, tasks: int, cost: int) -> BudgetExceeded | None:
    """Why a plan does not fit, if it does not: told before anything is spent."""
    if budget.calls is not None and tasks > budget.calls:
        return BudgetExceeded("calls", tasks, budget.calls)
    if budget.cost is not None and cost > budget.cost:
        return BudgetExceeded("micro-dollars", cost, budget.cost)
    return None


def deadline_of(record: RunRecord) -> float:
    """Seconds since the epoch: the caller's, the budget's, or ours, whichever is first."""
    ends = [record.created + RUN_SECONDS if record.spec.deadline is None else record.spec.deadline]
    if record.spec.budget.seconds is not None:
        ends.append(record.created + record.spec.budget.seconds)
    return min(ends)
