import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.experts.base import Call
from pointsman.experts.files import LocalFiles
from pointsman.experts.tables import stored
from pointsman.experts.tools import export as exports
from pointsman.experts.tools import tables_describe, tables_sql, tables_stats
from pointsman.experts.tools import tables_query as queries
from pointsman.experts.tools.functions import Tool
from pointsman.experts.tools.tables_read import read
from pointsman.router.catalog import Catalog
from pointsman.router.errors import BadArguments
from pointsman.router.plan import first_fault
from pointsman.router.values import FileRef, Table

SALES = Table.of(
    [
        ("Order ID", "integer"),
        ("city", "text"),
        ("amount", "number"),
        ("day", "date"),
        ("paid", "boolean"),
    ],
    [
        [1, "Berlin", 0.1, "2023-12-31", True],
        [2, "berlin", 0.2, "2024-01-05", False],
        [3, "Paris", 19.99, "2024-01-20", True],
        [4, "Rome", None, "2024-02-06", None],
        [5, None, 100.0, None, True],
    ],
    name="sales.csv",
)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def result(files: LocalFiles, tool: Tool, **arguments: Any) -> Any:
    for name, value in arguments.items():
        fault = first_fault(value, tool.capability.properties[name])
        assert fault is None or tool.capability.name == "table.filter", fault
    return asyncio.run(tool.run(Call(tool.capability.name, arguments, files, 0.0))).value


def table(files: LocalFiles, tool: Tool, subject: Table = SALES, **arguments: Any) -> Table:
    return Table.from_json(result(files, tool, table=subject.to_json(), **arguments))


def ids(made: Table) -> list[Any]:
    return [r[0] for r in made.rows]


@pytest.mark.parametrize(
    ("column", "op", "value", "kept"),
    [
        ("CITY", "eq", "BERLIN", [1, 2]),
        ("city", "ne", "berlin", [3, 4, 5]),
        ("city", "contains", "r", [1, 2, 3, 4]),
        ("city", "not_contains", "ER", [3, 4, 5]),
        ("city", "starts_with", "p", [3]),
        ("city", "ends_with", ["n", "E"], [1, 2, 4]),
        ("city", "in", ["paris", "rome"], [3, 4]),
        ("city", "not_in", ["paris", "rome"], [1, 2, 5]),
        ("city", "is_null", None, [5]),
        ("city", "eq", None, [5]),
        ("amount", "not_null", None, [1, 2, 3, 5]),
        ("amount", "gt", "$19.50", [3, 5]),
        ("amount", "between", [0.2, 20], [2, 3]),
        ("amount", "le", {"kind": "quantity", "value": "0.1", "unit": "dollar"}, [1]),
        ("order_id", "in", ["2", 4], [2, 4]),
        ("day", "eq", "2024-01", [2, 3]),
        ("day", "gt", "2023", [2, 3, 4]),
        ("day", "ge", "2023", [1, 2, 3, 4]),
        ("day", "le", "2024-Q1", [1, 2, 3, 4]),
        ("day", "between", ["2024-01-05", "2024-01-20"], [2, 3]),
        ("paid", "eq", "yes", [1, 3, 5]),
        ("paid", "ne", True, [2, 4]),
    ],
)
def test_filters(files: LocalFiles, column: str, op: str, value: Any, kept: list[int]) -> None:
    where = [{"column": column, "op": op, "value": value}]
    assert ids(table(files, queries.filter_rows, where=where)) == kept


def test_any_of_several_conditions(files: LocalFiles) -> None:
    where = [
        {"column": "city", "op": "eq", "value": "Rome"},
        {"column": "amount", "op": "lt", "value": 0.15},
    ]
    assert ids(table(files, queries.filter_rows, where=where, match="any")) == [1, 4]
    assert ids(table(files, queries.filter_rows, where=where)) == []


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("amonut", 1, "did you mean 'amount'"),
        ("amount", "cheap", "holds numbers"),
        ("day", "soon", "2024-03-05"),
        ("paid", "maybe", "true or false"),
    ],
)
def test_what_does_not_fit_says_what_would(
    files: LocalFiles, column: str, value: Any, why: str
) -> None:
    with pytest.raises(BadArguments, match=why):
        table(files, queries.filter_rows, where=[{"column": column, "op": "eq", "value": value}])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_no_name_and_no_value_is_read_as_sql(files: LocalFiles, name: str, value: str) -> None:
    clean = name.encode("utf-8", "replace").decode()
    subject = Table.of([(clean, "text"), ("n", "integer")], [[value, 1], ["other", 2]], name=clean)
    where = [{"column": clean, "op": "ne", "value": "other"}]
    kept = table(files, queries.filter_rows, subject, where=where)
    assert ids_of_n(kept) == ([] if value.strip().lower() == "other" else [1])
    assert table(files, tables_stats.aggregate, subject, measures=[], by=[{"column": clean}])


