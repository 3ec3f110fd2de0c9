"""Plans that were made before: what a planner learns a catalog's habits from.

    past = PastPlan.of("book a table and tell Ana", plan)
    many = read_past(Path("plans.jsonl"))

`plans.jsonl` has one JSON object a line: {"request": str, "plan": <Plan.to_json()>, "right": bool or null,
"run": str or null, "at": ISO 8601 or null}.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pointsman.router.errors import BadExample, PlanError
from pointsman.router.plan import Plan, Ref, parse_plan


@dataclass(frozen=True, slots=True)
class PastPlan:
    """A request and what served it. capabilities: names, each once, in the plan's order.

    links: (source, target) names: the target reads the source's result or waits for it. hands: what is read:
    (source, target, parameter of the target, path into the source's result).
    """

    request: str
    capabilities: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    hands: tuple[tuple[str, str, str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, request: str, plan: Plan) -> "PastPlan":
        named = {t.id: t.capability for t in plan.tasks}
        pairs = ((named[i], t.capability) for t in plan.tasks for i in t.inputs() if i in named)
        return cls(
            request,
            tuple(dict.fromkeys(named.values())),
            tuple(dict.fromkeys((a, b) for a, b in pairs if a != b)),
            tuple(
                (named[value.task], t.capability, parameter, value.path)
                for t in plan.tasks
                for parameter, value in t.arguments.items()
                if isinstance(value, Ref) and value.task in named
            ),
        )


class PastLine(BaseModel):
    """A line of `plans.jsonl`, as it is written. right: what a person said. at: ISO 8601."""

    model_config = ConfigDict(extra="forbid")

    request: str
    plan: dict[str, Any]
    right: bool | None = None
    run: str | None = None
    at: str | None = None


def read_lines(
    path: Path, *, check: Callable[[Plan], object] = lambda plan: None
) -> list[tuple[PastLine, Plan]]:
    """The lines of a file that were not found wrong, with their plans.

    check: called with each plan; its PlanError or KeyError is the line's. Raises BadExample, with the number of
    the line, OSError.
    """
    found: list[tuple[PastLine, Plan]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            form = PastLine.model_validate_json(line)
            plan = parse_plan(form.plan)
            check(plan)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"]) or "the line"
            raise BadExample(path.name, number, f"{where}: {first['msg']}") from error
        except (PlanError, KeyError) as error:
            raise BadExample(path.name, number, str(error)) from error
        if form.right is not False and plan.tasks:
            found.append((form, plan))
    return found


def read_past(path: Path) -> list[PastPlan]:
    """The plans of a file that were not found wrong. Raises BadExample, with the number of the line, OSError."""
    return [PastPlan.of(form.request, plan) for form, plan in read_lines(path)]
