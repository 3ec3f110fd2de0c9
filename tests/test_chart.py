import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest

from pointsman.experts.base import Call, Done
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.chart import draw
from pointsman.router.errors import BadArguments
from pointsman.router.values import Table


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def drawn(files: LocalFiles, table: Table, **arguments: Any) -> Done:
    call = Call("chart.draw", {"table": table.to_json(), **arguments}, files, 0.0)
    return asyncio.run(draw.run(call))


def size(files: LocalFiles, done: Done) -> tuple[int, int]:
    assert isinstance(done.value, dict)
    content = files.path(str(done.value["file"])).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


TIMES = Table.of(
    [("day", "date"), ("amount", "number"), ("city", "text")],
    [[f"2024-01-{d:02d}", d * 1.5, "Rome" if d % 3 else "Oslo"] for d in range(1, 29)],
)


@pytest.mark.parametrize(
    ("arguments", "alt"),
    [
        ({}, "Line chart: Amount by day"),
        ({"kind": "bar", "x": "city"}, "Bar chart: Amount by city"),
        ({"kind": "bar"}, "Bar chart: Amount by city"),
        ({"kind": "pie", "x": "CITY", "y": "amount"}, "Pie chart"),
        ({"kind": "histogram"}, "Histogram: Distribution of amount"),
        ({"kind": "scatter"}, None),
        ({"x": "city", "title": 'My "own" <title>'}, 'Bar chart: My "own" <title>'),
    ],
)
def test_kinds(files: LocalFiles, arguments: dict[str, Any], alt: str | None) -> None:
    if alt is None:
        with pytest.raises(BadArguments, match="two columns with numbers"):
            drawn(files, TIMES, **arguments)
        return
    done = drawn(files, TIMES, **arguments)
    width, height = size(files, done)
    assert width > 600
    assert height > 150
    assert isinstance(done.value, dict)
    assert str(done.value["alt"]).startswith(alt)


def test_sums_of_a_category_and_the_highest_are_told(files: LocalFiles) -> None:
    done = drawn(files, TIMES, kind="bar", x="city", y="amount")
    assert isinstance(done.value, dict)
    assert "highest for Rome (406.5)" in str(done.value["alt"])
    assert "added up" in done.note


def test_many_categories_are_drawn_as_the_largest_and_the_rest(files: LocalFiles) -> None:
    table = Table.of([("k", "text"), ("n", "integer")], [[f"k{i}", i] for i in range(100)])
    done = drawn(files, table)
    assert "the 29 largest of 100 shown" in done.note
    assert "'other'" in done.note
    assert isinstance(done.value, dict)
    assert "highest for k99 (99)" in str(done.value["alt"])


def test_two_numbers_make_points_and_one_a_histogram(files: LocalFiles) -> None:
    two = Table.of([("a", "number"), ("b", "number")], [[i * 0.5, i % 7] for i in range(50)])
    assert "Scatter" in str(drawn(files, two).value)
    one = Table.of([("a", "number")], [[i * 0.5] for i in range(50)])
    assert "Histogram" in str(drawn(files, one).value)
    flat = Table.of([("a", "number")], [[3.0]] * 4)
    size(files, drawn(files, flat, kind="histogram"))


def test_words_alone_are_counted(files: LocalFiles) -> None:
    table = Table.of([("mood", "text")], [["good"], ["bad"], ["good"], [None]])
    done = drawn(files, table)
    assert "number of rows is highest for good (2)" in str(done.value)


def test_months_stay_in_order(files: LocalFiles) -> None:
    table = Table.of(
        [("month of day", "text"), ("count", "integer")],
        [["2024-01", 3], ["2024-02", 9], ["2024-03", 1]],
    )
    assert "Line chart" in str(drawn(files, table).value)


def test_what_cannot_be_drawn_is_refused(files: LocalFiles) -> None:
    with pytest.raises(BadArguments, match="no rows"):
        drawn(files, Table.of([("a", "text")], []))
    with pytest.raises(BadArguments, match="no column 'x'"):
        drawn(files, TIMES, x="x")
    with pytest.raises(BadArguments, match="holds no numbers"):
        drawn(files, TIMES, y="city")
    table = Table.of([("k", "text"), ("n", "integer")], [["a", -1], ["b", 2]])
    with pytest.raises(BadArguments, match="negative"):
        drawn(files, table, kind="pie")
