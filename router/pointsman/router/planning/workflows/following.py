"""Whether a plan follows an expected action plan, and the order in which its tasks must then run.

A plan's tasks run in parallel wherever nothing holds them back, so a plan follows an action plan only if every
order in which its tasks may start does. `follow` finds one order that the action plan allows, adds `after`
between those tasks that may not change places, and proves that every order which is left is allowed; where it is
not, or where there are too many to prove it, the tasks run one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.workflows.action_plan import (
    ActionPlan,
    Step,
    Verdict,
    after,
    once_each,
)

MANY = 60
"""Tasks above which all are put one after the other, without looking for those that may change places."""
MOST = 2_000
"""Places in the orders of a plan that are looked at to prove that all are allowed."""


@dataclass(frozen=True, slots=True)
class Following:
    """plan: with the order that the action plan asks for. outside: tasks it does not allow, with the reason.

    missing: actions that it asks for and the plan does not take.
    """

    plan: Plan
    outside: Mapping[TaskId, Verdict]
    missing: tuple[str, ...]


def follow(plan: Plan, actions: ActionPlan, *, done: Sequence[str] = ()) -> Following:
    """A valid plan held against an action plan. done: actions that the run took before, in order.

    Tasks are taken greedily, in the order of the plan among those whose inputs are there.
    """
    found, outside = _ordered(plan, actions, tuple(done))
    begun = tuple(done) + tuple(t.capability for t in found)
    inputs = {t.id: frozenset(t.inputs()) for t in plan.tasks}
    plain = once_each(actions.step) and len({t.capability for t in found}) == len(found)
    held = _held_back(found, actions.reached(done), inputs, plain=plain)
    tasks = tuple(
        replace(t, after=(*t.after, *(h for h in held.get(t.id, ()) if h not in t.inputs())))
        for t in plan.tasks
    )
    return Following(replace(plan, tasks=tasks), outside, actions.missing(begun))


def _ordered(
    plan: Plan, actions: ActionPlan, done: tuple[str, ...]
) -> tuple[list[Task], dict[TaskId, Verdict]]:
    """The tasks that are steps of the action plan, in an order that it allows, and those it does not."""
    states = actions.reached(done)
    waiting, settled = list(plan.tasks), set[TaskId]()
    found: list[Task] = []
    outside: dict[TaskId, Verdict] = {}
    while waiting:
        ready = [t for t in waiting if settled.issuperset(t.inputs())]
        chosen = next((t for t in ready if after(states, t.capability)), None)
        if chosen is not None:
            states = after(states, chosen.capability)
            found.append(chosen)
        else:
            chosen = ready[0]
            taken = (*done, *(t.capability for t in found))
            verdict = actions.check(taken, chosen.capability)
            if verdict.kind != "allowed":
                outside[chosen.id] = verdict
        settled.add(chosen.id)
        waiting.remove(chosen)
    return found, outside


def _held_back(
    found: Sequence[Task],
    states: frozenset[Step],
    inputs: Mapping[TaskId, frozenset[TaskId]],
    *,
    plain: bool,
) -> dict[TaskId, list[TaskId]]:
    """For each task those before it that it has to wait for.

    plain: the action plan is a partial order of the tasks, so what holds for each two of them is all there is.
    """
    chain = {b.id: [a.id] for a, b in pairwise(found)}
    if len(found) > MANY:
        return chain
    held = _not_to_swap(found, states, inputs)
    waits = {t.id: inputs[t.id] | set(held[t.id]) for t in found}
    return held if plain or _allowed_in_every_order(found, states, waits) else chain


def _not_to_swap(
    found: Sequence[Task], states: frozenset[Step], inputs: Mapping[TaskId, frozenset[TaskId]]
) -> dict[TaskId, list[TaskId]]:
    """For each task those before it with which it may not change places, without what follows from others."""
    reached = [states]
    for task in found:
        reached.append(after(reached[-1], task.capability))
    above: dict[TaskId, set[TaskId]] = {}
    held: dict[TaskId, list[TaskId]] = {}
    for place, task in enumerate(found):
        known = {i for near in inputs[task.id] for i in (near, *above.get(near, ()))}
        new: list[TaskId] = []
        for earlier in range(place - 1, -1, -1):
            other = found[earlier].id
            if other not in known and not _may_swap(found, reached, earlier, place):
                new.append(other)
                known |= {other, *above[other]}
        above[task.id] = known
        held[task.id] = new
    return held


def _may_swap(
    found: Sequence[Task], reached: Sequence[frozenset[Step]], earlier: int, later: int
) -> bool:
    """Whether the order stays allowed when the earlier task is done right after the later one."""
    states = reached[earlier]
    for task in (*found[earlier + 1 : later + 1], found[earlier]):
        states = after(states, task.capability)
        if not states:
            return False
    return bool(states & reached[later + 1])


def _allowed_in_every_order(
    found: Sequence[Task], states: frozenset[Step], waits: Mapping[TaskId, frozenset[TaskId]]
) -> bool:
    """Walks through all orders at once, by what was done so far; False when there is too much to walk through."""
    ids = {t.id for t in found}
    begin: tuple[frozenset[TaskId], frozenset[Step]] = (frozenset(), states)
    seen, open_ = {begin}, [begin]
    while open_:
        done, here = open_.pop()
        for task in found:
            if task.id in done or not done.issuperset(waits[task.id] & ids):
                continue
            following = after(here, task.capability)
            if not following or len(seen) >= MOST:
                return False
            place = (done | {task.id}, following)
            if place not in seen:
                seen.add(place)
                open_.append(place)
    return True
