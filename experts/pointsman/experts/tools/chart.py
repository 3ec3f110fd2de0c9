"""Draws a chart of a table as a PNG picture."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database
from pointsman.experts.tables import column_of
from pointsman.experts.tools.functions import capability
from pointsman.experts.tools.tables_stats import rounded_sum
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import PICTURE, Column, JsonObject, Table

Kind = Literal["bar", "line", "scatter", "pie", "histogram", "auto"]
BARS: Final = 30
SLICES: Final = 8
POINTS: Final = 5_000
NUMERIC: Final = ("integer", "number")
TIMED: Final = ("date", "datetime")
OTHER: Final = "other"
REST: Final = "all others"
Rows = list[dict[str, Any]]


@capability(
    "chart.draw",
    title="draw a chart",
    examples=[
        "plot sales per month",
        "bar chart of the counts",
        "draw a pie chart of the categories",
        "visualise the result",
        "show me a graph of price against rating",
        "histogram of ages",
        "line chart of temperature over time",
        "make a diagram of revenue by region",
        "chart the number of tickets per day",
        "scatter plot of height and weight",
        "how are the scores distributed, as a picture",
    ],
    composition=[
        "after table.aggregate, whose groups and first figure it draws",
        "after text.topics or a table with a column to count",
    ],
    prior=Prior(quality=0.95, latency=0.6),
    output=dict(PICTURE),
)
def draw(
    table: Table,
    call: Call,
    kind: Kind = "auto",
    x: str | None = None,
    y: str | None = None,
    title: str | None = None,
) -> Done:
    """Draws a bar, line, scatter or pie chart or a histogram of a table, as a picture.

    What is not given is chosen by the types of the columns: dates make lines, words bars, two numbers
    points, one number a histogram. Rows of the same category are added up.

    Args:
        table: the table.
        kind: the kind of chart.
        x: column of the horizontal axis, the categories or slices.
        y: column of the vertical axis, with numbers.
        title: the heading.
    """
    if not table.row_count:
        raise BadArguments("the table has no rows, so there is nothing to draw")
    across, up = axes(table, kind, x, y)
    form = kind_for(kind, across, up)
    with Database(call.files) as database:
        database.load(t=table)
        rows, notes = _rows(database, table, form, across, up)
    if not rows:
        raise BadArguments("the columns to draw have no values; name others")
    labels = _labels(form, across, up)
    heading = title or _heading(form, labels)
    picture = render(form, rows, labels, heading, across)
    ref = call.files.create(f"{heading[:60]}.png", "image/png", picture)
    value: JsonObject = {
        "kind": "picture",
        "file": ref.id,
        "media_type": "image/png",
        "alt": _alt(form, rows, labels, heading),
    }
    return Done(value, "; ".join([f"{form} chart of {labels[1]} by {labels[0]}", *notes]))


def axes(
    table: Table, kind: Kind, x: str | None, y: str | None
) -> tuple[tuple[int, Column], tuple[int, Column] | None]:
    """Columns of the two axes; the second is None when rows are counted.

    Raises BadArguments when there is no such column or no number to draw.
    """
    across = None if x is None else column_of(table, x)
    up = None if y is None else column_of(table, y)
    numbers = [i for i, c in enumerate(table.columns) if c.type in NUMERIC and i != across]
    if kind == "histogram":
        place = (
            across if across is not None else up if up is not None else next(iter(numbers), None)
        )
        if place is None or table.columns[place].type not in NUMERIC:
            raise BadArguments("a histogram needs a column with numbers; name one as x")
        return (place, table.columns[place]), None
    if across is None:
        across = _across(table, kind, up, numbers)
    if up is None and (
        kind == "scatter" or x is None or table.columns[across].type in TIMED or numbers
    ):
        up = next((i for i in numbers if i != across), None)
    if kind == "scatter" and (
        up is None or table.columns[up].type not in NUMERIC or table.columns[across].type == "text"
    ):
        raise BadArguments("a scatter chart needs two columns with numbers; name them as x and y")
    if up is not None and table.columns[up].type not in NUMERIC:
        raise BadArguments(f"column {table.columns[up].name!r} holds no numbers; name another as y")
    return (across, table.columns[across]), None if up is None else (up, table.columns[up])


def _across(table: Table, kind: Kind, up: int | None, numbers: Sequence[int]) -> int:
    free = [i for i in range(len(table.columns)) if i != up]
    wanted = [TIMED, ("text", "boolean")]
    if kind in ("bar", "pie"):
        wanted = [("text", "boolean"), TIMED]
    if kind == "scatter":
        wanted = [NUMERIC]
    for types in wanted:
        for place in free:
            if table.columns[place].type in types:
                return place
    if not free:
        raise BadArguments("the table has one column; a chart of it needs another")
    return free[0]


def kind_for(
    kind: Kind, across: tuple[int, Column], up: tuple[int, Column] | None
) -> Literal["bar", "line", "scatter", "pie", "histogram"]:
    if kind != "auto":
        return kind
    type, name = across[1].type, across[1].name.casefold()
    if up is None:
        return "histogram" if type in NUMERIC else "bar"
    if type in TIMED or name.startswith(("year", "month of", "quarter of", "week of", "day of")):
        return "line"
    if name.startswith(("hour", "weekday")):
        return "bar"
    return "scatter" if type in NUMERIC else "bar"


def _rows(
    database: Database,
    table: Table,
    form: str,
    across: tuple[int, Column],
    up: tuple[int, Column] | None,
) -> tuple[Rows, list[str]]:
    """The points to draw as {"x", "y"}, and what has to be said about them."""
    cell = f"c{across[0]}"
    if form == "histogram":
        return _bins(database, cell), []
    if form == "scatter" and up is not None:
        sql = f"FROM t WHERE {cell} IS NOT NULL AND c{up[0]} IS NOT NULL"
        total = int(database.run(f"SELECT count(*) {sql}")[0][0])
        step = -(-total // POINTS) or 1
        points = database.run(
            f"SELECT x, y FROM (SELECT {cell} AS x, c{up[0]} AS y, row_number() OVER () AS n {sql}) "
            f"WHERE n % {step} = 0 OR {step} = 1"
        )
        note = [f"{len(points):,} of {total:,} points shown"] if step > 1 else []
        return [{"x": _point(a), "y": b} for a, b in points], note
    value = "count(*)" if up is None else rounded_sum(f"CAST(c{up[0]} AS DOUBLE)")
    timed = across[1].type in TIMED
    label = cell if timed else f"coalesce(CAST({cell} AS VARCHAR), '(none)')"
    grouped = database.run(
        f"SELECT {label} AS x, {value} AS y, count(*) AS k FROM (SELECT *, row_number() OVER () AS n FROM t) "
        f"{f'WHERE {cell} IS NOT NULL' if timed or form == 'line' else ''} GROUP BY 1 "
        f"HAVING {value} IS NOT NULL ORDER BY {'1' if timed else 'min(n)'}"
    )
    rows = [{"x": _point(a), "y": float(b)} for a, b, _ in grouped]
    several = up is not None and any(k > 1 for _, _, k in grouped)
    notes = [f"rows of the same {across[1].name} added up"] if several else []
    if form == "line" or timed:
        return rows, notes
    return _topmost(rows, form, across[1], notes)


def _topmost(rows: Rows, form: str, column: Column, notes: list[str]) -> tuple[Rows, list[str]]:
    """The largest categories, the rest added up as "other"; categories with an order keep it."""
    limit = SLICES if form == "pie" else BARS
    if form == "pie" and any(r["y"] < 0 for r in rows):
        raise BadArguments("a pie chart cannot show negative numbers; draw a bar chart")
    ordered = (
        column.name.casefold().startswith(
            ("weekday", "month", "quarter", "year", "week", "hour", "day")
        )
        or column.type in NUMERIC
    )
    if not ordered or len(rows) > limit:
        rows = sorted(rows, key=lambda r: -r["y"])
    if len(rows) <= limit:
        return rows, notes
    rest = rows[limit - 1 :]
    name = OTHER if all(r["x"] != OTHER for r in rows) else REST
    total = {"x": name, "y": float(f"{sum(r['y'] for r in rest):.12g}")}
    return [*rows[: limit - 1], total], [
        *notes,
        f"the {limit - 1} largest of {len(rows):,} shown, the rest together as {name!r}",
    ]


def _bins(database: Database, cell: str) -> Rows:
    """Equal bins between the extremes, as many as Sturges' rule (1926) says, 5 to 30."""
    number = f"CAST({cell} AS DOUBLE)"
    low, high, count = database.run(f"SELECT min({number}), max({number}), count({number}) FROM t")[
        0
    ]
    if not count:
        return []
    bins = max(5, min(30, int(count).bit_length() + 1))
    width = (high - low) / bins or 1.0
    found = dict(
        database.run(
            f"SELECT least(CAST(floor(({number} - ?) / ?) AS INTEGER), {bins - 1}) AS b, count(*) "
            f"FROM t WHERE {cell} IS NOT NULL GROUP BY 1",
            [low, width],
        )
    )
    shown = bins if high > low else 1
    return [
        {"x": low + i * width, "x2": low + (i + 1) * width, "y": found.get(i, 0)}
        for i in range(shown)
    ]


