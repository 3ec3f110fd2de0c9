"""Lists: capabilities, runs, checks."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pointsman.cli.output import clean, seconds
from pointsman.cli.runview import SYMBOLS
from pointsman.client import Capability, Run

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
        when = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M:%S")
        took = seconds(run.ended - run.created) if run.ended is not None else ""
        request = " ".join(clean(run.request).split())
        table.add_row(
            run.id, when, Text(f"{symbol} {run.status}", style=style), took, Text(request)
        )
    return table


def check(one: "Check") -> RenderableType:
    symbol, style = ("✓", "green") if one.ok else ("✗", "red")
    text = Text(f"{symbol} {one.name}", style=style)
    text.append(f"  {clean(one.detail)}", style="default")
    if not one.ok and one.advice:
        text.append(f"\n  → {one.advice}", style="yellow")
    return text
