"""Workflows learned from past plans: what was asked for often and done alike becomes a workflow to look over.

    observed = read_observed(Path("plans.jsonl"))
    vectors = await embedder.embed([masked(o.request) for o in observed])
    for one in mine(observed, vectors, support=3):
        print(one.form, one.support)

Plans are grouped by what was asked (cosine of the requests) and by what was done (the actions they share), by
average linkage. The most frequent shape of a group becomes the workflow's plan: constants that differ between its
plans become parameters, files always do. From the sequences of actions of all its plans the expected action plan is
discovered (`pointsman.router.planning.workflows.discovery`), so that variants that were right stay allowed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from pointsman.router.plan import Plan, TaskId, order
from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.past import read_lines
from pointsman.router.planning.retrieval import masked
from pointsman.router.planning.workflows.action_plan import ActionPlan, parse_actions, to_form
from pointsman.router.planning.workflows.discovery import Trace, discover
from pointsman.router.planning.workflows.following import follow
from pointsman.workflows.generalising import generalised
from pointsman.workflows.shapes import shape_of, signatures

SUPPORT = 3
ALIKE = 0.35
"""Mean distance up to which plans are of one group; 0 is the same request and the same actions, 1 nothing shared."""
EXAMPLES = 6
ORDERS = 8
"""Orders of one plan that are looked at where its tasks run side by side."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A past plan that was right, or of which nothing else is known."""

    request: str
    plan: Plan
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Mined:
    """form: the YAML form of a workflow. support: past plans of its group; of_shape: of the plan that was taken."""

    form: dict[str, Any]
    support: int
    of_shape: int
    variants: int
    first: str | None
    last: str | None

    @property
    def note(self) -> str:
        when = f", {self.first} to {self.last}" if self.first and self.last else ""
        variants = f", {self.variants} variants" if self.variants > 1 else ""
        return (
            f"Mined from {self.support} past plans, {self.of_shape} of this shape{variants}{when}.\n"
            "Look it over before it is used: name, examples, parameters, expected actions."
        )


def read_observed(path: Path) -> list[Observed]:
    """The plans of a plans.jsonl that were not found wrong. Raises BadExample with the number of the line, OSError."""
    lines = read_lines(path, check=order)
    return [Observed(form.request, plan, form.at) for form, plan in lines]


def mine(observed: Sequence[Observed], vectors: Vectors, *, support: int = SUPPORT) -> list[Mined]:
    """Workflows with at least so many past plans each, most frequent first; names are their own.

    vectors: [n, dim] float32 of the requests, masked.
    """
    found: list[Mined] = []
    names: set[str] = set()
    for group in _groups(observed, vectors):
        if len(group) >= support:
            one = _mined([observed[i] for i in group], vectors[group], names)
            names.add(str(one.form["name"]))
            found.append(one)
    return sorted(found, key=lambda m: (-m.support, m.form["name"]))


def _groups(observed: Sequence[Observed], vectors: Vectors) -> list[list[int]]:
    if len(observed) < 2:
        return [list(range(len(observed)))] if observed else []
    counts = [Counter(t.capability for t in o.plan.tasks) for o in observed]
    distances = [
        0.5 * (1.0 - float(vectors[i] @ vectors[j])) + 0.5 * (1.0 - _shared(counts[i], counts[j]))
        for i in range(len(observed))
        for j in range(i + 1, len(observed))
    ]
    labels = fcluster(linkage(np.array(distances), "average"), ALIKE, "distance")
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(int(label), []).append(place)
    return list(groups.values())


def _shared(one: Counter[str], other: Counter[str]) -> float:
    """Jaccard's index of two bags of actions."""
    return (one & other).total() / (one | other).total()


def _mined(group: Sequence[Observed], vectors: Vectors, taken: set[str]) -> Mined:
    shapes = [shape_of(o.plan) for o in group]
    counts = Counter(shapes)
    shape, of_shape = counts.most_common(1)[0]
    alike = [o.plan for o, s in zip(group, shapes, strict=True) if s == shape]
    plan, parameters = generalised(alike)
    near = vectors @ vectors.mean(axis=0)
    requests = _distinct([group[i].request for i in np.argsort(-near, kind="stable")])
    actions = _actions([o.plan for o in group], alike[0])
    dates = sorted(o.at for o in group if o.at)
    name = _name(requests, alike[0], taken)
    form: dict[str, Any] = {
        "name": name,
        "title": name.replace("-", " "),
        "description": _description(alike[0]),
        "examples": requests[:EXAMPLES],
        **({"parameters": parameters} if parameters else {}),
        "plan": plan,
        "actions": actions,
    }
    ends = (dates[0], dates[-1]) if dates else (None, None)
    return Mined(form, len(group), of_shape, len(counts), *ends)


def _actions(plans: Sequence[Plan], chosen: Plan) -> dict[str, object]:
    """What all plans of the group follow, the chosen one in its parallel orders too."""
    step = discover([t for p in plans for t in traces(p)])
    actions = ActionPlan(step)
    form = to_form(actions)
    assert not follow(chosen, parse_actions(form)).outside, "a plan follows what was found in it"
    return form


def traces(plan: Plan) -> list[Trace]:
    """Orders in which the plan's tasks may be done, some of them: of tasks side by side each comes first once."""
    inputs = {t.id: set(t.inputs()) for t in plan.tasks}
    names = {t.id: t.capability for t in plan.tasks}
    found: dict[Trace, None] = {}
    for turn in range(ORDERS):
        done: list[TaskId] = []
        while len(done) < len(inputs):
            ready = [i for i in inputs if i not in done and inputs[i].issubset(done)]
            if turn % 2:
                ready.reverse()
            done.append(ready[turn // 2 % len(ready)])
        found[tuple(names[i] for i in done)] = None
    return list(found)


def _distinct(requests: Sequence[str]) -> list[str]:
    """Each way of asking once; names of files and quoted phrases do not make another one."""
    kept: dict[str, str] = {}
    for request in requests:
        kept.setdefault(masked(request).lower().rstrip("?.! "), " ".join(request.split()))
    return list(kept.values())


def _description(plan: Plan) -> str:
    told = [plan.task(id).title or plan.task(id).capability for id in order(plan)]
    text = ", then ".join(told)
    return f"{text[:1].upper()}{text[1:]}."


def _name(requests: Sequence[str], plan: Plan, taken: set[str]) -> str:
    """Of the words that most of its requests share; with a number where another workflow has it."""
    words = signatures(requests) or [plan.tasks[-1].capability.replace(".", "-").replace("_", "-")]
    base = "-".join(words[:3])
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
