"""Named workflows, matched by meaning: the first and surest of the planners.

A workflow wins only when the request is near to one of its examples, says nothing that the workflow does not
speak of, and fills its parameters. Everything else is left to the planners after it.

A workflow with an expected action plan is a procedure: people tell what happened to them, in words that nobody
foresaw, so it is matched by meaning alone, with a calibrated probability (`workflows.ranking`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import PlanError
from pointsman.router.plan import Plan, parse_plan, validate
from pointsman.router.planning.arguments.filling import fill
from pointsman.router.planning.base import (
    Considered,
    Embedder,
    Proposal,
    Refusal,
    Request,
    Vectors,
)
from pointsman.router.planning.mentions import Mentions, find_mentions
from pointsman.router.planning.retrieval import masked, stems
from pointsman.router.planning.workflows.action_plan import ActionPlan
from pointsman.router.planning.workflows.ranking import Described, WorkflowRanker, load_weights
from pointsman.router.values import FileProfile, Schema

NEAR = 0.7
"""Cosine to the nearest example under which a request is not for the workflow."""
WHOLE = 0.5
"""Share of an example's content words that a request must have: "which are negative" asks for a part."""
MEANT = 0.6
"""Probability from which a procedure is taken to be meant."""
NO_WORKFLOW = Refusal("no workflow of the library is meant")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named plan with parameters.

    parameters: JSON Schema by name; `x-kind: file` (with `x-shape: table` or `text`) is filled with the
    request's file, `x-kind: files` with its files, the rest from the words. plan: a plan's JSON form in
    which {"$param": name} stands for a parameter. actions: what a run that follows it may do, beyond the
    plan itself: anything else is asked about or refused; None when nothing was said.
    """

    name: str
    title: str
    description: str
    examples: tuple[str, ...]
    plan: Mapping[str, Any]
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    actions: ActionPlan | None = None


class WorkflowPlanner:
    """Plans by the library alone; confidence 0 when none of its workflows is meant."""

    name = "workflows"

    def __init__(self, embedder: Embedder, workflows: Sequence[Workflow]) -> None:
        self._embedder = embedder
        self._workflows = tuple(workflows)
        self._lines = [(i, masked(e)) for i, w in enumerate(workflows) for e in w.examples]
        self._vectors: Vectors | None = None
        self._procedures = {w.name: w for w in workflows if w.actions is not None}
        known = [Described(w.name, w.title, w.examples) for w in self._procedures.values()]
        self._ranker = WorkflowRanker(embedder, known, load_weights()) if known else None

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        if not self._lines or not request.text.strip() or len(request.text) > 1_000:
            return Proposal(NO_WORKFLOW, 0.0)
        considered: list[Considered] = []
        for place, near in await self._nearest(request.text):
            workflow = self._workflows[place]
            considered.append(Considered(f"workflow:{workflow.name}", round(near, 3)))
            if near < NEAR or not is_meant(request.text, workflow):
                continue
            plan = await self._filled(workflow, request, catalog)
            if plan is not None:
                return Proposal(plan, min(1.0, 0.6 + 0.4 * near), tuple(considered))
        return await self._procedure(request, catalog) or Proposal(
            NO_WORKFLOW, 0.0, tuple(considered[:3])
        )

    async def _procedure(self, request: Request, catalog: Catalog) -> Proposal | None:
        """The procedure that is meant, if one is, or a question for what it needs; its probability is the confidence."""
        if self._ranker is None:
            return None
        ranked = await self._ranker.rank(request.text)
        first = ranked[0]
        if first.probability < MEANT:
            return None
        workflow = self._procedures[first.name]
        given = await self._given(workflow, request)
        missing = [n for n in workflow.parameters if n not in given]
        outcome = asked_for(workflow, missing) if missing else _planned(workflow, given, catalog)
        if outcome is None:
            return None
        considered = [Considered(f"workflow:{m.name}", round(m.probability, 3)) for m in ranked[:3]]
        return Proposal(outcome, first.probability, tuple(considered))

    async def _nearest(self, text: str) -> list[tuple[int, float]]:
        """Workflows with the cosine of their nearest example, nearest first."""
        if self._vectors is None:
            self._vectors = await self._embedder.embed([line for _, line in self._lines])
        similar = self._vectors @ (await self._embedder.embed([masked(text)]))[0]
        owners = np.array([i for i, _ in self._lines])
        best = [(i, float(similar[owners == i].max())) for i in range(len(self._workflows))]
        return sorted(best, key=lambda pair: -pair[1])

    async def _filled(self, workflow: Workflow, request: Request, catalog: Catalog) -> Plan | None:
        """The workflow's plan for this request; None when a parameter is missing or it cannot run here."""
        given = await self._given(workflow, request)
        return None if set(workflow.parameters) - set(given) else _planned(workflow, given, catalog)

    async def _given(self, workflow: Workflow, request: Request) -> dict[str, Any]:
        """The parameters that the request and its files say, and those with a default."""
        mentions = find_mentions(request.text, request.files)
        given: dict[str, Any] = {}
        scalars: dict[str, Schema] = {}
        for name, schema in workflow.parameters.items():
            if schema.get("x-kind") not in ("file", "files"):
                scalars[name] = schema
            elif files := _files(schema, mentions, request.files):
                refs = [f.ref.to_json() for f in files]
                given[name] = refs if schema["x-kind"] == "files" else refs[0]
        return given | await self._scalars(workflow, scalars, request)

    async def _scalars(
        self, workflow: Workflow, schemas: Mapping[str, Schema], request: Request
    ) -> dict[str, Any]:
        if not schemas:
            return {}
        needed = [n for n, s in schemas.items() if "default" not in s]
        form = {"type": "object", "properties": dict(schemas), "required": needed}
        asked = Capability("workflow.parameters", workflow.description, form, {})
        filled = await fill(request.text, asked, {}, now=request.now, embedder=self._embedder)
        defaults = {n: s["default"] for n, s in schemas.items() if "default" in s}
        return defaults | {n: v for n, v in filled.arguments.items() if n in schemas}


