"""The paraphrase groups of the benchmark `memory`: requests, files, and the plan that is right for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import yaml

from pointsman.router.plan import Plan, parse_plan
from pointsman.router.planning.base import Request
from pointsman.router.values import Column, ColumnType, FileId, FileProfile, FileRef

GROUPS = Path(__file__).with_name("memory_groups.yaml")
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """A request of a group, with the plan that is right for it."""

    group: str
    half: str
    request: Request
    plan: Plan


def load(path: Path = GROUPS) -> list[Case]:
    value = yaml.safe_load(path.read_text("utf-8"))
    files = {name: _profile(name, about) for name, about in value["files"].items()}
    found = []
    for group in value["groups"]:
        for text, given in group["say"]:
            here = (files[given["file"]],) if "file" in given else ()
            plan = parse_plan(_plan(group["plan"], given, files))
            found.append(Case(group["name"], group["half"], Request(text, NOW, here), plan))
    return found


def _profile(name: str, about: Any) -> FileProfile:
    ref = FileRef(FileId("f_" + name.replace(".", "_")), name, "text/plain", 1_000)
    if about == "text":
        return FileProfile(ref, "text")
    samples = {n: tuple(t) for n, t in about.items() if isinstance(t, list)}
    columns = tuple(
        Column(n, cast(ColumnType, "text" if isinstance(t, list) else t)) for n, t in about.items()
    )
    return FileProfile(ref, "table", columns, 100, samples, tuple(samples))


def _plan(tasks: Any, given: Mapping[str, Any], files: Mapping[str, FileProfile]) -> dict[str, Any]:
    return {
        "tasks": [
            {
                "id": id,
                "capability": name,
                "arguments": {k: _filled(v, given, files) for k, v in arguments.items()},
            }
            for id, name, arguments in tasks
        ]
    }


def _filled(value: Any, given: Mapping[str, Any], files: Mapping[str, FileProfile]) -> Any:
    if isinstance(value, str):
        alone = value[1:-1]
        return given[alone] if value == f"{{{alone}}}" and alone in given else value.format(**given)
    if isinstance(value, list):
        return [_filled(v, given, files) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "f" in value:
        return files[given[value["f"]]].ref.to_json()
    if "t" in value:
        return {"$task": value["t"]}
    return {k: _filled(v, given, files) for k, v in value.items()}
