"""Workflows to YAML files: new ones only, nothing is ever written over."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pointsman.router.planning.workflow_match import Workflow
from pointsman.router.planning.workflows.action_plan import to_form
from pointsman.workflows.library import read_workflow

WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Small collections in one line, long texts unbroken where YAML allows it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def to_yaml(form: Mapping[str, Any], *, note: str = "") -> str:
    """A workflow's YAML text, in the order of its keys. note: comment lines above it."""
    text: str = yaml.dump(
        dict(form),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=None,
    )
    return "".join(f"# {line}\n" for line in note.splitlines()) + text


def write_new(folder: Path, texts: Mapping[str, str]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Writes NAME.yaml for each text that has no file yet; returns those written, and those left as they were.

    Every text is checked before the first is written. Raises BadFile, OSError.
    """
    for name, text in texts.items():
        read_workflow(text, f"{name}.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    kept: list[Path] = []
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        try:
            # O_EXCL: a file that somebody writes at the same moment is not lost either
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            kept.append(path)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
    return tuple(written), tuple(kept)


def form_of(workflow: Workflow) -> dict[str, Any]:
    """The YAML form of a workflow that was read, inner workflows spelt out."""
    actions = {} if workflow.actions is None else {"actions": to_form(workflow.actions)}
    return {
        "name": workflow.name,
        "title": workflow.title,
        "description": workflow.description,
        "examples": list(workflow.examples),
        "parameters": dict(workflow.parameters),
        "plan": dict(workflow.plan),
        **actions,
    }
