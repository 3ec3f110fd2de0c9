"""Lists: capabilities, runs, decisions, effects, dead letters, checks."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pointsman.cli.output import clean, seconds
from pointsman.cli.runview import SYMBOLS
from pointsman.client import Approval, Capability, DeadLetter, Effect, Run

if TYPE_CHECKING:
    from pointsman.cli.doctor import Check


def capabilities(found: Sequence[Capability]) -> RenderableType:
    """By group: name, what it does, who serves it."""
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("capability", no_wrap=True)
    table.add_column("does", overflow="fold")
    table.add_column("experts", style="dim", overflow="fold")
    last = ""
    for one in found:
        if last and one.group != last:
            table.add_section()
        last = one.group
        experts = ", ".join(one.experts) or "nobody now"
        table.add_row(Text(one.name), Text(clean(one.title)), Text(clean(experts)))
    return table


def capability(one: Capability) -> RenderableType:
    """Everything about one: description, parameters, examples, schema."""
    told: list[RenderableType] = [
        Text(f"{one.name} — {clean(one.title)}", style="bold"),
        Text(clean(one.description)),
        Text(f"effect: {one.effect}; served by: {', '.join(one.experts) or 'nobody now'}", "dim"),
    ]
    if one.examples:
        told.append(Text("\nAsked for like this", style="bold"))
        told += [Text(f"  {clean(e)}") for e in one.examples]
    told.append(Text("\nParameters (JSON Schema)", style="bold"))
    told.append(Text(json.dumps(one.parameters, ensure_ascii=False, indent=2)))
    told.append(Text("\nResult (JSON Schema)", style="bold"))
    told.append(Text(json.dumps(one.output, ensure_ascii=False, indent=2)))
    return Group(*told)


def runs(found: Sequence[Run]) -> RenderableType:
    """Newest first: id, when, how it stands, how long it took, what was asked."""
    if not found:
        return Text("There is no run yet.")
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("took", no_wrap=True, justify="right")
    table.add_column("request", overflow="ellipsis", no_wrap=True)
    for run in found:
        symbol, style = SYMBOLS.get(run.status, SYMBOLS["running"])
        if run.status == "refused":
            symbol, style = SYMBOLS["skipped"]
        when = moment(run.created)
        took = seconds(run.ended - run.created) if run.ended is not None else ""
        request = " ".join(clean(run.request).split())
        table.add_row(
            run.id, when, Text(f"{symbol} {run.status}", style=style), took, Text(request)
        )
    return table


def decisions(found: Sequence[Approval]) -> RenderableType:
    """What was decided, by whom, on what."""
    table = _table("approval", "task", "decision", "by", "when", "capability", "arguments")
    for one in found:
        state = one.decision or "closed: the run was stopped, or nobody decided in time"
        symbol, style = DECIDED.get(one.decision or "", SYMBOLS["skipped"])
        table.add_row(
            one.id,
            clean(one.task),
            Text(f"{symbol} {state}", style=style),
            Text(clean(one.by)),
            moment(one.at) if one.at is not None else "",
            one.capability,
            Text(clean(json.dumps(dict(one.arguments), ensure_ascii=False))),
        )
    return table


def effects(found: Sequence[Effect]) -> RenderableType:
    """The ledger: what was begun outside, how it stands, under which idempotency key."""
    table = _table("task", "state", "class", "capability", "attempt", "began", "key", "note")
    for one in found:
        symbol, style = EFFECTS.get(one.state, SYMBOLS["waiting"])
        table.add_row(
            clean(one.task),
            Text(f"{symbol} {one.state}", style=style),
            one.effect,
            one.capability,
            str(one.attempt),
            moment(one.began),
            one.key,
            Text(clean(one.note)),
        )
    return table


def dead_letters(found: Sequence[DeadLetter]) -> RenderableType:
    """Newest first: which task of which run, and why it was given up."""
    table = _table("run", "task", "capability", "when", "attempts", "why")
    for one in found:
        why = Text(clean(one.error.message))
        when, attempts = moment(one.at), str(one.attempts)
        table.add_row(one.run, clean(one.task), one.capability, when, attempts, why)
    return table


def dead_letter(one: DeadLetter) -> RenderableType:
    """All about one, and what to do with it."""
    text = Text(f"{clean(one.task)} of {one.run}", style="bold")
    facts = [
        ("request", one.request),
        ("capability", one.capability),
        ("given up", f"{moment(one.at)}, after {one.attempts} attempts"),
        ("why", f"{one.error.message} ({one.error.code})"),
    ]
    for name, value in facts:
        text.append(f"\n  {name.ljust(12)}", style="dim")
        text.append(clean(value), style="default")
    words = f"\nrun it again: pointsman dead {one.run} {one.task} --replay"
    text.append(clean(words), style="dim")
    return text


DECIDED = {
    "approved": SYMBOLS["done"],
    "done": SYMBOLS["done"],
    "denied": SYMBOLS["failed"],
    "edited": SYMBOLS["ready"],
}
EFFECTS = {
    "under way": SYMBOLS["running"],
    "done": SYMBOLS["done"],
    "unknown": ("?", "bold red"),
    "cleared": SYMBOLS["skipped"],
}


def _table(*columns: str) -> Table:
    """Ids are never broken, so that they can be copied; the last column is folded."""
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in columns[:-1]:
        table.add_column(name, no_wrap=name in ("approval", "run", "key", "when", "began", "state"))
    table.add_column(columns[-1], overflow="fold")
    return table


def moment(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def check(one: "Check") -> RenderableType:
    symbol, style = ("✓", "green") if one.ok else ("✗", "red")
    text = Text(f"{symbol} {one.name}", style=style)
    text.append(f"  {clean(one.detail)}", style="default")
    if not one.ok and one.advice:
        text.append(f"\n  → {one.advice}", style="yellow")
    return text