def ids_of_n(made: Table) -> list[Any]:
    return [r[1] for r in made.rows]


@pytest.mark.parametrize("attack", ['c0" ; DROP TABLE t; --', "x') OR 1=1 --", "'; ATTACH 'x"])
def test_injection_is_only_text(files: LocalFiles, attack: str) -> None:
    subject = Table.of([(attack, "text")], [[attack], ["other"]], name=attack)
    for op in ("eq", "contains", "starts_with"):
        where = [{"column": attack, "op": op, "value": attack}]
        assert table(files, queries.filter_rows, subject, where=where).rows == ((attack,),)
    assert table(files, queries.sort, subject, by=attack).row_count == 2
    assert table(files, tables_describe.describe, subject).rows[0][0] == attack
    counted = table(
        files, tables_stats.aggregate, subject, measures=[{"fn": "count", "as": attack}]
    )
    assert counted.columns[0].name == attack
    assert len(files.list()) == 0


def test_sums_have_no_noise(files: LocalFiles) -> None:
    measures = [{"fn": f, "column": "amount"} for f in ("sum", "mean", "median", "min", "max")]
    made = table(files, tables_stats.aggregate, measures=measures)
    assert made.rows == ((120.29, 30.0725, 10.095, 0.1, 100.0),)
    assert [c.name for c in made.columns][:2] == ["sum of amount", "mean of amount"]
    large = Table.of([("a", "number")], [[1e6], [0.1], [-1e6]])
    made = table(files, tables_stats.aggregate, large, measures=[{"fn": "sum", "column": "a"}])
    assert made.rows == ((0.1,),)


def test_groups_are_ordered_by_the_first_measure(files: LocalFiles) -> None:
    made = table(
        files,
        tables_stats.aggregate,
        measures=[{"fn": "sum", "column": "amount"}, {"fn": "share"}],
        by=[{"column": "paid"}],
    )
    assert made.rows == ((True, 120.09, 60.0), (False, 0.2, 20.0), (None, None, 20.0))


@pytest.mark.parametrize(
    ("grain", "labels"),
    [
        ("year", [2023, 2024, None]),
        ("quarter", ["2023-Q4", "2024-Q1", None]),
        ("month", ["2023-12", "2024-01", "2024-02", None]),
        ("weekday", ["Tuesday", "Friday", "Saturday", "Sunday", None]),
        ("day", ["2023-12-31", "2024-01-05", "2024-01-20", "2024-02-06", None]),
    ],
)
def test_grains_are_in_the_order_of_time(files: LocalFiles, grain: str, labels: list[Any]) -> None:
    by = [{"column": "day", "grain": grain}]
    made = table(files, tables_stats.aggregate, measures=[{"fn": "count"}], by=by)
    assert ids(made) == labels
    assert made.columns[0].name == f"{grain} of day"


def test_conditions_of_an_aggregate(files: LocalFiles) -> None:
    where = [{"column": "city", "op": "eq", "value": "berlin"}]
    measures = [{"fn": "count"}, {"fn": "share"}, {"fn": "sum", "column": "amount"}]
    made = table(files, tables_stats.aggregate, measures=measures, where=where)
    assert made.rows == ((2, 40.0, 0.3),)
    top = table(
        files,
        tables_stats.aggregate,
        measures=[{"fn": "max", "column": "amount", "as": "most"}],
        by=[{"column": "city"}],
        sort="amount",
        limit=2,
    )
    assert top.rows == ((None, 100.0), ("Paris", 19.99))


def test_what_has_no_sum_is_refused(files: LocalFiles) -> None:
    with pytest.raises(BadArguments, match="holds text"):
        table(files, tables_stats.aggregate, measures=[{"fn": "sum", "column": "city"}])
    with pytest.raises(BadArguments, match="holds no dates"):
        table(
            files,
            tables_stats.aggregate,
            measures=[],
            by=[{"column": "city", "grain": "month"}],
        )


def test_sort_and_select(files: LocalFiles) -> None:
    assert ids(table(files, queries.sort, by="amount", limit=2)) == [5, 3]
    assert ids(table(files, queries.sort, by="city", descending=False)) == [1, 2, 3, 4, 5]
    made = table(files, queries.select, columns=["PAID"], distinct=True)
    assert made.rows == ((True,), (False,), (None,))
    with pytest.raises(BadArguments, match="1 or more"):
        table(files, queries.sort, by="city", limit=0)


