import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.experts.base import Call, Done
from pointsman.experts.files import LocalFiles, profile
from pointsman.experts.tools.documents import read as read_documents
from pointsman.experts.tools.tables_read import read
from pointsman.router.errors import BadArguments, BadFile
from pointsman.router.values import Table

Read = Callable[..., tuple[Table, str]]


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def read_bytes(files: LocalFiles, name: str, content: bytes, **arguments: Any) -> Done:
    ref = files.create(name, "", content)
    return asyncio.run(
        read.run(Call("table.read", {"file": ref.to_json(), **arguments}, files, 0.0))
    )


@pytest.fixture
def table(files: LocalFiles) -> Read:
    def made(content: str | bytes, name: str = "a.csv", **arguments: Any) -> tuple[Table, str]:
        raw = content if isinstance(content, bytes) else content.encode()
        done = read_bytes(files, name, raw, **arguments)
        return Table.from_json(done.value), done.note

    return made


def types(table: Table) -> list[str]:
    return [c.type for c in table.columns]


def test_types_are_those_of_whole_columns(table: Read) -> None:
    made, _ = table(
        "id,amount,share,ok,zip,word\n"
        '1,"$1,200.50",45%,yes,02134,NA\n'
        "2,($3.00),5%,no,10001,x\n"
        "3,-,,,N/A,\n"
    )
    assert types(made) == ["integer", "number", "number", "boolean", "text", "text"]
    assert made.rows[0] == (1, 1200.5, 45.0, True, "02134", "NA")
    assert made.rows[1] == (2, -3.0, 5.0, False, "10001", "x")
    assert made.rows[2] == (3, None, None, None, None, None)


def test_one_other_cell_makes_a_column_text(table: Read) -> None:
    made, _ = table("a,b\n" + "1,2\n" * 3_000 + "x,3\n")
    assert types(made) == ["text", "integer"]
    assert made.row_count == 3_001


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["1.200,50 €", "3,50 €"], 1200.5),
        (["1 200,50", "3,50"], 1200.5),
        (["1'200.50", "3.50"], 1200.5),
        (["EUR 1,200.50", "EUR 3"], 1200.5),
        (["1,234", "2,000"], 1234.0),
        (["1,5", "2,25"], 1.5),
        (["-5%", "3%"], -5.0),
        (["1e3", "2.5"], 1000.0),
    ],
)
def test_numbers_in_many_writings(table: Read, cells: list[str], value: float) -> None:
    made, _ = table("n;k\n" + "".join(f"{c};x\n" for c in cells))
    assert made.rows[0][0] == value


