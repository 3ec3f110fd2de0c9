"""The answer: made from the final slots, by type; it carries the plan as executed, routes and usage.

Nothing is said that is not in a slot. Where something failed or was not served, the answer says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pointsman.router.events import (
    Event,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskRouted,
    TaskSkipped,
)
from pointsman.router.plan import Plan, TaskId
from pointsman.router.planning.base import Refusal
from pointsman.router.usage import Usage
from pointsman.router.values import Json, JsonObject, kind_of
from pointsman.workflows.wording import say

CONDITION = "its condition does not hold"
"""Why a task with a `when` was skipped; nobody misses its result."""


@dataclass(frozen=True, slots=True)
class Part:
    """One result that is part of the answer."""

    task: TaskId
    title: str
    kind: str
    value: Json
    note: str


@dataclass(frozen=True, slots=True)
class StepTaken:
    """How one task went: status, which expert did it and why, how long it took, what it cost."""

    task: TaskId
    title: str
    capability: str
    status: str = "waiting"
    expert: str | None = None
    reason: str = ""
    seconds: float = 0.0
    cost: int = 0
    note: str = ""
    error: str | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """text: Markdown. parts: the results with their whole values. steps: in the plan's order."""

    text: str
    parts: tuple[Part, ...] = ()
    steps: tuple[StepTaken, ...] = ()
    assumptions: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        return {
            "text": self.text,
            "parts": [
                {"task": p.task, "title": p.title, "kind": p.kind, "value": p.value, "note": p.note}
                for p in self.parts
            ],
            "steps": [
                {
                    "task": s.task,
                    "title": s.title,
                    "capability": s.capability,
                    "status": s.status,
                    "expert": s.expert,
                    "reason": s.reason,
                    "seconds": round(s.seconds, 6),
                    "cost": s.cost,
                    "note": s.note,
                    "error": s.error,
                    "attempts": s.attempts,
                }
                for s in self.steps
            ],
            "assumptions": list(self.assumptions),
            "unserved": list(self.unserved),
            "usage": self.usage.to_json(),
            "seconds": round(self.seconds, 6),
        }


def steps_taken(plan: Plan, events: Sequence[Event]) -> tuple[StepTaken, ...]:
    """The plan as executed, from the run's events. The children of a loop count to their parent."""
    found: dict[str, dict[str, Any]] = {t.id: {} for t in plan.tasks}
    for event in events:
        task = getattr(event, "task", None)
        if task is None:
            continue
        own = found.get(task)
        facts = found.get(str(task).partition("[")[0]) if own is None else own
        if facts is not None:
            _take_in(facts, event, child=own is None)
    return tuple(StepTaken(t.id, t.title or t.id, t.capability, **found[t.id]) for t in plan.tasks)


def _take_in(facts: dict[str, Any], event: Event, *, child: bool) -> None:
    match event:
        case TaskRouted():
            facts["expert"] = str(event.route["expert"])
            facts["reason"] = str(event.route["reason"])
            facts["attempts"] = facts.get("attempts", 0) + 1
            facts["status"] = "running"
        case TaskDone():
            facts["seconds"] = facts.get("seconds", 0.0) + event.seconds
            facts["cost"] = facts.get("cost", 0) + int(event.usage.get("cost", 0))
            if not child:
                facts |= {"status": "done", "note": event.note, "error": None}
        case TaskFailed():
            facts["error"] = event.error.message
            if event.final and not child:
                facts["status"] = "failed"
        case TaskSkipped() if not child:
            facts |= {"status": "skipped", "note": event.reason}
        case TaskCancelled() if not child:
            facts["status"] = "cancelled"
        case _:
            pass


def compose(
    plan: Plan,
    results: Mapping[str, Json],
    steps: Sequence[StepTaken],
    *,
    usage: Usage,
    seconds: float,
    written: str | None = None,
    failure: str | None = None,
) -> Answer:
    """The answer of a run. `written`: text by a language model, in place of ours. `failure`: why it stopped."""
    by_id = {s.task: s for s in steps}
    answered = [plan.task(id) for id in plan.answer if by_id[id].status == "done"]
    parts = tuple(
        Part(t.id, t.title or t.id, kind_of(results.get(t.id)), results.get(t.id), by_id[t.id].note)
        for t in answered
    )
    paragraphs = [written] if written else _paragraphs(parts)
    if failure:
        paragraphs.insert(0, f"This was not finished: {failure}.")
    paragraphs += _faults(steps)
    if not answered and steps and all(s.status in ("done", "skipped") for s in steps):
        paragraphs.insert(0, "There was nothing to do: the conditions of the plan do not hold.")
    paragraphs += [f"Not done: {u.rstrip('.')}." for u in plan.unserved]
    paragraphs += [f"Taken for granted: {a.rstrip('.')}." for a in plan.assumptions]
    if answered:
        paragraphs.append(_how(steps))
    return Answer(
        "\n\n".join(p for p in paragraphs if p),
        parts,
        tuple(steps),
        plan.assumptions,
        plan.unserved,
        usage,
        seconds,
    )


def _paragraphs(parts: Sequence[Part]) -> list[str]:
    if len(parts) == 1:
        return [say(parts[0].value, parts[0].title), _note(parts[0])]
    told: list[str] = []
    for part in parts:
        told += [f"**{_sentence(part.title)}**", say(part.value, part.title), _note(part)]
    return told


def _note(part: Part) -> str:
    return f"_{_sentence(part.note.rstrip('.'))}._" if part.note else ""


def _faults(steps: Sequence[StepTaken]) -> list[str]:
    """What went wrong, cause first; what was skipped only because of it is not told again."""
    told = [f"**{_sentence(s.title)}** failed: {s.error}" for s in steps if s.status == "failed"]
    told += [f"**{_sentence(s.title)}** was cancelled." for s in steps if s.status == "cancelled"]
    if not told:
        told = [
            f"**{_sentence(s.title)}** was skipped: {s.note}."
            for s in steps
            if s.status == "skipped" and s.note != CONDITION
        ]
    return told


def _how(steps: Sequence[StepTaken]) -> str:
    done = [s for s in steps if s.status == "done"]
    told = " → ".join(f"{s.title} ({s.expert})" if s.expert else s.title for s in done)
    return f"_How: {told}._" if told else ""


def refuse(refusal: Refusal) -> Answer:
    """The answer when there is no plan: why, what is missing, and what could be done."""
    paragraphs = [_sentence(refusal.why.rstrip(".")) + "."]
    if refusal.question:
        paragraphs.append(refusal.question)
    if refusal.could_do:
        paragraphs.append(
            "What I could do:\n" + "\n".join(f"- {_sentence(c)}" for c in refusal.could_do)
        )
    return Answer("\n\n".join(paragraphs))


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]
    return text if "." in first else text[:1].upper() + text[1:]  # names of files stay as they are