def test_duplicates(files: LocalFiles) -> None:
    subject = Table.of([("a", "text"), ("b", "integer")], [["x", 1], ["y", 2], ["x", 1], ["y", 3]])
    assert table(files, queries.duplicates, subject).rows == (("x", 1, 2),)
    assert table(files, queries.duplicates, subject, columns=["a"]).rows == (("x", 2), ("y", 2))


def test_join(files: LocalFiles) -> None:
    cities = Table.of([("City", "text"), ("amount", "integer")], [["BERLIN", 7], ["Rome", 8]])
    made = Table.from_json(
        result(files, queries.join, left=SALES.to_json(), right=cities.to_json(), on="city")
    )
    assert [c.name for c in made.columns][-1] == "amount 2"
    assert [(r[0], r[-1]) for r in made.rows] == [(1, 7), (2, 7), (4, 8)]
    with pytest.raises(BadArguments, match="say which one"):
        result(files, queries.join, left=SALES.to_json(), right=cities.to_json())
    left = result(
        files, queries.join, left=SALES.to_json(), right=cities.to_json(), on="city", how="left"
    )
    assert left["row_count"] == 5


def test_describe_correlate_and_outliers(files: LocalFiles) -> None:
    subject = Table.of(
        [("x", "integer"), ("y", "number"), ("w", "text")],
        [[i, i * 2.0, "a" if i else None] for i in range(20)] + [[1_000, None, "b"]],
    )
    described = table(files, tables_describe.describe, subject)
    assert described.rows[1][:7] == ("y", "number", 20, 1, 20, "0", "38")
    assert described.rows[2][-1] == "a"
    assert table(files, tables_describe.correlate, subject).rows == (("x", "y", 1.0, 20),)
    assert ids(table(files, tables_describe.outliers, subject, column="x")) == [1_000]


def test_long_tables_are_read_where_they_lie(files: LocalFiles) -> None:
    long = stored(
        Table.of(
            [("n", "integer"), ("k", "text")], [[i, f"k{i % 3}"] for i in range(6_000)], name="l"
        ),
        files,
    )
    where = [{"column": "n", "op": "ge", "value": 1_000}]
    kept = table(files, queries.filter_rows, long, where=where)
    assert (kept.row_count, kept.file is not None, len(kept.rows)) == (5_000, True, 100)
    made = table(
        files,
        tables_stats.aggregate,
        kept,
        measures=[{"fn": "sum", "column": "n"}, {"fn": "count"}],
        by=[{"column": "k"}],
    )
    assert sum(r[2] for r in made.rows) == 5_000  # type: ignore[misc]
    assert sum(r[1] for r in made.rows) == sum(range(1_000, 6_000))  # type: ignore[misc]
    query = "SELECT max(n) FROM l"
    assert Table.from_json(
        result(files, tables_sql.sql, tables=[kept.to_json()], query=query)
    ).rows == ((5_999,),)


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE t",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE t",
        "COPY t TO '/tmp/stolen.csv'",
        "ATTACH 'x.db'",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "SET threads = 9",
        "INSERT INTO t VALUES (1)",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM \"read_text\"('/etc/passwd')",
        "SELECT * FROM read_text /* x */ ('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '/etc/*.csv'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM duckdb_settings()",
        "SELECT current_setting('temp_directory')",
        "SELECT nothing FROM t",
        "SELEC",
        "",
    ],
)
def test_sql_that_is_no_plain_select_is_refused(files: LocalFiles, query: str) -> None:
    with pytest.raises(BadArguments):
        result(files, tables_sql.sql, tables=SALES.to_json(), query=query)


def test_sql_over_tables_by_name(files: LocalFiles) -> None:
    cities = Table.of(
        [("city", "text"), ("land", "text")], [["Rome", "Italy"]], name="my cities.csv"
    )
    query = (
        'WITH s AS (SELECT * FROM sales) SELECT s."Order ID" AS id, land '
        "FROM s JOIN my_cities USING (city) -- the end;"
    )
    made = Table.from_json(
        result(files, tables_sql.sql, tables=[SALES.to_json(), cities.to_json()], query=query)
    )
    assert made.rows == ((4, "Italy"),)
    assert result(files, tables_sql.sql, tables=SALES.to_json(), query="FROM t;")["row_count"] == 5


def test_sql_is_stopped_in_time(files: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_sql, "SECONDS", 0.3)
    query = (
        "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
    )
    with pytest.raises(BadArguments, match="longer than"):
        result(files, tables_sql.sql, tables=SALES.to_json(), query=query)


@pytest.mark.parametrize("format", ["csv", "xlsx", "json", "parquet"])
def test_an_exported_table_reads_back(files: LocalFiles, format: str) -> None:
    ref = result(files, exports.export, table=SALES.to_json(), format=format, name="out.csv")
    assert ref["name"] == f"out.{format}"
    back = Table.from_json(asyncio.run(read.run(Call("table.read", {"file": ref}, files, 0))).value)
    assert [c.name for c in back.columns] == [c.name for c in SALES.columns]
    assert back.rows == SALES.rows


