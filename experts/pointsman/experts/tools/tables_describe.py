"""A table at a glance: its columns described, correlations between them, rows that stand out."""

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database
from pointsman.experts.tables import column_of
from pointsman.experts.tools.functions import capability
from pointsman.experts.tools.tables_query import PRIOR, counting, queried
from pointsman.experts.tools.tables_stats import NUMERIC, rounded
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, ColumnType, Table


@capability(
    "table.describe",
    title="describe the columns",
    examples=[
        "give me an overview of this dataset",
        "summary statistics of sales.csv",
        "what columns are there and how full are they",
        "describe the data",
        "how many values are missing per column",
        "minimum, maximum and average of every column",
        "statistics for price and quantity",
        "profile this spreadsheet",
        "explore the file",
    ],
    composition=["on the table of table.read"],
    prior=PRIOR,
    output={
        **TABLE,
        "x-columns": [
            {"name": "column", "type": "text"},
            {"name": "type", "type": "text"},
            {"name": "filled", "type": "integer"},
            {"name": "missing", "type": "integer"},
            {"name": "distinct", "type": "integer"},
            {"name": "min", "type": "text"},
            {"name": "max", "type": "text"},
            {"name": "mean", "type": "number"},
            {"name": "median", "type": "number"},
            {"name": "std", "type": "number"},
            {"name": "most common", "type": "text"},
        ],
    },
)
def describe(table: Table, call: Call, columns: list[str] | None = None) -> Done:
    """Describes each column: its type, filled and missing cells, distinct values, range, mean, spread.

    Args:
        table: the table.
        columns: columns to describe; all if not given.
    """
    places = [column_of(table, c) for c in columns or ()] or list(range(len(table.columns)))
    rows: list[str] = []
    for place in dict.fromkeys(places):
        rows.append(_description(place, table.columns[place].type))
    names = ["column", "type", "filled", "missing", "distinct", "min", "max"]
    names += ["mean", "median", "std", "most common"]
    values = [
        v for p in dict.fromkeys(places) for v in (table.columns[p].name, table.columns[p].type)
    ]
    with Database(call.files) as database:
        database.load(t=table)
        made = database.result(" UNION ALL ".join(rows), values, names=names, name=table.name)
    return Done(made.to_json(), f"{made.row_count} columns of {table.row_count:,} rows")


def _description(place: int, type: ColumnType) -> str:
    cell = f"c{place}"
    figures = ["NULL::DOUBLE"] * 3
    if type in ("integer", "number"):
        number = f"CAST({cell} AS DOUBLE)"
        figures = [
            rounded(f"(fsum({number}) / count({cell}))", 6),
            rounded(f"median({number})", 15),
            rounded(f"stddev_samp({number})", 6),
        ]
    ends = [f"CAST({f}({cell}) AS VARCHAR)" for f in ("min", "max")]
    if type == "number":
        ends = [f"regexp_replace({e}, '\\.0$', '')" for e in ends]
    if type in ("text", "json"):
        ends = ["NULL::VARCHAR"] * 2
    common = (
        f"(SELECT CAST({cell} AS VARCHAR) FROM t WHERE {cell} IS NOT NULL GROUP BY {cell} "
        f"ORDER BY count(*) DESC, {cell} LIMIT 1)"
    )
    return (
        f"SELECT ?, ?, count({cell}), count(*) - count({cell}), count(DISTINCT {cell}), "
        f"{', '.join(ends)}, {', '.join(figures)}, "
        f"CASE WHEN count({cell}) > count(DISTINCT {cell}) THEN {common} END FROM t"
    )


