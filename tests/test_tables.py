from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.experts.database import Database
from pointsman.experts.files import LocalFiles
from pointsman.experts.tables import (
    all_rows,
    document_of,
    stored,
    text_column,
    texts_of,
    with_columns,
)
from pointsman.router.errors import BadArguments
from pointsman.router.values import Table

PEOPLE = Table.of(
    [("Full Name", "text"), ("about", "text"), ("age", "integer")],
    [["Ada", "wrote the first program for a machine", 36], ["Alan", None, 41]],
    name="people.csv",
)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def test_a_long_table_goes_to_a_file_and_comes_back(files: LocalFiles) -> None:
    rows: list[list[Any]] = [
        [i, f"é'\"{i}", i / 10, i % 2 == 0, "2024-02-29", "2024-02-29T03:04:05", {"a": [i]}]
        for i in range(2_001)
    ]
    rows[7] = [None] * 7
    table = Table.of(
        [
            ("id", "integer"),
            ("ID", "text"),
            ('we"ird; DROP', "number"),
            ("b", "boolean"),
            ("d", "date"),
            ("t", "datetime"),
            ("j", "json"),
        ],
        rows,
        name="long",
    )
    kept = stored(table, files)
    assert kept.file is not None
    assert (len(kept.rows), kept.row_count) == (100, 2_001)
    whole = all_rows(kept, files)
    assert whole.rows == table.rows
    assert [c.type for c in whole.columns] == [c.type for c in table.columns]


def test_a_short_table_stays_as_it_is(files: LocalFiles) -> None:
    assert stored(PEOPLE, files) is PEOPLE
    assert all_rows(PEOPLE, files) is PEOPLE


CELLS = st.tuples(
    st.none() | st.text(max_size=20),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(st.lists(CELLS, max_size=8))
def test_cells_pass_through_the_database_unchanged(files: LocalFiles, rows: list[Any]) -> None:
    types = [("a", "text"), ("b", "integer"), ("c", "number"), ("d", "boolean")]
    table = Table.of(types, rows)  # type: ignore[arg-type]
    with Database(files) as database:
        database.load(t=table)
        made = database.result("SELECT * FROM t", names=["a", "b", "c", "d"])
    assert [r[1:] for r in made.rows] == [r[1:] for r in table.rows]
    for mine, theirs in zip(made.rows, table.rows, strict=True):
        text = theirs[0]
        clean = text.encode("utf-8", "replace").decode() if isinstance(text, str) else None
        assert mine[0] == clean


def test_columns_are_found_without_regard_to_case_and_spaces() -> None:
    assert text_column(PEOPLE, "full_name") == 0
    assert text_column(PEOPLE, " FULL NAME") == 0
    assert text_column(PEOPLE) == 1
    with pytest.raises(BadArguments, match=r"did you mean 'about'.*'Full Name'"):
        text_column(PEOPLE, "abuot")
    with pytest.raises(BadArguments, match="no column with text"):
        text_column(Table.of([("n", "integer")], [[1]]))


def test_new_columns_replace_those_of_the_same_name() -> None:
    made = with_columns(PEOPLE, [("AGE", "text"), ("label", "text")], [["x", "a"], ["y", "b"]])
    assert [c.name for c in made.columns] == ["Full Name", "about", "AGE", "label"]
    assert made.rows[1] == ("Alan", None, "y", "b")
    with pytest.raises(ValueError, match="zip"):
        with_columns(PEOPLE, [("a", "text")], [["x"]])


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a", "b"], ["a", "b"]),
        ("one text", ["one text"]),
        ("- milk\n- bread\n", ["milk", "bread"]),
        ("1. milk\n2) bread", ["milk", "bread"]),
        ("I love it\nToo slow\nGood value", ["I love it", "Too slow", "Good value"]),
        (
            "The parcel came late and the\nbox was open when it came to\nour house.",
            ["The parcel came late and the\nbox was open when it came to\nour house."],
        ),
        ("First paragraph.\n\nSecond one.", ["First paragraph.\n\nSecond one."]),
    ],
)
def test_texts_of_a_value(files: LocalFiles, value: Any, texts: list[str]) -> None:
    found, table = texts_of(value, None, files)
    assert found == texts
    assert [list(r) for r in table.rows] == [[t] for t in texts]


def test_texts_of_a_table_stay_row_by_row(files: LocalFiles) -> None:
    found, table = texts_of(PEOPLE.to_json(), None, files)
    assert found == ["wrote the first program for a machine", ""]
    assert table == PEOPLE
    assert texts_of(PEOPLE.to_json(), "age", files)[0] == ["36", "41"]
    with pytest.raises(BadArguments, match="quantity"):
        texts_of({"kind": "quantity", "value": "1"}, None, files)


def test_documents_of_a_value(files: LocalFiles) -> None:
    folder = Table.of([("file", "text"), ("text", "text")], [["a.md", "A"], ["b.md", "B"]])
    assert document_of(folder.to_json(), files) == [("a.md", "A"), ("b.md", "B")]
    assert document_of("x\ny", files) == [(None, "x\ny")]
    assert document_of(["x", "y"], files) == [(None, "x\ny")]
    assert document_of(folder, files) == [("a.md", "A"), ("b.md", "B")]
