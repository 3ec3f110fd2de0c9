"""ABCD: workflows mined from past plans, without being told which belong together.

Past plans: one for each of the 165 situations, the plan of its sub-flow; in a part of them one action after the
first was left out. Sub-flows with the same plan are one: nothing in the plans tells them apart.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.planning.abcd_retrieval import spread
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.learned.training.next_action import Dialogue
from pointsman.router.planning.workflows.next_action import Actions
from pointsman.workflows.mining import Observed, mine

LEFT_OUT = (0.0, 0.2)
"""Share of past plans in which an action is missing."""


def mining(
    actions: Actions, dialogues: Sequence[Dialogue], seeds: Sequence[int]
) -> dict[str, object]:
    """Prints a line for each share; returns the figures."""
    distinct = len({d.sequence for d in dialogues})
    figures: dict[str, object] = {"distinct plans": distinct}
    for share in LEFT_OUT:
        found = [_mined(actions, dialogues, share, seed) for seed in seeds]
        workflows, right = ([float(f[i]) for f in found] for i in (0, 1))
        print(
            f"   mined, an action missing in {share:.0%} of the past plans: {spread(workflows, '{:.1f}'.format)} "
            f"workflows, whose plans are {spread(right, '{:.1f}'.format)} of the {distinct} there are"
        )
        key = f"missing in {share:.0%}"
        figures[key] = {"workflows": float(np.mean(workflows)), "right": float(np.mean(right))}
    return figures


def _mined(
    actions: Actions, dialogues: Sequence[Dialogue], share: float, seed: int
) -> tuple[int, int]:
    """How many workflows are proposed, and how many of the distinct plans are among theirs."""
    random = np.random.default_rng(seed)
    observed: list[Observed] = []
    vectors: list[np.ndarray] = []
    for dialogue in dialogues:
        for situation in dialogue.situations[:-1]:  # the last one is all of them together
            sequence = dialogue.sequence
            if random.random() < share:
                gone = 1 + int(random.integers(len(sequence) - 1))
                sequence = sequence[:gone] + sequence[gone + 1 :]
            observed.append(Observed(dialogue.key, _plan([actions.names[a] for a in sequence])))
            vectors.append(situation)
    found = mine(observed, np.stack(vectors))
    plans = {tuple(t["capability"] for t in m.form["plan"]["tasks"]) for m in found}
    true = {tuple(actions.names[a] for a in d.sequence) for d in dialogues}
    return len(found), len(plans & true)


def _plan(names: Sequence[str]) -> Plan:
    """The actions one after the other."""
    tasks = [Task(TaskId(f"t{i}"), name) for i, name in enumerate(names)]
    chain = [replace(t, after=(tasks[i - 1].id,)) if i else t for i, t in enumerate(tasks)]
    return Plan(tuple(chain), (chain[-1].id,))
