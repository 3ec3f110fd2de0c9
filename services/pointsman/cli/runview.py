"""A run or a plan as a tree: each task under the last of those that it waits for."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text
from rich.tree import Tree

from pointsman.cli.output import clean, dollars, seconds
from pointsman.client import Event, Plan, PlanTask, Step

SYMBOLS: Mapping[str, tuple[str, str]] = {
    "waiting": ("○", "dim"),
    "ready": ("◔", "cyan"),
    "routed": ("◔", "cyan"),
    "running": ("◐", "cyan"),
    "held": ("◆", "magenta"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "yellow"),
    "cancelled": ("■", "yellow"),
}
"""What stands for the state of a task, and its colour; the state is told by shape too."""
WAITS, WAIT = "waits for approval", "wait for approval"
PHASES: Mapping[str, str] = {
    "understand": "Reading the request",
    "plan": "Planning",
    "review": "Checking the plan",
    "dispatch": "Working",
    "assess": "Looking at the results",
    "replan": "Planning again",
    "respond": "Writing the answer",
}


@dataclass(slots=True)
class Progress:
    """How one task goes. seconds: how long it took, once that is known. held: items that wait for a person."""

    status: str = "waiting"
    expert: str = ""
    note: str = ""
    started: float | None = None
    seconds: float | None = None
    children: int = 0
    settled: int = 0
    held: set[str] = field(default_factory=set)

    def take(self, event: Event) -> None:
        """Takes in what happened to the task."""
        fields = event.fields
        match event.type:
            case "task.ready":
                self.status = "ready"
            case "task.routed":
                self.status, self.expert = "routed", str(fields["route"]["expert"])
            case "task.started":
                self.status, self.started = "running", event.at
            case "task.progressed":
                self.note = f"{fields['share']:.0%} {fields['note']}".strip()
            case "task.expanded":
                self.status, self.started = "running", event.at
                self.children = len(fields["children"])
            case "task.done":
                self.status, self.note = "done", str(fields["note"])
                self.seconds = float(fields["seconds"])
            case "task.failed":
                self.note = str(fields["error"]["message"])
                self.status = "failed" if fields["final"] else "ready"
            case "task.skipped":
                self.status, self.note = "skipped", str(fields["reason"])
            case "task.cancelled":
                self.status = "cancelled"
            case _:
                self._decision(event)

    def _decision(self, event: Event) -> None:
        if event.type == "approval.requested":
            self.status, self.note = "held", WAITS
        elif event.type == "approval.decided" and event.fields["decision"] != "edited":
            self.status = "ready"
            self.note = f"{event.fields['decision']} by {event.fields['by']}"


class RunView:
    """What is known of a run from its events; Rich draws it anew whenever it is asked to."""

    def __init__(self) -> None:
        self.phase = "Getting ready"
        self.tasks: tuple[PlanTask, ...] = ()
        self.progress: dict[str, Progress] = {}
        self.over = False
        self._spinner = Spinner("dots")

    def take(self, event: Event) -> None:
        """Takes in what happened."""
        match event.type:
            case "phase.entered":
                self.phase = PHASES.get(event.fields["phase"], event.fields["phase"])
            case "plan.proposed":
                self.tasks = Plan.of("", event.fields).tasks
                known = self.progress
                self.progress = {t.id: known.get(t.id, Progress()) for t in self.tasks}
            case "run.ended":
                self.over = True
            case _ if event.task is not None:
                self._task(event, event.task)

    def _task(self, event: Event, id: str) -> None:
        own = self.progress.get(id)
        if own is None:  # one item of a loop: it counts to the task that loops
            self._item(event, self.progress.get(id.partition("[")[0]))
            return
        own.take(event)

    def _item(self, event: Event, parent: Progress | None) -> None:
        if parent is None:
            return
        if event.type == "task.routed":
            parent.expert = str(event.fields["route"]["expert"])
        if event.type == "approval.requested":
            parent.held.add(str(event.task))
        else:
            parent.held.discard(str(event.task))
        settles = event.type == "task.failed" and event.fields["final"]
        if settles or event.type in ("task.done", "task.skipped", "task.cancelled"):
            parent.settled += 1

    def __rich__(self) -> RenderableType:
        heading = Text(self.phase, style="bold")
        if not self.tasks:
            return Text("") if self.over else self._busy(heading)
        tree = task_tree(self.tasks, [self._line(t) for t in self.tasks])
        return tree if self.over else Group(self._busy(heading), tree)

    def _busy(self, heading: Text) -> RenderableType:
        self._spinner.text = heading
        return self._spinner

    def _line(self, task: PlanTask) -> Text:
        at = self.progress[task.id]
        took = at.seconds
        if took is None and at.status == "running" and at.started is not None:
            took = max(0.0, time.time() - at.started)
        note = at.note
        if at.children and at.status == "running":
            note = f"{at.settled} of {at.children}"
            if at.held:
                note += f", {len(at.held)} {WAITS if len(at.held) == 1 else WAIT}"
        return line(at.status, task.title, at.expert, took, note)


def line(status: str, title: str, expert: str, took: float | None, note: str = "") -> Text:
    """✓ read reviews.csv  tables  0.12 s  40 rows"""
    symbol, style = SYMBOLS.get(status, SYMBOLS["waiting"])
    text = Text()
    text.append(f"{symbol} ", style=style)
    text.append(clean(title), style="default" if status != "waiting" else "dim")
    if expert:
        text.append(f"  {clean(expert)}", style="dim")
    if took is not None:
        text.append(f"  {seconds(took)}", style="dim")
    if note:
        text.append(f"  {clean(note)}", style="red" if status == "failed" else "dim italic")
    return text


def task_tree(tasks: Sequence[PlanTask], lines: Sequence[Text]) -> Tree:
    """Tasks under the last of their inputs; the others are named beside the title."""
    root = Tree("", hide_root=True, guide_style="dim")
    nodes: dict[str, Tree] = {}
    waiting = list(zip(tasks, lines, strict=True))
    while waiting:
        ready = [(t, text) for t, text in waiting if set(t.inputs) <= set(nodes)] or waiting
        for task, text in ready:
            known = [i for i in task.inputs if i in nodes]
            parent = nodes[known[-1]] if known else root
            if len(known) > 1:
                others = ", ".join(_title(tasks, i) for i in known[:-1])
                text.append(f"  (with: {clean(others)})", style="dim")
            nodes[task.id] = parent.add(text)
        waiting = [(t, text) for t, text in waiting if t.id not in nodes]
    return root


def _title(tasks: Sequence[PlanTask], id: str) -> str:
    return next((t.title for t in tasks if t.id == id), id)


def plan_tree(plan: Plan) -> RenderableType:
    """A plan that was not run, with what it is expected to take."""
    lines = []
    for task in plan.tasks:
        text = Text("○ ")
        text.append(clean(task.title))
        text.append(f"  {task.capability}", style="dim")
        if task.repeated:
            text.append("  for each item", style="dim italic")
        if task.conditional:
            text.append("  only if needed", style="dim italic")
        lines.append(text)
    count = len(plan.tasks)
    about = (
        f"{count} task{'' if count == 1 else 's'}, about {seconds(plan.seconds)}, "
        f"{dollars(plan.cost)}; planned by {plan.source}, confidence {plan.confidence:.0%}"
    )
    told = [Text(f"Taken for granted: {clean(a)}", style="italic") for a in plan.assumptions]
    told += [Text(f"Not done: {clean(u)}", style="yellow") for u in plan.unserved]
    return Group(task_tree(plan.tasks, lines), Text(about, style="dim"), *told)


def why_lines(steps: Sequence[Step]) -> list[Text]:
    """For each task, which expert did it and why that one."""
    told = []
    for step in steps:
        text = line(step.status, step.title, step.expert or "", step.seconds or None)
        reason = step.reason.removeprefix(f"{step.expert}: ")
        text.append(f"  {clean(reason)}" if reason else "", style="dim")
        if step.attempts > 1:
            text.append(f"  ({step.attempts} attempts)", style="yellow")
        told.append(text)
    return told