def _point(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _labels(
    form: str, across: tuple[int, Column], up: tuple[int, Column] | None
) -> tuple[str, str]:
    return across[1].name, "number of rows" if up is None else up[1].name


def _heading(form: str, labels: tuple[str, str]) -> str:
    if form == "histogram":
        return f"Distribution of {labels[0]}"
    first = labels[1][:1].upper() + labels[1][1:]
    return f"{first} {'against' if form == 'scatter' else 'by'} {labels[0]}"


def _alt(form: str, rows: Rows, labels: tuple[str, str], heading: str) -> str:
    """What the chart shows, in words: its axes, its extent, its highest and lowest value."""
    shown = [r for r in rows if form not in ("bar", "pie") or r["x"] not in (OTHER, REST)] or rows
    top, bottom = max(shown, key=lambda r: r["y"]), min(shown, key=lambda r: r["y"])
    if form == "histogram":
        return (
            f"Histogram: {heading}. {len(rows)} bins from {rows[0]['x']:,.6g} to {rows[-1]['x2']:,.6g}; "
            f"the fullest, from {top['x']:,.6g} to {top['x2']:,.6g}, has {top['y']:,} rows."
        )
    if form == "scatter":
        return f"Scatter chart: {heading}. {len(rows):,} points of {labels[0]} and {labels[1]}."
    return (
        f"{form.capitalize()} chart: {heading}. {len(rows)} values of {labels[0]}; {labels[1]} is "
        f"highest for {top['x']} ({top['y']:,.10g}) and lowest for {bottom['x']} ({bottom['y']:,.10g})."
    )


def render(
    form: str, rows: Rows, labels: tuple[str, str], heading: str, across: tuple[int, Column]
) -> bytes:
    """A PNG, 2 pixels a point. Needs neither a display nor a network: fonts come with the renderer."""
    import altair as alt
    import vl_convert

    timed = across[1].type in TIMED
    base = alt.Chart(alt.InlineData(values=rows), title=alt.TitleParams(_cut(heading, 90)))
    x_title, y_title = _cut(labels[0], 60), _cut(labels[1], 60)
    value_axis = alt.Axis(
        format="~s" if _large(rows) else alt.Undefined,
        tickMinStep=1 if _whole(rows) else alt.Undefined,
    )
    number = alt.Y("y:Q", title=y_title, axis=value_axis)
    match form:
        case "bar" if not timed:
            height = max(120, 22 * len(rows))
            value = alt.X("y:Q", title=y_title, axis=value_axis)
            name = alt.Y("x:N", sort=None, title=x_title, axis=alt.Axis(labelLimit=260))
            chart = base.mark_bar().encode(x=value, y=name).properties(width=560, height=height)
        case "bar":
            chart = base.mark_bar().encode(x=alt.X("x:T", title=x_title), y=number)
        case "line":
            place = (
                alt.X("x:T", title=x_title)
                if timed
                else alt.X("x:O", sort=None, title=x_title, axis=alt.Axis(labelOverlap=True))
            )
            chart = base.mark_line(point=len(rows) <= 60).encode(x=place, y=number)
        case "scatter":
            shape = "x:T" if timed else "x:Q"
            place = alt.X(shape, title=x_title, scale=alt.Scale(zero=False))
            number = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False))
            chart = base.mark_circle(opacity=0.6, size=40).encode(x=place, y=number)
        case "pie":
            color = alt.Color("x:N", sort=None, title=x_title, legend=alt.Legend(labelLimit=260))
            chart = base.mark_arc(stroke="white").encode(
                theta=alt.Theta("y:Q", stack=True), color=color
            )
            chart = chart.encode(order=alt.Order("y:Q", sort="descending"))
        case _:
            place = alt.X("x:Q", title=x_title, bin="binned")
            chart = base.mark_bar().encode(x=place, x2="x2:Q", y=number)
    if form != "bar" or timed:
        chart = chart.properties(width=560, height=340)
    spec = chart.configure(background="white").to_dict()
    picture: bytes = vl_convert.vegalite_to_png(vl_spec=spec, scale=2, allowed_base_urls=[])
    return picture


def _large(rows: Rows) -> bool:
    return any(abs(r["y"]) >= 100_000 for r in rows)


def _whole(rows: Rows) -> bool:
    return all(float(r["y"]).is_integer() for r in rows)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


TOOLS = (draw,)
