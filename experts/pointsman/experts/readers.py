"""Files as tables: each format becomes a relation of DuckDB whose columns are c0, c1, ...

Delimited text is read by DuckDB where it lies; what it refuses (ragged lines, stray quotes) is written
out anew, regular, and read again. Workbooks and JSON are written out as delimited text first, so that
there is one way from written cells to types.
"""

import csv
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from pointsman.experts.celltypes import Reading, readings, typed
from pointsman.experts.database import Database, literal, quoted, type_of, unique
from pointsman.experts.formats import (
    Dialect,
    Format,
    dialect_of,
    format_of,
    head_text,
    looks_delimited,
    utf8_path,
)
from pointsman.experts.json_tables import json_lines, json_table
from pointsman.router.errors import BadArguments, BadFile
from pointsman.router.values import Column, ColumnType

FIELD_LIMIT: Final = 16 * 1024 * 1024
WORKBOOK_LIMIT: Final = 1024**3
COLUMNS_LIMIT: Final = 2_000
BROKEN_WORKBOOK: Final = (
    *(zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, AttributeError),
    *(IndexError, OSError, EOFError, RuntimeError, NotImplementedError),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file's table in a database. select: SQL that gives its rows, each column in its type."""

    columns: tuple[Column, ...]
    select: str
    sheets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    row_count: int | None = None


def open_table(
    database: Database, path: Path, name: str, sheet: str | None = None, *, sampled: bool = False
) -> Opened:
    """Opens a file as a table; the database must not have run a statement yet.

    sampled: types are taken from the first rows alone, for a quick look. Raises BadFile when the file
    has no table, BadArguments when there is no such sheet.
    """
    form = format_of(path, name)
    if form == "parquet":
        return _parquet(database, path, name)
    if form in ("picture", "pdf", "docx"):
        raise BadFile(name, f"it is a {form}, not a table; a table is CSV, Excel, JSON or Parquet")
    if sheet is not None and form != "xlsx":
        raise BadArguments(f"file {name!r} has no sheets; leave the sheet out")
    sheets: tuple[str, ...] = ()
    if form == "xlsx":
        sheets, rows = _sheet(path, name, sheet)
        raw = _written(database, name, rows)
    elif form in ("json", "jsonl"):
        names, body = (json_table if form == "json" else json_lines)(path, name)
        raw = _written(database, name, iter(body), names)
    else:
        raw = _delimited(database, path, name, form)
    found = readings(database, raw.relation, len(raw.names), whole=not sampled)
    return _opened(raw, found, sheets)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A relation of text cells and the names of its columns."""

    names: tuple[str, ...]
    relation: str
    row_count: int
    notes: tuple[str, ...] = ()


def _opened(raw: _Raw, found: Sequence[Reading | None], sheets: tuple[str, ...]) -> Opened:
    types: list[ColumnType] = [r.type if r else "text" for r in found]
    notes = [f"{n}: {r.note}" for n, r in zip(raw.names, found, strict=True) if r and r.note]
    columns = tuple(Column(n, t) for n, t in zip(raw.names, types, strict=True))
    return Opened(columns, typed(raw.relation, found), sheets, (*raw.notes, *notes), raw.row_count)


def _parquet(database: Database, path: Path, name: str) -> Opened:
    import duckdb

    source = f"read_parquet({literal(database.allow(path))})"
    try:
        described = database.described(f"SELECT * FROM {source}")
    except duckdb.Error as error:
        raise BadFile(name, "it is a damaged Parquet file; write it again") from error
    names = unique([n for n, _ in described])
    columns = tuple(Column(n, type_of(t)) for n, (_, t) in zip(names, described, strict=True))
    cells = ", ".join(f"{quoted(n)} AS c{i}" for i, (n, _) in enumerate(described))
    return Opened(columns, f"SELECT {cells} FROM {source}")


def _delimited(database: Database, path: Path, name: str, form: Format) -> _Raw:
    head, more = head_text(path, name)
    text = utf8_path(path, name, database.folder)
    prose = form in ("text", "html") and not looks_delimited(head, cut=more)
    dialect = None if prose else dialect_of(head, cut=more)
    if dialect is None:
        return _one_column(database, text, name, prose=prose)
    first = _first_rows(text, dialect)
    named = has_header(first)
    width = len(first[0])
    names = unique(_labels(first[0]) if named else [""] * width)
    _check_width(width, name)
    skip = dialect.skip if not named else _after_header(text, dialect)
    raw = _scanned(database, database.allow(text), Dialect(dialect.delimiter, skip), names)
    if raw is not None:
        return raw
    rows = _tolerant(text, dialect)
    regular, mended = _regular(
        database.folder / "regular.csv",
        islice(rows, int(named), None),
        width,
        dialect.delimiter,
    )
    raw = _scanned(database, str(regular), Dialect(","), names)
    if raw is None:
        raise BadFile(name, "its lines cannot be cut into cells; save it again as CSV")
    note = f"lines mended that had too many or too few cells: {mended:,}" if mended else ""
    return _Raw(raw.names, raw.relation, raw.row_count, (note,) if note else ())


def _scanned(database: Database, path: str, dialect: Dialect, names: Sequence[str]) -> _Raw | None:
    """The file as a view, when DuckDB can cut every line into as many cells as there are names."""
    import duckdb

    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    database.run(
        f"CREATE OR REPLACE VIEW raw AS FROM read_csv({literal(path)}, auto_detect = false, "
        f"delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"', header = false, "
        f"skip = {dialect.skip}, max_line_size = {FIELD_LIMIT}, columns = {{{columns}}})"
    )
    try:
        count = int(database.run("SELECT count(*) FROM raw")[0][0])
    except duckdb.Error:
        return None
    return _Raw(tuple(names), "raw", count)


def _one_column(database: Database, path: Path, name: str, *, prose: bool) -> _Raw:
    """Lines as rows: a CSV of one column, or a text, where the first line is never a header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if prose:
            return _written(database, name, ([line.strip()] for line in file), ("text",))
        reader = csv.reader(file)
        csv.field_size_limit(FIELD_LIMIT)
        try:
            return _written(database, name, ([",".join(row)] for row in reader if row))
        except csv.Error as error:
            raise BadFile(name, f"line {reader.line_num}: {error}") from error


def _written(
    database: Database,
    name: str,
    rows: Iterator[Sequence[Any]],
    names: Sequence[str] | None = None,
) -> _Raw:
    """Rows written out as delimited text and opened. Without names the first row may hold them."""
    labels = names
    if labels is None:
        first = list(islice(rows, 50))
        width = max((len(r) for r in first), default=0)
        padded = [[_cell(c) for c in r] + [""] * (width - len(r)) for r in first]
        named = has_header(padded)
        labels = _labels(padded[0]) if named else [""] * width
        rows = (r for part in (first[int(named) :], rows) for r in part)
    _check_width(len(labels), name)
    path, _ = _regular(database.folder / "rows.csv", rows, len(labels))
    raw = _scanned(database, str(path), Dialect(","), unique(labels))
    if raw is None:
        raise BadFile(name, f"a cell has more than {FIELD_LIMIT // 1024**2} MiB; shorten it")
    return raw


def _regular(
    path: Path, rows: Iterable[Sequence[Any]], width: int, joint: str = " "
) -> tuple[Path, int]:
    """Writes rows as CSV, each with `width` cells; says how many had another number.

    Cells too many go into the last one, joined as they were.
    """
    mended = 0
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for row in rows:
            cells = [_cell(c) for c in row]
            if not any(cells):
                continue
            if len(cells) != width:
                mended += 1
                tail = [c for c in cells[width:] if c]
                cells = [*cells[:width], *[""] * (width - len(cells))]
                apart = f"{joint} " if tail and tail[0][:1].isdigit() else joint
                cells[-1] = apart.join([cells[-1], *tail])
            writer.writerow(cells)
    return path, mended


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")
        case bool():
            return "true" if value else "false"
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(" ")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _tolerant(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    """Rows as Python's reader cuts them; quotes are taken literally if one is never closed."""
    csv.field_size_limit(FIELD_LIMIT)
    quoting = csv.QUOTE_NONE if _is_open_ended(path, dialect) else csv.QUOTE_MINIMAL
    try:
        yield from _rows(path, dialect, quoting)
    except csv.Error as error:
        raise BadFile(path.name, f"a line cannot be cut into cells: {error}") from error


def _is_open_ended(path: Path, dialect: Dialect) -> bool:
    """Whether a quote is never closed, so that it swallows the lines after it."""
    last: list[str] = []
    try:
        for row in _rows(path, dialect):
            last = row
            if any(c.count("\n") > 500 for c in row):
                return True
    except csv.Error:
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        ending = file.read().rstrip()
    return bool(last) and "\n" in last[-1] and not ending.endswith(b'"')


def _rows(path: Path, dialect: Dialect, quoting: Any = csv.QUOTE_MINIMAL) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in range(dialect.skip):
            file.readline()
        for row in csv.reader(
            (line.replace("\x00", "") for line in file),
            delimiter=dialect.delimiter,
            quoting=quoting,
        ):
            if row:
                yield row


def _first_rows(path: Path, dialect: Dialect) -> list[list[str]]:
    csv.field_size_limit(FIELD_LIMIT)
    return list(islice(_rows(path, dialect), 50))


def _after_header(path: Path, dialect: Dialect) -> int:
    """Number of physical lines up to the end of the header, which may have line breaks in quotes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(islice(file, dialect.skip + 200))
    reader = csv.reader(lines[dialect.skip :], delimiter=dialect.delimiter)
    for row in reader:
        if row:
            break
    return dialect.skip + reader.line_num


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: short words, no two the same, no number or date.

    A single row is a header of an empty table unless it holds a number. Where all columns are words,
    the first row is a header unless its cells come back below it or read like sentences.
    """
    if not rows:
        return False
    first = [c.strip() for c in rows[0]]
    filled = [c for c in first if c]
    if not filled:
        return False
    if any(_is_value(c) for c in filled) and not _all_years(first):
        return False
    body = rows[1:]
    if len({c.casefold() for c in filled}) < len(filled):
        return any(_is_value(c.strip()) for r in body for c in r)
    if any(r[i].strip() == c for r in body for i, c in enumerate(first) if c and i < len(r)):
        return False
    if len(first) == 1:
        return len(first[0]) <= 40 and not first[0].endswith((".", "!", "?"))
    return all(len(c) <= 100 for c in filled)


def _all_years(cells: Sequence[str]) -> bool:
    """A header such as "country, 2019, 2020, 2021"."""
    return not _is_value(cells[0]) and all(re.fullmatch(r"(19|20)\d\d", c) for c in cells[1:])


def _is_value(cell: str) -> bool:
    amount = r"[-+(]?\s*[$€£¥]?\s*\d[\d.,' \u00a0]*\s*[%$€£¥]?\)?"
    moment = r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([T ].*)?"
    return bool(re.fullmatch(f"{amount}|{moment}|true|false", cell, re.IGNORECASE))


def _labels(cells: Sequence[str]) -> list[str]:
    return [" ".join("".join(x if x.isprintable() else " " for x in c).split()) for c in cells]


def _check_width(width: int, name: str) -> None:
    if not width:
        raise BadFile(name, "it has no columns")
    if width > COLUMNS_LIMIT:
        raise BadFile(name, f"it has {width:,} columns, the limit is {COLUMNS_LIMIT:,}")


def sheet_names(path: Path, name: str) -> tuple[str, ...]:
    """Raises BadFile when the workbook is damaged."""
    return tuple(_workbook(path, name).sheetnames)


def _workbook(path: Path, name: str) -> Any:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(m.file_size for m in archive.infolist()) > WORKBOOK_LIMIT:
                raise BadFile(name, "it unpacks to more than 1 GiB; save it as CSV")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_workbook(path, read_only=True, data_only=True)
    except BROKEN_WORKBOOK as error:
        raise BadFile(name, "it is a damaged workbook; save it again as .xlsx") from error


def _sheet(path: Path, name: str, sheet: str | None) -> tuple[tuple[str, ...], Iterator[list[Any]]]:
    """Names of all sheets, and the rows of the one asked for, else of the first that has any."""
    book = _workbook(path, name)
    sheets = tuple(str(s) for s in book.sheetnames)
    wanted = [
        s for s in sheets if sheet is None or s.strip().casefold() == sheet.strip().casefold()
    ]
    if not wanted:
        raise BadArguments(
            f"file {name!r} has no sheet {sheet!r}; its sheets are: {', '.join(map(repr, sheets))}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for title in wanted:
                rows = _block(list(_cells_of(book[title])))
                if rows:
                    return sheets, iter(rows)
    except BROKEN_WORKBOOK as error:
        raise BadFile(name, "it is a damaged workbook; save it again as .xlsx") from error
    finally:
        book.close()
    raise BadFile(name, "its sheets are empty")


def _cells_of(sheet: Any) -> Iterator[list[Any]]:
    if not hasattr(sheet, "iter_rows"):
        return
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True):
        if any(c is not None and c != "" for c in row):
            yield list(row)


def _block(rows: list[list[Any]]) -> list[list[Any]]:
    """The table of a sheet: title lines above it and empty columns around it are left out."""
    counts = [sum(c not in (None, "") for c in r) for r in rows]
    widest = max(counts, default=0)
    start = next((i for i, n in enumerate(counts[:20]) if n > widest / 2), 0)
    rows = rows[start:]
    width = max((len(r) for r in rows), default=0)
    used = [i for i in range(width) if any(i < len(r) and r[i] not in (None, "") for r in rows)]
    return [[r[i] if i < len(r) else None for i in used] for r in rows]