@capability(
    "table.correlate",
    title="correlate columns",
    examples=[
        "is there a correlation between price and rating",
        "which columns are related",
        "correlation matrix of the numbers",
        "does age go along with income",
        "how strongly do ads and sales move together",
        "what correlates with churn",
        "relationship between temperature and sales",
        "find dependencies between the numeric columns",
    ],
    composition=["on the table of table.read; chart.draw shows a pair as a scatter plot"],
    prior=PRIOR,
    output={
        **TABLE,
        "x-columns": [
            {"name": "column", "type": "text"},
            {"name": "other column", "type": "text"},
            {"name": "correlation", "type": "number"},
            {"name": "rows", "type": "integer"},
        ],
    },
)
def correlate(table: Table, call: Call, columns: list[str] | None = None) -> Done:
    """Calculates Pearson's correlation of each pair of columns with numbers, strongest first.

    Args:
        table: the table.
        columns: columns to compare; all with numbers if not given.
    """
    pairs = _pairs(table, columns)
    parts: list[str] = []
    values: list[str] = []
    for a, b in pairs[:2_000]:
        x, y = f"CAST(c{a} AS DOUBLE)", f"CAST(c{b} AS DOUBLE)"
        both = f"count(c{a}) FILTER (c{b} IS NOT NULL)"
        flat = f"regr_sxx({x}, {y}) = 0 OR regr_syy({x}, {y}) = 0"
        parts.append(
            f"SELECT ? AS a, ? AS b, CASE WHEN {flat} THEN NULL ELSE round(corr({x}, {y}), 4) + 0.0 END AS r, "
            f"{both} AS n FROM t"
        )
        values += [table.columns[a].name, table.columns[b].name]
    with Database(call.files) as database:
        database.load(t=table)
        made = database.result(
            f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY abs(r) DESC NULLS LAST, a, b",
            values,
            names=["column", "other column", "correlation", "rows"],
            name=table.name,
        )
    note = f"Pearson correlation of {counting(made.row_count, 'pair')} of columns"
    if made.row_count == 1 and made.rows[0][2] is not None:
        note += f": {_strength(float(str(made.rows[0][2])))}"
    return Done(made.to_json(), note)


def _strength(r: float) -> str:
    """A correlation in words, by the usual limits (Cohen 1988: 0.1, 0.3, 0.5)."""
    size = abs(r)
    if size < 0.1:
        return "practically none"
    word = "weak" if size < 0.3 else "moderate" if size < 0.5 else "strong"
    return f"{word}, {'positive' if r > 0 else 'negative'}"


def _pairs(table: Table, columns: list[str] | None) -> list[tuple[int, int]]:
    """Pairs of columns to compare: among several that are named, of one with all others, or all.

    Raises BadArguments when a named one holds no numbers or there is no pair.
    """
    asked = [column_of(table, c) for c in columns or ()]
    numeric = [i for i, c in enumerate(table.columns) if c.type in ("integer", "number")]
    for place in asked:
        if table.columns[place].type not in NUMERIC:
            raise BadArguments(
                f"column {table.columns[place].name!r} holds no numbers; leave it out"
            )
    places = list(dict.fromkeys(asked)) if len(set(asked)) > 1 else numeric
    first = asked[:1] if len(set(asked)) == 1 else None
    pairs = [
        (a, b)
        for i, a in enumerate(places)
        for b in places[i + 1 :]
        if first is None or first[0] in (a, b)
    ]
    if not pairs:
        raise BadArguments("a correlation needs two columns with numbers; the table has fewer")
    return pairs


@capability(
    "table.outliers",
    title="find outliers",
    examples=[
        "are there outliers in the amounts",
        "unusually high prices",
        "find anomalies in response time",
        "which orders are suspiciously large",
        "values that are far off from the rest",
        "show extreme temperatures",
        "strange readings in sensor.csv",
        "spot odd salaries",
    ],
    composition=["on the table of table.read or table.filter"],
    prior=PRIOR,
    output=dict(TABLE),
)
def outliers(table: Table, column: str, call: Call) -> Done:
    """Finds rows whose value lies more than 1.5 interquartile ranges outside the quartiles.

    Tukey's fences (Exploratory Data Analysis, 1977), the most extreme first.

    Args:
        table: the table.
        column: a column with numbers.
    """
    place = column_of(table, column)
    if table.columns[place].type not in ("integer", "number"):
        raise BadArguments(f"column {table.columns[place].name!r} holds no numbers; name another")
    cell = f"CAST(c{place} AS DOUBLE)"
    with Database(call.files) as database:
        database.load(t=table)
        low, high = database.run(
            f"SELECT quantile_cont({cell}, 0.25), quantile_cont({cell}, 0.75) FROM t"
        )[0]
    if low is None:
        raise BadArguments(f"column {table.columns[place].name!r} has no value at all")
    reach = 1.5 * (high - low)
    made = queried(
        call,
        table,
        f"SELECT * FROM t WHERE c{place} < ? OR c{place} > ? "
        f"ORDER BY greatest(? - c{place}, c{place} - ?) DESC",
        [low - reach, high + reach, low - reach, high + reach],
    )
    inside = f"usual is {low - reach:,.6g} to {high + reach:,.6g}"
    return Done(made.to_json(), f"{made.row_count:,} of {table.row_count:,} rows; {inside}")


TOOLS = (describe, correlate, outliers)