def test_a_formula_is_exported_as_text(files: LocalFiles) -> None:
    from openpyxl import load_workbook

    subject = Table.of([("=1+1", "text")], [["=HYPERLINK(1)"]])
    ref = result(files, exports.export, table=subject.to_json(), format="xlsx")
    sheet = load_workbook(files.path(FileRef.from_json(ref)))["Table"]
    assert [c.data_type for row in sheet.iter_rows() for c in row] == ["s", "s"]


def test_capabilities_form_a_catalog_and_speak_for_themselves() -> None:
    from pointsman.experts.tools import chart, documents, tables_read

    modules = (
        tables_read,
        queries,
        tables_stats,
        tables_describe,
        tables_sql,
        documents,
        exports,
        chart,
    )
    tools = [t for m in modules for t in m.TOOLS]
    catalog = Catalog(t.capability for t in tools)
    assert len(catalog) == len(tools) == 14
    for made in catalog:
        assert 8 <= len(made.examples) <= 15, made.name
        assert made.composition, made.name
        assert all(s.get("description") for s in made.properties.values()), made.name


RETURNS = Table.of(
    [("region", "text"), ("paid", "number"), ("status", "text")],
    [
        ["North", 10.0, "returned"],
        ["North", 30.0, "kept"],
        ["South", 20.0, "kept"],
        ["South", 20.0, "kept"],
        ["West", 20.0, "returned"],
    ],
)
RETURNED = [{"column": "status", "op": "eq", "value": "returned"}]


def test_a_share_with_conditions_is_the_rate_within_each_group(files: LocalFiles) -> None:
    measures = [{"fn": "share"}, {"fn": "count"}, {"fn": "sum", "column": "paid"}]
    by = [{"column": "region"}]
    made = table(files, tables_stats.aggregate, RETURNS, measures=measures, by=by, where=RETURNED)
    assert made.rows == (
        ("West", 100.0, 1, 20.0),
        ("North", 50.0, 1, 10.0),
        ("South", 0.0, 0, None),
    )


def test_a_share_of_a_sum_is_each_groups_part_of_it(files: LocalFiles) -> None:
    measures = [{"fn": "share_of_sum", "column": "paid"}]
    by = [{"column": "region"}]
    made = table(files, tables_stats.aggregate, RETURNS, measures=measures, by=by)
    assert made.columns[1].name == "share of paid"
    assert made.rows == (("North", 40.0), ("South", 40.0), ("West", 20.0))
    kept = table(files, tables_stats.aggregate, RETURNS, measures=measures, where=RETURNED)
    assert kept.rows == ((30.0,),)


def test_a_share_of_a_sum_needs_numbers(files: LocalFiles) -> None:
    measures = [{"fn": "share_of_sum", "column": "region"}]
    with pytest.raises(BadArguments):
        table(files, tables_stats.aggregate, RETURNS, measures=measures)


def test_what_a_limit_cuts_off_although_it_is_equal_is_said(files: LocalFiles) -> None:
    tied = Table.of(
        [("who", "text"), ("points", "integer")], [["a", 3], ["b", 3], ["c", 1], ["d", 3]]
    )
    given = {"table": tied.to_json(), "by": "points", "limit": 1}
    done = asyncio.run(queries.sort.run(Call("table.sort", given, files, 0.0)))
    assert done.note == "by points, descending; first 1 of 4 rows; 2 more are equal to the last"
    given = {
        "table": tied.to_json(),
        "measures": [{"fn": "sum", "column": "points"}],
        "by": [{"column": "who"}],
        "limit": 2,
    }
    done = asyncio.run(tables_stats.aggregate.run(Call("table.aggregate", given, files, 0.0)))
    assert done.note == "4 rows in 2 groups; 1 more is equal to the last"
    given["limit"] = 4
    done = asyncio.run(tables_stats.aggregate.run(Call("table.aggregate", given, files, 0.0)))
    assert done.note == "4 rows in 4 groups"


def test_a_month_of_any_year(files: LocalFiles) -> None:
    def kept(value: Any, column: str = "day") -> list[Any]:
        return ids(
            table(
                files,
                queries.filter_rows,
                where=[{"column": column, "op": "in_month", "value": value}],
            )
        )

    assert kept(1) == [2, 3]
    assert kept([12, 2]) == [1, 4]
    for value in (0, 13, "May", True):
        with pytest.raises(BadArguments, match="a month from 1 to 12"):
            kept(value)
    with pytest.raises(BadArguments, match="holds no dates"):
        kept(1, "city")
