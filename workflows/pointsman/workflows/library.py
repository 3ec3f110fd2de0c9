"""The workflow library: YAML files that say how this organisation does things.

    name: review-complaints
    title: main complaints in reviews
    description: Finds the negative reviews, groups them by topic, and lists the largest groups.
    examples: ["find the negative reviews, group them by topic and give me the main complaints"]
    parameters:
      reviews: {x-kind: file, x-shape: table}
      count: {type: integer, default: 3}
    plan:
      tasks:
        - {id: read, capability: table.read, arguments: {file: {$param: reviews}}}
        ...
      answer: [largest]
    actions: [table.read, text.sentiment, {optional: table.filter}, {any_of: [text.topics, text.classify]}]

A task takes `when` and `for_each` as in any plan. `actions` is optional: the expected action plan, which binds
a run that follows the workflow (see `pointsman.router.planning.workflows.action_plan`). A task may stand for a
whole workflow of the library: {id: complaints, workflow: review-complaints, parameters: {reviews: ...}}.

A library of your own: `load_library(folder)`.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import (
    BadActionPlan,
    BadFile,
    DuplicateTask,
    PlanError,
    UnknownAnswer,
    UnknownRef,
)
from pointsman.router.plan import Plan, PlanIn, order, parse_plan
from pointsman.router.planning.workflow_match import Workflow, parameters_in
from pointsman.router.planning.workflows.action_plan import ActionPlan, parse_actions
from pointsman.router.planning.workflows.following import follow
from pointsman.workflows.composing import Composed, composed
from pointsman.workflows.places import place_of


class WorkflowIn(BaseModel):
    """The YAML form of a workflow."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    description: str
    examples: list[str] = Field(min_length=1)
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    plan: dict[str, Any]
    actions: list[Any] | dict[str, Any] | None = None


def load_library(folder: Path | None = None) -> tuple[Workflow, ...]:
    """The workflows that ship, or those of a folder. Raises BadFile, which names file, place and reason."""
    return _load(files("pointsman.workflows") / "library" if folder is None else folder, ())


def load_libraries(own: Path | None) -> tuple[Workflow, ...]:
    """The workflows that ship, and those of a folder; one of the folder takes the place of its namesake.

    A folder that is not there is empty. Raises BadFile.
    """
    shipped = load_library()
    mine = _load(own, shipped) if own is not None and own.is_dir() else ()
    names = {w.name for w in mine}
    return (*mine, *(w for w in shipped if w.name not in names))


def read_workflow(text: str, file: str, others: Sequence[Workflow] = ()) -> Workflow:
    """others: workflows that its tasks may stand for. Raises BadFile."""
    form = _form(text, file)
    known = {w.name: Composed(w.plan, w.parameters) for w in others}
    return _workflow(form, text, file, known)


def _load(place: Traversable, others: Sequence[Workflow]) -> tuple[Workflow, ...]:
    """Those that other workflows of the folder stand on are read first."""
    found = sorted(
        (f for f in place.iterdir() if f.name.endswith((".yaml", ".yml"))), key=lambda f: f.name
    )
    texts = {f.name: f.read_text("utf-8") for f in found}
    forms = {name: _form(text, name) for name, text in texts.items()}
    _check_names(forms)
    known = {w.name: Composed(w.plan, w.parameters) for w in others}
    known |= {f.name: Composed(f.plan, f.parameters) for f in forms.values()}
    return tuple(_workflow(forms[name], texts[name], name, known) for name in texts)


def _form(text: str, file: str) -> WorkflowIn:
    try:
        return WorkflowIn.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BadFile(file, f"it is not YAML: {error}") from error
    except ValidationError as error:
        raise BadFile(file, _first(error, text, ())) from error


def _workflow(form: WorkflowIn, text: str, file: str, known: Mapping[str, Composed]) -> Workflow:
    try:
        PlanIn.model_validate(_standing_in(form.plan))
        whole = composed(form.name, Composed(form.plan, form.parameters), known)
        plan = parse_plan(_standing_in(whole))
        _check_graph(plan)
        actions = None if form.actions is None else parse_actions(form.actions)
    except ValidationError as error:
        raise BadFile(file, _first(error, text, ("plan",))) from error
    except BadActionPlan as error:
        where = ("actions", *(p for p in error.where.split("/") if p))
        raise BadFile(file, f"at {place_of(text, where)}: {error.why}") from error
    except PlanError as error:
        raise BadFile(file, f"at {place_of(text, ('plan',))}: {error.message}") from error
    unknown = parameters_in(form.plan) ^ set(form.parameters)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise BadFile(
            file,
            f"parameters and plan do not agree on: {names}; give each parameter a place in the plan "
            "({$param: name}) and each $param an entry under parameters",
        )
    if actions is not None:
        _check_actions(plan, actions, text, file)
    return Workflow(
        form.name,
        form.title,
        form.description,
        tuple(form.examples),
        whole,
        form.parameters,
        actions,
    )


def _standing_in(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as a plan's form knows it: inner workflows as tasks, an empty list for a loop over a parameter."""
    tasks = plan.get("tasks")
    if not isinstance(tasks, list):
        return dict(plan)
    return {**plan, "tasks": [_task_standing_in(t) for t in tasks]}


def _task_standing_in(task: Any) -> Any:
    if not isinstance(task, Mapping):
        return task
    made = dict(task)
    if "workflow" in made:
        made = {k: v for k, v in made.items() if k not in ("workflow", "parameters")}
        made["capability"] = str(task["workflow"])
    loop = made.get("for_each")
    over = loop.get("over") if isinstance(loop, Mapping) else None
    if isinstance(loop, Mapping) and isinstance(over, Mapping) and set(over) == {"$param"}:
        made["for_each"] = {**loop, "over": []}
    return made


def _check_graph(plan: Plan) -> None:
    """What can be known of a plan without a catalog. Raises PlanError."""
    ids: set[str] = set()
    for task in plan.tasks:
        if task.id in ids:
            raise DuplicateTask(task.id)
        ids.add(task.id)
    for task in plan.tasks:
        for needed in task.inputs():
            if needed not in ids:
                raise UnknownRef(task.id, needed)
    for answer in plan.answer:
        if answer not in ids:
            raise UnknownAnswer(answer)
    order(plan)


def _check_actions(plan: Plan, actions: ActionPlan, text: str, file: str) -> None:
    """A workflow's own plan must be one that its actions allow."""
    where = place_of(text, ("actions",))
    found = follow(plan, actions)
    for task, verdict in found.outside.items():
        raise BadFile(file, f"at {where}: task {task!r} of the plan breaks them: {verdict.why}")
    if found.missing:
        names = ", ".join(found.missing)
        raise BadFile(
            file, f"at {where}: the plan never does {names}; add a task or make it optional"
        )


def _first(error: ValidationError, text: str, under: tuple[str, ...]) -> str:
    first = error.errors()[0]
    told = {
        "extra_forbidden": "is not known here; remove it, or see whether it is misspelt",
        "missing": "is missing; add it",
    }
    where = place_of(text, (*under, *(str(p) for p in first["loc"])))
    return f"at {where}: {told.get(first['type'], first['msg'])}"


def _check_names(forms: Mapping[str, WorkflowIn]) -> None:
    seen: set[str] = set()
    for file, form in forms.items():
        if form.name in seen:
            raise BadFile(file, f"another workflow is named {form.name!r}; give one another name")
        seen.add(form.name)