@pytest.mark.parametrize(
    ("cells", "dates"),
    [
        (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
        (["31/01/2024", "02/03/2024"], ["2024-01-31", "2024-03-02"]),
        (["01/31/2024", "02/03/2024"], ["2024-01-31", "2024-02-03"]),
        (["1.2.2024", "3.4.2024"], ["2024-02-01", "2024-04-03"]),
        (["3.2.24", "4.3.24"], ["2024-02-03", "2024-03-04"]),
        (["March 3, 2024", "April 14, 2024"], ["2024-03-03", "2024-04-14"]),
        (["3 Mar 2024", "14 Apr 2024"], ["2024-03-03", "2024-04-14"]),
        (["2024-01-31T10:00:00Z", "2024-02-01T11:30:00Z"], ["2024-01-31T10:00:00", None]),
        (["31/01/2024 14:05", "01/02/2024 09:00"], ["2024-01-31T14:05:00", None]),
    ],
)
def test_dates_in_many_writings(table: Read, cells: list[str], dates: list[str | None]) -> None:
    made, _ = table("d;k\n" + "".join(f"{c};x\n" for c in cells))
    assert types(made)[0] in ("date", "datetime")
    assert [r[0] for r, d in zip(made.rows, dates, strict=True) if d] == [d for d in dates if d]


@pytest.mark.parametrize(
    "cells",
    [
        ["007", "010"],
        ["+49 555 123", "+1 555 123"],
        ["12345678901234567890", "12345678901234567891"],
        ["555-1234", "555-9999"],
        ["5 kg", "6 kg"],
        ["14:05", "15:06"],
        ["99/99/2024", "01/01/2024"],
    ],
)
def test_codes_are_no_numbers_and_no_dates(table: Read, cells: list[str]) -> None:
    made, _ = table("c;k\n" + "".join(f"{c};x\n" for c in cells))
    assert [r[0] for r in made.rows] == cells


def test_an_assumed_order_of_day_and_month_is_said(table: Read) -> None:
    made, note = table("d\n01/02/2024\n03/04/2024\n")
    assert made.rows[0][0] == "2024-01-02"
    assert "assumption" in note


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_line_breaks(table: Read, delimiter: str) -> None:
    d = delimiter
    made, _ = table(f'a{d}b\r\n1{d}"x{d} ""y""\r\nz"\r\n2{d}w\r\n')
    assert made.rows == ((1, f'x{d} "y"\r\nz'), (2, "w"))


def test_ragged_lines_and_stray_quotes_are_mended(table: Read) -> None:
    made, note = table('a,b,c\n1,2\n1,2,x,y\n4,5" pipe,6\n')
    assert made.rows == ((1, "2", None), (1, "2", "x,y"), (4, '5" pipe', "6"))
    assert "mended" in note


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(table: Read) -> None:
    made, _ = table('a,b\n"x,1\ny,2\nz,3\n')
    assert made.row_count == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(table: Read, encoding: str) -> None:
    made, _ = table("Größe,Straße\n1,Köln Café\n2,Übersee\n".encode(encoding))
    assert [c.name for c in made.columns] == ["Größe", "Straße"]
    assert made.rows[0] == (1, "Köln Café")


def test_headers(table: Read) -> None:
    assert [c.name for c in table("1,2\n3,4\n")[0].columns] == ["column 1", "column 2"]
    assert [c.name for c in table("a,A,\n1,2,3\n")[0].columns] == ["a", "A 2", "column 3"]
    assert table("a,b\n")[0].row_count == 0
    made, _ = table("Report of May\n\nx,y\n1,2\n3,4\n")
    assert [c.name for c in made.columns] == ["x", "y"]
    assert made.rows == ((1, 2), (3, 4))


def test_a_single_column_of_sentences(table: Read) -> None:
    made, _ = table("review\nGood, really good\nBad, slow\n")
    assert made.rows == (("Good, really good",), ("Bad, slow",))


@pytest.mark.parametrize(
    ("value", "names", "first"),
    [
        (["a", "b"], ["text"], ("a",)),
        ([{"a": 1, "b": {"c": "x"}}, {"a": 2}], ["a", "b.c"], (1, "x")),
        ({"data": [{"a": 1}], "total": 1}, ["a"], (1,)),
        ({"a": [1, 2], "b": ["x", "y"]}, ["a", "b"], (1, "x")),
        ([["n", "k"], [1, "x"], [2, "y"]], ["n", "k"], (1, "x")),
        ({"x": {"n": 1}, "y": {"n": 2}}, ["key", "n"], ("x", 1)),
        ({"x": 1, "y": 2, "z": 3}, ["key", "value"], ("x", 1)),
    ],
)
def test_json_in_many_forms(table: Read, value: Any, names: list[str], first: Any) -> None:
    made, _ = table(json.dumps(value), "a.json")
    assert [c.name for c in made.columns] == names
    assert made.rows[0] == first


def test_nested_values_stay_nested(table: Read, files: LocalFiles) -> None:
    content = json.dumps([{"q": "why", "tags": ["a", "b"]}, {"q": "how", "tags": []}])
    made, _ = table(content, "a.json")
    assert types(made) == ["text", "json"]
    assert made.rows[0] == ("why", ["a", "b"])
    known = profile(files.create("a.json", "", content.encode()), files)
    assert known.samples is not None
    assert ["a", "b"] in known.samples["tags"]


def test_json_lines(table: Read) -> None:
    made, _ = table('{"a": 1}\n\n{"a": 2, "b": true}\n', "a.jsonl")
    assert made.rows == ((1, None), (2, True))
    with pytest.raises(BadFile, match="line 2"):
        table('{"a": 1}\n{"a": \n', "a.jsonl")


def test_a_workbook(table: Read, tmp_path: Path) -> None:
    from datetime import date

    from openpyxl import Workbook

    book = Workbook()
    sheet = book.create_sheet("Costs")
    sheet.append(["Costs of the year"])
    sheet.append([])
    sheet.append(["day", "amount", "text"])
    sheet.append([date(2024, 1, 31), 1.5, "x, y"])
    sheet.append([date(2024, 2, 1), 2, None])
    book.save(tmp_path / "b.xlsx")
    content = (tmp_path / "b.xlsx").read_bytes()
    made, _ = table(content, "b.xlsx")
    assert [(c.name, c.type) for c in made.columns] == [
        ("day", "date"),
        ("amount", "number"),
        ("text", "text"),
    ]
    assert made.rows[0] == ("2024-01-31", 1.5, "x, y")
    assert table(content, "b.xlsx", sheet="costs")[0].rows == made.rows
    with pytest.raises(BadArguments, match="'Costs'"):
        table(content, "b.xlsx", sheet="Profit")


def test_a_long_file_is_kept_as_parquet(table: Read, files: LocalFiles) -> None:
    made, _ = table("a,b\n" + "".join(f"{i},x{i}\n" for i in range(5_000)))
    assert made.file is not None
    assert (made.row_count, len(made.rows)) == (5_000, 100)
    again, _ = table(files.path(made.file).read_bytes(), "again.parquet")
    assert again.row_count == 5_000
    assert types(again) == ["integer", "text"]


@pytest.mark.parametrize("name", ["a[1]*.csv", "it's.csv", "a?.parquet.csv", "naïve {x}.csv"])
def test_names_are_no_patterns(table: Read, name: str) -> None:
    assert table("a,b\n1,2\n", name)[0].rows == ((1, 2),)


PIECES = st.sampled_from(
    [
        '"',
        ",",
        ";",
        "\n",
        "\r",
        "\x00",
        "a",
        "1",
        "é",
        "{",
        "[",
        "'",
        "\t",
        "PAR1",
        "PK\x03\x04",
        "\ufeff",
    ]
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120
)
@given(
    st.binary(max_size=300) | st.lists(PIECES, max_size=60).map(lambda p: "".join(p).encode()),
    st.sampled_from(["a.csv", "a.json", "a.jsonl", "a.txt", "a.xlsx", "a.parquet", "a", "a.html"]),
)
def test_no_content_breaks_the_readers(files: LocalFiles, content: bytes, name: str) -> None:
    ref = files.create(name, "", content)
    profile(ref, files)
    for tool, arguments in (
        (read, {"file": ref.to_json()}),
        (read_documents, {"files": [ref.to_json()]}),
    ):
        with contextlib.suppress(BadFile, BadArguments):
            done = asyncio.run(tool.run(Call("x", arguments, files, 0.0)))
            json.dumps(done.value, allow_nan=False)
