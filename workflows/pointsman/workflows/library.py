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

A library of your own: `load_library(folder)`.
"""

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import BadFile, PlanError
from pointsman.router.plan import PlanIn, parse_plan
from pointsman.router.planning.workflow_match import Workflow, parameters_in


class WorkflowIn(BaseModel):
    """The YAML form of a workflow."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    description: str
    examples: list[str] = Field(min_length=1)
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    plan: dict[str, Any]


def load_library(folder: Path | None = None) -> tuple[Workflow, ...]:
    """The workflows that ship, or those of a folder. Raises BadFile, which names file, place and reason."""
    place: Traversable = folder or files("pointsman.workflows") / "library"
    found = sorted(
        (f for f in place.iterdir() if f.name.endswith((".yaml", ".yml"))), key=lambda f: f.name
    )
    workflows = [read_workflow(f.read_text("utf-8"), f.name) for f in found]
    _check_names(workflows, found)
    return tuple(workflows)


def load_libraries(own: Path | None) -> tuple[Workflow, ...]:
    """The workflows that ship, and those of a folder; one of the folder takes the place of its namesake.

    A folder that is not there is empty. Raises BadFile.
    """
    mine = load_library(own) if own is not None and own.is_dir() else ()
    names = {w.name for w in mine}
    return (*mine, *(w for w in load_library() if w.name not in names))


def read_workflow(text: str, file: str) -> Workflow:
    """Raises BadFile."""
    try:
        form = WorkflowIn.model_validate(yaml.safe_load(text))
        PlanIn.model_validate(form.plan)
        parse_plan(form.plan)
    except yaml.YAMLError as error:
        raise BadFile(file, f"it is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(p) for p in first["loc"])
        raise BadFile(file, f"at {where}: {first['msg']}") from error
    except PlanError as error:
        raise BadFile(file, error.message) from error
    unknown = parameters_in(form.plan) ^ set(form.parameters)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise BadFile(file, f"parameters and plan do not agree on: {names}")
    return Workflow(
        form.name,
        form.title,
        form.description,
        tuple(form.examples),
        form.plan,
        form.parameters,
    )


def _check_names(workflows: Sequence[Workflow], found: Sequence[Traversable]) -> None:
    seen: set[str] = set()
    for workflow, file in zip(workflows, found, strict=True):
        if workflow.name in seen:
            raise BadFile(file.name, f"another workflow is named {workflow.name!r}")
        seen.add(workflow.name)
