"""An answer for people: the text, with each table in it in full, then how it came about."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from pointsman.cli.output import clean, dollars, seconds
from pointsman.cli.runview import why_lines
from pointsman.client import Answer, Part

PICTURE = re.compile(r"!\[((?:\\.|[^\]\\])*)\]\(/v1/files/[^)\s]*\)")
LINK = re.compile(r"(?<!!)\[((?:\\.|[^\]\\])*)\]\([^)\s]*\)")
LEFT_OUT = re.compile(r"… and [\d,]+ more (rows|columns)\b.*\.")
HOW = re.compile(r"_How: .*_", re.DOTALL)
STRONG = re.compile(r"(?<!\\)\*\*|(?<!\\)`")
SLANTED = re.compile(r"(?<![\\\w])_(?=\S)(.+?)(?<=[^\s\\])_(?!\w)", re.DOTALL)
ESCAPED = re.compile(r"\\([\\`*_\[\]|<>])")


@dataclass(frozen=True, slots=True)
class Words:
    """A stretch of Markdown without a table."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of the answer. `task` is None for a table that only stands in the text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    row_count: int
    task: str | None = None


Block = Words | Rows


def blocks(answer: Answer) -> Iterator[Block]:
    """The text cut where tables stand, which are put in whole from the answer's parts; tables that the
    text does not have come last.
    """
    left = [p for p in answer.parts if p.kind == "table" and len(p.rows) > 1]
    after_table = False
    for paragraph in re.split(r"\n\s*\n", answer.text.strip()):
        if HOW.fullmatch(paragraph):
            continue  # told better below, with the reasons
        if after_table and LEFT_OUT.fullmatch(paragraph.strip()):
            continue
        header = _header(paragraph)
        after_table = header is not None
        if header is None:
            yield Words(paragraph)
            continue
        part = next((p for p in left if p.columns[: len(header)] == header), None)
        if part is None:
            yield _text_table(header, paragraph)
        else:
            left.remove(part)
            yield _part_table(part)
    for part in left:
        yield Words(f"**{part.title}**")
        yield _part_table(part)


def _part_table(part: Part) -> Rows:
    return Rows(part.columns, part.rows, part.row_count, part.task)


def _text_table(header: tuple[str, ...], paragraph: str) -> Rows:
    rows = [_cells(line) for line in paragraph.strip().splitlines()[2:]]
    whole = tuple((*r, *[""] * len(header))[: len(header)] for r in rows)
    return Rows(header, whole, len(whole))


def _header(paragraph: str) -> tuple[str, ...] | None:
    """Names of the columns when the paragraph is a Markdown table."""
    lines = paragraph.strip().splitlines()
    if len(lines) < 2 or not lines[0].startswith("|"):
        return None
    return _cells(lines[0]) if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", lines[1].strip()) else None


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().strip("|")
    return tuple(ESCAPED.sub(r"\1", c.strip()) for c in re.split(r"(?<!\\)\|", inner))


def cell(value: Any) -> str:
    """One cell in one line; numbers without float noise, whole numbers as they are."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return (
                f"{value:.6f}".rstrip("0").rstrip(".")
                if 1e-4 <= abs(value) < 1e15 or not value
                else repr(value)
            )
        case list():
            return " · ".join(cell(v) for v in value)
        case dict():
            return ", ".join(f"{k}: {cell(v)}" for k, v in value.items())
        case _:
            return " ".join(clean(str(value)).split())


def shown(table: Rows, limit: int) -> tuple[tuple[tuple[Any, ...], ...], str]:
    """The rows to be shown (limit 0: all that are here), and a line about those that are not."""
    rows = table.rows[: limit or None]
    missing = table.row_count - len(rows)
    if not missing:
        return rows, ""
    return rows, f"… and {missing:,} more rows; --save DIR writes them all" + (
        ", --rows 0 shows them" if table.row_count == len(table.rows) else ""
    )


# --- on a terminal ---------------------------------------------------------------------------------


def draw(answer: Answer, out: Console, *, limit: int) -> None:
    """Markdown rendered, tables as tables, then each task with the reason for its expert."""
    for block in blocks(answer):
        if isinstance(block, Words):
            out.print(Markdown(pictures(clean(block.text)), hyperlinks=False))
        else:
            rows, rest = shown(block, limit)
            out.print(drawn_table(block.columns, rows))
            if rest:
                out.print(Text(rest, style="dim"))
        out.print()
    if answer.steps:
        out.print(Text("Why", style="bold"))
        for line in why_lines(answer.steps):
            out.print(line)
    out.print(Text(footer(answer), style="dim"))


def drawn_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> RenderableType:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for place, name in enumerate(columns):
        numeric = bool(rows) and all(is_number(r[place]) for r in rows)
        table.add_column(Text(clean(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(c)) for c in row))
    return table


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def footer(answer: Answer) -> str:
    return (
        f"{answer.run}: {answer.status} in {seconds(answer.seconds)}, {dollars(answer.usage.cost)}"
    )


def pictures(text: str) -> str:
    """Pictures and files cannot be shown here: their descriptions stand for them."""
    return LINK.sub(r"\1", PICTURE.sub(r"*picture:* \1", text))


# --- in a pipe -------------------------------------------------------------------------------------


def plain(answer: Answer, *, limit: int) -> str:
    """The answer as plain text, without any markup or control characters."""
    told: list[str] = []
    for block in blocks(answer):
        if isinstance(block, Words):
            told.append(unmarked(block.text))
        else:
            rows, rest = shown(block, limit)
            told.append("\n".join([*aligned(block.columns, rows), *([rest] if rest else [])]))
    if answer.steps:
        told.append("\n".join(["Why:", *(f"  {line.plain}" for line in why_lines(answer.steps))]))
    return clean("\n\n".join(t for t in told if t)) + "\n"


def unmarked(text: str) -> str:
    """Markdown of our answers as plain text."""
    text = LINK.sub(r"\1", PICTURE.sub(r"[picture: \1]", text))
    text = SLANTED.sub(r"\1", STRONG.sub("", text))
    return ESCAPED.sub(r"\1", text)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns side by side, two spaces between them; numbers to the right."""
    texts = [[cell(c) for c in row] for row in rows]
    right = [bool(rows) and all(is_number(r[i]) for r in rows) for i in range(len(columns))]
    names = [clean(c) for c in columns]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]

    def row(cells: Sequence[str]) -> str:
        padded = zip(cells, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in padded).rstrip()

    return [row(names), row(["-" * w for w in widths]), *(row(t) for t in texts)]
