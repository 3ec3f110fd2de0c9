"""Access to tables and texts for experts: what a slot's JSON holds, whole, in the form they need."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final

from pointsman.experts.base import Files
from pointsman.router.errors import BadArguments
from pointsman.router.values import INLINE_ROWS, Column, ColumnType, Json, Table, is_kind, kind_of

BULLET: Final = re.compile(r"\s*(?:[-*•‣·]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)])\s+")
SHORT_LINE: Final = 240


def all_rows(table: Table, files: Files) -> Table:
    """The table with every row in memory. Raises UnknownFile when its file is gone."""
    if table.file is None:
        return table
    from pointsman.experts.database import Database, json_cell

    with Database(files) as database:
        database.load(t=table)
        rows = tuple(
            tuple(json_cell(v, c.type) for v, c in zip(row, table.columns, strict=True))
            for row in database.run("SELECT * FROM t")
        )
    return Table(table.columns, rows, len(rows), table.name)


def stored(table: Table, files: Files) -> Table:
    """The table as a slot may hold it: over INLINE_ROWS rows go to a Parquet file, 100 stay."""
    if table.file is not None or len(table.rows) <= INLINE_ROWS:
        return table
    from pointsman.experts.database import Database

    with Database(files) as database:
        database.load(t=table)
        return database.result(
            "SELECT * FROM t",
            names=[c.name for c in table.columns],
            types=[c.type for c in table.columns],
            name=table.name,
        )


def column_of(table: Table, name: str) -> int:
    """Position of a column; case, spaces, '_' and '-' do not matter.

    Raises BadArguments that names the columns there are and the nearest one.
    """
    names = [c.name for c in table.columns]
    for key in (str, _folded, _squeezed):
        found = [i for i, n in enumerate(names) if key(n) == key(name)]
        if found:
            return found[0]
    close = get_close_matches(_folded(name), [_folded(n) for n in names], n=1, cutoff=0.6)
    nearest = next((n for n in names if close and _folded(n) == close[0]), None)
    hint = f"; did you mean {nearest!r}?" if nearest else "."
    have = ", ".join(repr(n) for n in names[:40]) or "none"
    raise BadArguments(f"there is no column {name!r}{hint} The columns are: {have}")


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def text_column(table: Table, wanted: str | None = None) -> int:
    """Position of the column to read: by name, else the text column with the longest mean length.

    Raises BadArguments when there is no such column, or none with text.
    """
    if wanted is not None:
        return column_of(table, wanted)
    texts = [i for i, c in enumerate(table.columns) if c.type == "text"]
    if not texts:
        have = ", ".join(f"{c.name!r} ({c.type})" for c in table.columns) or "none"
        raise BadArguments(f"the table has no column with text; its columns are: {have}")
    return max(texts, key=lambda i: _mean_length(table, i))


def _mean_length(table: Table, place: int) -> float:
    lengths = [len(str(r[place])) for r in table.rows[:1_000] if r[place] is not None]
    return sum(lengths) / len(lengths) if lengths else -1.0


def with_columns(
    table: Table, columns: Sequence[tuple[str, ColumnType]], cells: Sequence[Sequence[Json]]
) -> Table:
    """The table with columns added at the right; those of the same name are replaced in place.

    cells: one row of new cells for each row of `table`, [len(table.rows), len(columns)]. Raises
    ValueError when their numbers differ, or when the table is not whole in memory.
    """
    if table.file is not None:
        raise ValueError("the table has rows in a file; take all_rows() of it first")
    names = [c.name.casefold() for c in table.columns]
    for name, _ in columns:
        if name.casefold() not in names:
            names.append(name.casefold())
    places = [names.index(name.casefold()) for name, _ in columns]
    made = [*table.columns, *(Column("", "text") for _ in names[len(table.columns) :])]
    for place, (name, type) in zip(places, columns, strict=True):
        made[place] = Column(name, type)
    padding = [None] * (len(names) - len(table.columns))
    rows: list[tuple[Json, ...]] = []
    for row, added in zip(table.rows, cells, strict=True):
        cells_of_row: list[Json] = [*row, *padding]
        for place, cell in zip(places, added, strict=True):
            cells_of_row[place] = cell
        rows.append(tuple(cells_of_row))
    return Table(tuple(made), tuple(rows), len(rows), table.name)


def texts_of(value: Any, column: str | None, files: Files) -> tuple[list[str], Table]:
    """The texts in a slot's value and the table they stand in, row by row.

    value: JSON of a table, a list of texts, or one text. A text is cut into its lines only when they
    look like the items of a list; otherwise it is one item. Missing cells become "". Raises
    BadArguments for other kinds of value and for a table without text.
    """
    if is_kind(value, "table") or isinstance(value, Table):
        table = all_rows(_table(value), files)
        place = text_column(table, column)
        return [_text(r[place]) for r in table.rows], table
    if isinstance(value, str):
        texts = lines_of_list(value)
    elif isinstance(value, list | tuple):
        texts = [_text(v) for v in value]
    else:
        raise BadArguments(
            f"texts are a table, a list of texts or one text, not a {kind_of(value)}"
        )
    return texts, Table.of([("text", "text")], [[t] for t in texts])


def without_bullet(line: str) -> str:
    """What a line of a list says, without its bullet or number."""
    mark = BULLET.match(line)
    return line[mark.end() :].strip() if mark else line.strip()


def lines_of_list(text: str) -> list[str]:
    """The items of a text that is a list, one a line, without bullets; else the text alone.

    A list has several lines, all short, and either all have bullets, or most of them do not run on:
    a wrapped paragraph has lines that end in the middle of a sentence and go on in lower case.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return [text.strip()]
    bulleted = [BULLET.match(line) for line in lines]
    if all(bulleted):
        return [without_bullet(line) for line in lines]
    if max(map(len, lines)) > SHORT_LINE or re.search(r"\S\s*\n\s*\n\s*\S", text):
        return [text.strip()]
    running_on = sum(
        not before.endswith((".", "!", "?", ":", ";", '"')) and after[:1].islower()
        for before, after in pairwise(lines)
    )
    widths = [len(line) for line in lines[:-1]]
    wrapped = len(widths) > 1 and min(widths) > 50 and max(widths) - min(widths) < 20
    return [text.strip()] if wrapped or running_on > len(lines) // 3 else lines


def document_of(value: Any, files: Files) -> list[tuple[str | None, str]]:
    """(file name or None, whole text) pairs of a slot's value, for experts that read whole texts.

    One text is one document, a table of documents one for each row; the text column of any other
    table, and a list of texts, are one document, an item a line. Raises BadArguments as `texts_of`.
    """
    if isinstance(value, str):
        return [(None, value)]
    texts, table = texts_of(value, None, files)
    names = [_folded(c.name) for c in table.columns]
    if not isinstance(value, list | tuple) and "file" in names and "text" in names:
        name, text = names.index("file"), names.index("text")
        return [(_name(r[name]), _text(r[text])) for r in table.rows]
    return [(None, "\n".join(texts))]


def _table(value: Any) -> Table:
    if isinstance(value, Table):
        return value
    try:
        return Table.from_json(value)
    except ValueError as error:
        raise BadArguments(str(error)) from error


def _text(cell: Json) -> str:
    return "" if cell is None else str(cell)


def _name(cell: Json) -> str | None:
    return None if cell is None else str(cell)
