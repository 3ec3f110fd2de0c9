"""ABCD, second half: dialogues that are carried out, with a proposer that errs, and what is let through.

The proposer knows the right next action and says it, but in 20 % of its steps it says another one: any other
action, or the end, all equally likely, drawn anew at each proposal. A chooser sees what is proposed and decides.
With enforcement each decision is held against the workflow's action plan before it is carried out; what the plan
does not allow is refused, the proposer is asked again (and may err again), and after three more refusals in
one step the dialogue stops for a person. Without enforcement every decision is carried out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from pointsman.router.planning.learned.training.next_action import Dialogue, offer
from pointsman.router.planning.workflows.action_plan import ActionPlan, parse_actions
from pointsman.router.planning.workflows.next_action import Actions, Chooser, Context, Moment

REFUSALS = 3
LONGEST = 15
REPEATS = 10
"""Dialogues of each situation, with other errors each time."""
Decide: TypeAlias = Callable[[tuple[int, ...], int, frozenset[int]], int]
"""History, proposal and what was refused in this step, to an action."""


@dataclass(slots=True)
class Tally:
    """What happened in many dialogues."""

    dialogues: int = 0
    exact: int = 0
    carried_out: int = 0
    invalid: int = 0
    refused: int = 0
    stopped: int = 0


def plan_of(actions: Actions, sequence: Sequence[int]) -> ActionPlan:
    """What an imported workflow expects."""
    return parse_actions({"steps": [actions.names[a] for a in sequence], "outside": "refuse"})


def carry_out(
    dialogue: Dialogue,
    actions: Actions,
    decide: Decide,
    random: np.random.Generator,
    tally: Tally,
    *,
    enforced: ActionPlan | None = None,
) -> None:
    """One dialogue, added to the tally. enforced: what decisions are held against; None: nothing is refused."""
    truth = plan_of(actions, dialogue.sequence)
    history: tuple[int, ...] = ()
    tally.dialogues += 1
    while len(history) < LONGEST:
        chosen = _step(history, truth, actions, decide, random, tally, enforced)
        if chosen is None:
            tally.stopped += 1
            return
        if chosen == actions.end:
            break
        tally.carried_out += 1
        tally.invalid += not _fits(truth, actions, history, chosen)
        history = (*history, chosen)
    tally.exact += history == dialogue.sequence


def _step(
    history: tuple[int, ...],
    truth: ActionPlan,
    actions: Actions,
    decide: Decide,
    random: np.random.Generator,
    tally: Tally,
    enforced: ActionPlan | None,
) -> int | None:
    refused: frozenset[int] = frozenset()
    for _ in range(REFUSALS + 1):
        proposed = offer(_right(truth, actions, history), actions.end, random)
        chosen = decide(history, proposed, refused)
        if enforced is None or _fits(enforced, actions, history, chosen):
            return chosen
        tally.refused += 1
        refused |= {chosen}
    return None


def _fits(plan: ActionPlan, actions: Actions, history: tuple[int, ...], chosen: int) -> bool:
    taken = [actions.names[a] for a in history]
    if chosen == actions.end:
        return plan.is_complete(taken)
    return plan.check(taken, actions.names[chosen]).kind == "allowed"


def _right(plan: ActionPlan, actions: Actions, history: tuple[int, ...]) -> int:
    """The next action of the truth; the end when all is done."""
    allowed = sorted(plan.allowed(actions.names[a] for a in history))
    return actions.names.index(allowed[0]) if allowed else actions.end


def by_chooser(
    chooser: Chooser, context: Context, dialogue: Dialogue, situation: np.ndarray
) -> Decide:
    """dialogue: whose name and plan are in the context."""

    def decide(history: tuple[int, ...], proposed: int, refused: frozenset[int]) -> int:
        offered = proposed if proposed >= 0 else None
        moment = Moment(situation, history, offered, dialogue.name, dialogue.plan)
        return chooser.choose(moment, context, excluded=refused)

    return decide


def by_proposer(history: tuple[int, ...], proposed: int, refused: frozenset[int]) -> int:
    """Whatever is proposed."""
    return proposed


def followers(dialogues: Sequence[Dialogue], end: int) -> dict[int, list[int]]:
    """What followed each action in the training dialogues, most frequent first; -1 is the beginning."""
    counts: dict[int, Counter[int]] = {}
    for dialogue in dialogues:
        steps = (-1, *dialogue.sequence, end)
        for before, following in pairwise(steps):
            counts.setdefault(before, Counter())[following] += 1
    return {a: [b for b, _ in c.most_common()] for a, c in counts.items()}


def by_followers(known: dict[int, list[int]], end: int) -> Decide:
    """The most frequent follower of the last action in training."""

    def decide(history: tuple[int, ...], proposed: int, refused: frozenset[int]) -> int:
        likely = known.get(history[-1] if history else -1, [])
        return next((a for a in likely if a not in refused), end)

    return decide


def next_accuracy(
    dialogues: Sequence[Dialogue],
    actions: Actions,
    decides: Callable[[Dialogue, np.ndarray], Decide],
) -> float:
    """Share of right next actions, each after a right history, with nothing proposed (-1)."""
    right: list[bool] = []
    for dialogue in dialogues:
        for situation in dialogue.situations:
            decide = decides(dialogue, situation)
            for place, wanted in enumerate((*dialogue.sequence, actions.end)):
                right.append(decide(dialogue.sequence[:place], -1, frozenset()) == wanted)
    return float(np.mean(right))
