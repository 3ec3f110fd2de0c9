"""A run that follows a workflow does what the workflow's action plan allows, in the order that it asks for.

    enforcer = Enforcer(load_library())
    reviewed = enforcer.review(plan)            # plan.source is "workflow:NAME"
    reviewed.plan                               # with `after` where the action plan asks for an order
    reviewed.ask                                # tasks that need a person's yes, each with the reason

Any plan may be reviewed: one that a workflow gave, one that was given with the request under a workflow's name,
and one that was made anew after a failure (`follows` then says which workflow the run began with).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pointsman.router.errors import OutsideWorkflow
from pointsman.router.plan import Plan, TaskId
from pointsman.router.planning.workflow_match import Workflow
from pointsman.router.planning.workflows.action_plan import ActionPlan
from pointsman.router.planning.workflows.following import follow

SOURCE = "workflow:"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """ask: tasks outside of the workflow that a person may allow, each with the reason; empty when none is."""

    plan: Plan
    ask: Mapping[TaskId, str] = field(default_factory=dict)


class Enforcer:
    """Holds plans against the action plans of a library. Pure: the same plan is always reviewed the same."""

    def __init__(self, library: Sequence[Workflow]) -> None:
        self._plans: dict[str, ActionPlan] = {
            w.name: w.actions for w in library if w.actions is not None
        }

    def review(self, plan: Plan, *, follows: str = "", done: Sequence[str] = ()) -> Reviewed:
        """A valid plan, ordered as its workflow asks; as it is when it follows none that binds.

        follows: source of the run's first plan, where this is a later one. done: capabilities of tasks that
        were done before and are not part of this plan, in order. Raises OutsideWorkflow when the workflow
        refuses a task, or when a step that it asks for is left out.
        """
        source = follows if follows.startswith(SOURCE) else plan.source
        name = source.removeprefix(SOURCE)
        actions = self._plans.get(name) if source.startswith(SOURCE) else None
        if actions is None:
            return Reviewed(plan)
        found = follow(replace(plan, source=source), actions, done=done)
        for task, verdict in found.outside.items():
            if verdict.kind == "refused":
                raise OutsideWorkflow(task, name, verdict.why)
        ask = {task: f"workflow {name!r}: {v.why}" for task, v in found.outside.items()}
        if found.missing:
            ask |= _left_out(found.plan, name, actions, found.missing)
        return Reviewed(found.plan, ask)


def _left_out(
    plan: Plan, name: str, actions: ActionPlan, missing: Sequence[str]
) -> dict[TaskId, str]:
    """A plan without a step that is asked for gives no answer before a person agreed."""
    why = f"the plan leaves out {', '.join(missing)}"
    if actions.outside == "refuse":
        raise OutsideWorkflow(plan.answer[0] if plan.answer else "", name, why)
    return dict.fromkeys(plan.answer, f"workflow {name!r}: {why}")