def asked_for(workflow: Workflow, missing: Sequence[str]) -> Refusal:
    """A question for what the words of a request did not say."""
    told = [_described(n, workflow.parameters[n]) for n in missing]
    why = f"the workflow {workflow.title!r} needs {' and '.join(told)}"
    return Refusal(why, (workflow.title,), f"For {workflow.title!r}: what is {' and '.join(told)}?")


def _described(name: str, schema: Schema) -> str:
    """What a person calls a parameter."""
    text = str(schema.get("description") or name.replace("_", " "))
    return f"the file for {text}" if "x-kind" in schema else text


def _planned(workflow: Workflow, given: Mapping[str, Any], catalog: Catalog) -> Plan | None:
    """None when it cannot run here."""
    plan = parse_plan({**_replaced(workflow.plan, given), "source": f"workflow:{workflow.name}"})
    try:
        validate(plan, catalog)
    except PlanError:
        return None
    return plan


def is_meant(text: str, workflow: Workflow) -> bool:
    """Whether a request asks for the whole of a workflow, and for nothing else."""
    said = stems(masked(text))
    wholes = [stems(masked(e)) for e in workflow.examples]
    whole = any(len(w & said) >= WHOLE * len(w) for w in wholes if w)
    return whole and says_nothing_else(text, workflow)


def says_nothing_else(text: str, workflow: Workflow) -> bool:
    """Whether every content word of a request is a word of the workflow: "positive" asks for another one."""
    known = stems(" ".join([workflow.title, workflow.description, *map(masked, workflow.examples)]))
    said = {s for s in stems(masked(text)) if not s.isdigit()}
    numbers = {"one", "two", "three", "four", "fiv", "five", "six", "seven", "eight", "nine", "ten"}
    return not said - known - numbers


def _files(
    schema: Schema, mentions: Mentions, files: Sequence[FileProfile]
) -> tuple[FileProfile, ...]:
    """The files named, else the only ones of the shape that is wanted; none when it is not clear which."""
    shape = schema.get("x-shape")
    named = tuple({f.ref.id: f for m in mentions.files for f in m.files}.values())
    fitting = tuple(
        f for f in named or files if f.error is None and (shape is None or f.shape == shape)
    )
    if len(fitting) != len(named or files):
        return ()
    return fitting if schema["x-kind"] == "files" or len(fitting) == 1 else ()


def _replaced(form: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(form, Mapping):
        if set(form) == {"$param"}:
            return given[form["$param"]]
        return {k: _replaced(v, given) for k, v in form.items()}
    if isinstance(form, list):
        return [_replaced(v, given) for v in form]
    return form


def parameters_in(form: Any) -> set[str]:
    """Every parameter that a plan's form names."""
    if isinstance(form, Mapping):
        if set(form) == {"$param"}:
            return {str(form["$param"])}
        return {n for v in form.values() for n in parameters_in(v)}
    if isinstance(form, list):
        return {n for v in form for n in parameters_in(v)}
    return set()
