"""What planning needs to know of a file, found out once, when the file comes in."""

from collections.abc import Sequence
from typing import Final

from pointsman.experts.base import Files
from pointsman.experts.database import Database, guarded_errors, json_cell
from pointsman.experts.documents import document_text
from pointsman.experts.formats import format_of, head_text
from pointsman.experts.readers import Opened, open_table
from pointsman.experts.tables import lines_of_list
from pointsman.router.errors import BadArguments, BadFile
from pointsman.router.values import Column, FileProfile, FileRef, Json

SAMPLES: Final = 50
SAMPLE_LENGTH: Final = 200
OPENING: Final = 1_000
LIST: Final = 3
"""Lines that a text must have at least to be taken for a list."""
PROFILE_SECONDS: Final = 30.0
LARGE: Final = 64 * 1024 * 1024
"""Bytes from which types are told from the first rows alone; reading the table checks all of them."""


def profile(ref: FileRef, files: Files) -> FileProfile:
    """Opens a file once. What cannot be read gets `error`; raises UnknownFile only."""
    path = files.path(ref)
    try:
        form = format_of(path, ref.name)
        if form in ("text", "html"):
            head, more = head_text(path, ref.name)
            return _of_text(ref, head.lstrip("\ufeff"), whole=not more)
        if form == "docx":
            text = document_text(path, ref.name)
            return FileProfile(ref, "text", opening=text[:OPENING])
        if form == "picture":
            return FileProfile(ref, "picture")
        if form == "pdf":
            why = "it is a PDF, which is not read; save its text as .txt or .docx"
            return FileProfile(ref, "other", error=str(BadFile(ref.name, why)))
        return _of_table(ref, files)
    except (BadFile, BadArguments) as error:
        return FileProfile(ref, "other", error=str(error))


def _of_text(ref: FileRef, head: str, *, whole: bool) -> FileProfile:
    """head: the beginning, or the whole text. A list is told from a text by its lines."""
    full = head if whole else head[: head.rfind("\n") + 1]
    items = lines_of_list(full) if not ref.name.lower().endswith((".htm", ".html")) else []
    if len(items) < LIST:
        return FileProfile(ref, "text", opening=head[:OPENING])
    samples = {"text": tuple(i[:SAMPLE_LENGTH] for i in dict.fromkeys(items))[:SAMPLES]}
    return FileProfile(ref, "text", samples=samples, opening=head[:OPENING])


def _of_table(ref: FileRef, files: Files) -> FileProfile:
    with Database(files, seconds=PROFILE_SECONDS) as database, guarded_errors(ref.name):
        path = files.path(ref)
        large = path.stat().st_size > LARGE
        opened = open_table(database, path, ref.name, sampled=large)
        count = opened.row_count
        if count is None:
            count = int(database.run(f"SELECT count(*) FROM ({opened.select})")[0][0])
        samples, complete = _samples(database, opened, large=large)
    return FileProfile(
        ref,
        "table",
        opened.columns,
        count,
        samples,
        complete,
        opened.sheets,
    )


def _samples(
    database: Database, opened: Opened, *, large: bool
) -> tuple[dict[str, tuple[Json, ...]], tuple[str, ...]]:
    """Distinct values of each column, most frequent first, and the columns where these are all.

    Of a large table, the first 100,000 rows are looked at; only columns with few values there are
    looked through to the end.
    """
    cut = " LIMIT 100000" if large else ""
    database.run(f"CREATE TEMP TABLE seen AS {opened.select}{cut}")
    few: list[int] = []
    samples: dict[str, tuple[Json, ...]] = {}
    for place, column in enumerate(opened.columns):
        values = _frequent(database, place)
        samples[column.name] = tuple(_sample(v, column) for v in values[:SAMPLES])
        if len(values) <= SAMPLES:
            few.append(place)
    if large and few:
        few, found = _in_all(database, opened, few)
        for place in few:
            column = opened.columns[place]
            samples[column.name] = tuple(_sample(v, column) for v in found[place])
    return samples, tuple(opened.columns[p].name for p in few)


def _frequent(database: Database, place: int) -> list[object]:
    rows = database.run(
        f"SELECT c{place} FROM seen WHERE c{place} IS NOT NULL "
        f"GROUP BY c{place} ORDER BY count(*) DESC, c{place} LIMIT {SAMPLES + 1}"
    )
    return [r[0] for r in rows]


def _in_all(
    database: Database, opened: Opened, few: Sequence[int]
) -> tuple[list[int], dict[int, list[object]]]:
    """Which of some columns have few values in all rows, and these."""
    cells = ", ".join(f"histogram(c{p})" for p in few)
    row = database.run(f"SELECT {cells} FROM ({opened.select})")[0]
    found: dict[int, list[object]] = {}
    for place, counts in zip(few, row, strict=True):
        if counts is not None and len(counts) <= SAMPLES:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
            found[place] = [value for value, _ in ordered]
    return [p for p in few if p in found], found


def _sample(value: object, column: Column) -> Json:
    cell = json_cell(value, column.type)
    return cell[:SAMPLE_LENGTH] if isinstance(cell, str) else cell
