"""Writes a table as a file to download."""

import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pointsman.experts.base import Call
from pointsman.experts.database import Database, literal, quoted, unique
from pointsman.experts.tables import all_rows
from pointsman.experts.tools.functions import capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import FILE, ColumnType, FileRef, Json, Table

SHEET_ROWS: Final = 1_048_575
CELL_LENGTH: Final = 32_767
FORMULA: Final = re.compile(r"\s*[=+\-@\t\r]")
MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@capability(
    "table.export",
    title="save a table",
    examples=[
        "save the result as CSV",
        "export it to Excel",
        "give me a spreadsheet I can download",
        "write the table to results.xlsx",
        "convert data.json to CSV",
        "as a Parquet file please",
        "turn the CSV into JSON",
        "download the filtered rows",
        "put the answer in a file",
    ],
    composition=["last, on any table, when a file is asked for"],
    prior=Prior(quality=0.99, latency=0.2),
    output=dict(FILE),
)
def export(
    table: Table,
    call: Call,
    format: Literal["csv", "xlsx", "json", "parquet"] = "csv",
    name: str | None = None,
) -> FileRef:
    """Writes a table to a CSV, Excel, JSON or Parquet file that can be downloaded.

    Args:
        table: the table to write.
        format: the kind of file.
        name: name of the file; that of the table if not given.
    """
    stem = re.sub(
        r"\.(csv|tsv|xlsx|json|jsonl|parquet|txt)$", "", name or table.name or "table", flags=re.I
    )
    with Database(call.files) as database:
        path = database.folder / f"export.{format}"
        match format:
            case "xlsx":
                _write_workbook(path, all_rows(table, call.files))
            case "json":
                _write_json(path, all_rows(table, call.files))
            case _:
                _write_by_database(database, path, table, format)
        return call.files.adopt(f"{stem}.{format}", MEDIA_TYPES[format], path)


def _write_by_database(database: Database, path: Path, table: Table, format: str) -> None:
    database.load(t=table)
    names = unique([c.name for c in table.columns])
    cells = ", ".join(f"c{i} AS {quoted(n)}" for i, n in enumerate(names))
    how = "FORMAT csv, HEADER true" if format == "csv" else "FORMAT parquet, COMPRESSION zstd"
    database.run(f"COPY (SELECT {cells} FROM t) TO {literal(str(path))} ({how})")


def _write_json(path: Path, table: Table) -> None:
    names = unique([c.name for c in table.columns])
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.write("[")
        for place, row in enumerate(table.rows):
            file.write(",\n " if place else "\n ")
            json.dump(dict(zip(names, row, strict=True)), file, ensure_ascii=False)
        file.write("\n]\n")


def _write_workbook(path: Path, table: Table) -> None:
    """One sheet, headers in bold, dates as dates; text that looks like a formula stays text."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if len(table.rows) > SHEET_ROWS:
        raise BadArguments(
            f"a sheet takes {SHEET_ROWS:,} rows and the table has {len(table.rows):,}; take csv or parquet"
        )
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Table")
    sheet.freeze_panes = "A2"
    header = []
    for column in table.columns:
        cell = WriteOnlyCell(sheet, value=_sheet_text(column.name))
        cell.font, cell.data_type = Font(bold=True), "s"
        header.append(cell)
    sheet.append(header)
    types: list[ColumnType] = [c.type for c in table.columns]
    for row in table.rows:
        sheet.append(_sheet_row(sheet, row, types))
    book.save(path)


def _sheet_row(sheet: Any, row: Sequence[Json], types: Sequence[ColumnType]) -> list[object]:
    from openpyxl.cell import WriteOnlyCell

    cells: list[object] = []
    for value, type in zip(row, types, strict=True):
        made = _sheet_value(value, type)
        if isinstance(made, str) and FORMULA.match(made):
            cell = WriteOnlyCell(sheet, value=made)
            cell.data_type = "s"
            cells.append(cell)
        else:
            cells.append(made)
    return cells


def _sheet_value(value: Json, type: ColumnType) -> object:
    if isinstance(value, str) and type in ("date", "datetime"):
        try:
            return date.fromisoformat(value) if type == "date" else datetime.fromisoformat(value)
        except ValueError:
            return _sheet_text(value)
    if isinstance(value, str):
        return _sheet_text(value)
    return (
        _sheet_text(json.dumps(value, ensure_ascii=False))
        if isinstance(value, list | dict)
        else value
    )


def _sheet_text(text: str) -> str:
    """Without the control characters that XML has no place for, cut to what a cell takes."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", text)[:CELL_LENGTH]


TOOLS = (export,)
