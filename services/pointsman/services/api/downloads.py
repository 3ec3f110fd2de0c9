"""What a task gave, as a file to keep."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from starlette.responses import Response

from pointsman.experts.files import LocalFiles
from pointsman.experts.tables import all_rows
from pointsman.router.errors import RequestError
from pointsman.router.values import Json, Table, kind_of
from pointsman.services.api.files import disposition

Format = Literal["csv", "xlsx", "json", "txt"]

MEDIA: Mapping[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}
FORMATS: Mapping[str, tuple[Format, ...]] = {
    "table": ("csv", "xlsx", "json"),
    "text": ("txt", "json"),
}


class NoSuchFormat(RequestError):
    code = "request.no-such-format"

    def __init__(self, kind: str, format: str, offered: tuple[str, ...]) -> None:
        super().__init__(
            f"a result of kind {kind!r} cannot be had as {format!r}; ask for {' or '.join(offered)}"
        )


async def download_of(value: Json, name: str, format: Format | None, files: LocalFiles) -> Response:
    """Raises NoSuchFormat."""
    kind = kind_of(value)
    offered = FORMATS.get(kind, ("json",))
    chosen = format or offered[0]
    if chosen not in offered:
        raise NoSuchFormat(kind, chosen, offered)
    body, stem = await asyncio.to_thread(_content, value, kind, chosen, name, files)
    return Response(
        body,
        media_type=MEDIA[chosen],
        headers={
            "Content-Disposition": disposition(f"{stem}.{chosen}"),
            "Cache-Control": "no-store",
        },
    )


def _content(
    value: Any, kind: str, format: Format, name: str, files: LocalFiles
) -> tuple[bytes, str]:
    if kind == "table":
        table = all_rows(Table.from_json(value), files)
        return WRITERS[format](table), _stem(table.name or name)
    if format == "txt":
        return str(value).encode(), _stem(name)
    return json.dumps(value, ensure_ascii=False, indent=2).encode(), _stem(name)


def _stem(name: str) -> str:
    return re.sub(r"\.(csv|tsv|xlsx|json|jsonl|parquet|txt)$", "", name, flags=re.IGNORECASE)


def to_csv(table: Table) -> bytes:
    """RFC 4180, UTF-8 with a byte order mark, without which Excel takes it for another encoding."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([c.name for c in table.columns])
    for row in table.rows:
        writer.writerow([_cell(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(table: Table) -> bytes:
    """One sheet. Texts are written as texts, also those that look like a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Table")

    def cell(value: Json) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        made = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", str(_cell(value)))[:32_767])
        made.data_type = "s"
        return made

    sheet.append([cell(c.name) for c in table.columns])
    for row in table.rows:
        sheet.append([cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def to_json(table: Table) -> bytes:
    """A list of objects, one a row."""
    names = [c.name for c in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _cell(value: Json) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


WRITERS: Mapping[str, Callable[[Table], bytes]] = {
    "csv": to_csv,
    "xlsx": to_xlsx,
    "json": to_json,
}
