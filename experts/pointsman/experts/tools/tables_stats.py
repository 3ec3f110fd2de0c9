"""Figures of a table: counts, sums, means and shares, in all or by group and time."""

from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database, unique
from pointsman.experts.tables import column_of
from pointsman.experts.tools.functions import capability
from pointsman.experts.tools.predicates import Predicates, where_clause
from pointsman.experts.tools.tables_query import PRIOR, counting, left_equal, limit_clause
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Column, ColumnType, Table

Fn = Literal[
    "count", "count_distinct", "sum", "mean", "median", "min", "max", "std", "share", "share_of_sum"
]
Grain = Literal["year", "quarter", "month", "week", "day", "weekday", "hour"]
NUMERIC: Final = ("integer", "number", "boolean")


class Measure(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    fn: Fn
    column: str | None = None
    name: str | None = Field(default=None, alias="as")


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid")

    column: str
    grain: Grain | None = None


Measures = Annotated[
    list[Measure],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["fn"],
                "additionalProperties": False,
                "properties": {
                    "fn": {"enum": list(get_args(Fn))},
                    "column": {"type": ["string", "null"], "x-role": "column"},
                    "as": {"type": ["string", "null"]},
                },
            },
        }
    ),
]
Groups = Annotated[
    list[Group],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["column"],
                "additionalProperties": False,
                "properties": {
                    "column": {"type": "string", "x-role": "column"},
                    "grain": {"enum": [*get_args(Grain), None]},
                },
            },
        }
    ),
]

GRAINS: Final[dict[str, tuple[str, str, ColumnType]]] = {
    "year": ("year({0})", "year({0})", "integer"),
    "quarter": ("year({0}) || '-Q' || quarter({0})", "year({0}) * 4 + quarter({0})", "text"),
    "month": ("strftime({0}, '%Y-%m')", "strftime({0}, '%Y-%m')", "text"),
    "week": ("strftime({0}, '%G-W%V')", "strftime({0}, '%G-W%V')", "text"),
    "day": ("CAST({0} AS DATE)", "CAST({0} AS DATE)", "date"),
    "weekday": ("dayname({0})", "isodow({0})", "text"),
    "hour": ("hour({0})", "hour({0})", "integer"),
}
"""SQL of a group's label and of its place in time, and the label's type."""


def rounded_sum(cell: str) -> str:
    """SQL of a sum without the noise of binary fractions: 0.1 + 0.2 is 0.3.

    Kahan's summation, rounded to the digits that 15 significant ones of the terms' magnitude support.
    """
    size = f"fsum(abs({cell}))"
    return (
        f"CASE WHEN {size} > 0 THEN round(fsum({cell}), "
        f"CAST(15 - ceil(log10({size})) AS INTEGER)) ELSE fsum({cell}) END"
    )


def rounded(value: str, digits: int = 12) -> str:
    """SQL of a number to so many significant digits."""
    return (
        f"CASE WHEN {value} = 0 THEN 0.0 ELSE "
        f"round({value}, CAST({digits} - ceil(log10(abs({value}))) AS INTEGER)) END"
    )


class _Output(BaseModel):
    """One column of an aggregate. sql over `t`; order: what to sort it by."""

    name: str
    type: ColumnType
    sql: str
    order: str
    source: int | None = None


@capability(
    "table.aggregate",
    title="calculate totals and groups",
    examples=[
        "total revenue",
        "average price per category",
        "how many orders per month",
        "what is the highest salary in each department",
        "sum of amount by region and year",
        "median age of the customers",
        "what percentage of reviews is negative",
        "return rate by product",
        "what share of the revenue comes from each region",
        "number of different customers",
        "which country has the most sales",
        "break the costs down by quarter",
        "on which weekday do we get the most calls",
        "how many rows are there",
        "top five products by total quantity",
    ],
    composition=[
        "after table.read; conditions can be given here instead of a table.filter before it",
        "after text.classify, text.sentiment or text.topics to count by the column that they add",
        "its table goes to chart.draw",
    ],
    prior=PRIOR,
    output=dict(TABLE),
)
def aggregate(
    table: Table,
    measures: Measures,
    call: Call,
    by: Groups | None = None,
    where: Predicates | None = None,
    sort: str | None = None,
    descending: bool = True,
    limit: int | None = None,
) -> Done:
    """Calculates counts, sums, means, medians, extremes, deviations or shares, in all or by groups.

    Groups are values of columns, or years, quarters, months, weeks, days, weekdays or hours of a date.
    A share is a percentage of rows: with groups only, each group's part of all rows; with conditions only,
    the rows that meet them out of all; with both, the rate within each group, so the rows of the group that
    meet the conditions out of all of the group. A share_of_sum is a percentage of a column's sum over the
    rows that meet the conditions: each group's part of it; without groups, their part of the sum of all rows.

    Args:
        table: the table.
        measures: what to calculate, each a function and mostly a column.
        by: columns to group by, for dates with a grain.
        where: conditions on the rows that count.
        sort: column of the result to order by; else by time, or by the first measure.
        descending: largest first.
        limit: how many groups to keep; all if not given.
    """
    condition, values = where_clause(table, where or [])
    groups = [_group(table, g) for g in by or []]
    whole = _looks_at_all_rows(measures, grouped=bool(groups), conditions=bool(where))
    figures = [_figure(table, m, bool(groups), whole) for m in measures or [Measure(fn="count")]]
    outputs = [*groups, *figures]
    names = unique([o.name for o in outputs])
    keys = list(dict.fromkeys(k for g in groups for k in (g.sql, g.order)))
    sql = (
        f"SELECT {', '.join(f'{o.sql} AS o{i}' for i, o in enumerate(outputs))} "
        f"FROM (SELECT *, ({condition}) AS kept FROM t) "
        f"{'' if whole else 'WHERE kept'}"
        f"{' GROUP BY ' + ', '.join(keys) if keys else ''}"
    )
    every = sql
    if groups:
        sql += f" ORDER BY {_order(table, by or [], groups, figures, names, sort, descending)}"
        sql += limit_clause(limit)
    with Database(call.files) as database:
        database.load(t=table)
        made = database.result(
            sql, values, names=names, types=[o.type for o in outputs], name=table.name
        )
        counted = database.run(f"SELECT count(*) FROM t WHERE {condition}", values)[0][0]
        ranked = None if limit is None else _ranked_by(table, by or [], outputs, names, sort)
        equal = ""
        if ranked is not None:
            equal = left_equal(database, made, ranked, f"o{ranked} FROM ({every})", values)
    rows = f"{counted:,} of {table.row_count:,} rows" if where else f"{table.row_count:,} rows"
    in_groups = f" in {counting(made.row_count, 'group')}" if groups else ""
    return Done(made.to_json(), rows + in_groups + equal)


def _ranked_by(
    table: Table, by: list[Group], outputs: list[_Output], names: list[str], sort: str | None
) -> int | None:
    """The column of the result whose order says which groups are kept; None without groups, or by time."""
    if not by:
        return None
    if sort is not None:
        return _sort_column(table, outputs, names, sort)
    return None if any(g.grain for g in by) else len(by)


def _looks_at_all_rows(measures: list[Measure], *, grouped: bool, conditions: bool) -> bool:
    """Whether rows that do not meet the conditions count too: those that a share is of."""
    shares = {m.fn for m in measures} & {"share", "share_of_sum"}
    return bool(shares) if not grouped else conditions and "share" in shares


def _group(table: Table, group: Group) -> _Output:
    place = column_of(table, group.column)
    column, cell = table.columns[place], f"c{place}"
    if group.grain is None:
        return _Output(name=column.name, type=column.type, sql=cell, order=cell, source=place)
    if column.type not in ("date", "datetime"):
        have = [c.name for c in table.columns if c.type in ("date", "datetime")]
        raise BadArguments(
            f"column {column.name!r} holds no dates, so it has no {group.grain}; columns with dates: "
            f"{', '.join(map(repr, have)) or 'none'}"
        )
    label, order, type = GRAINS[group.grain]
    return _Output(
        name=f"{group.grain} of {column.name}",
        type=type,
        sql=label.format(cell),
        order=order.format(cell),
        source=place,
    )


def _figure(table: Table, measure: Measure, grouped: bool, whole: bool) -> _Output:
    place = None if measure.column is None else column_of(table, measure.column)
    if place is None or measure.fn == "share":
        name, type, sql = _of_rows(measure.fn, grouped and not whole)
    else:
        name, type, sql = _of_column(measure.fn, table.columns[place], place, grouped, whole)
    if whole:
        sql = _only_kept(sql, place)
    return _Output(name=measure.name or name, type=type, sql=sql, order=sql, source=place)


def _only_kept(sql: str, place: int | None) -> str:
    """Where all rows are looked at, for a share of them, the rest counts those that are kept."""
    if sql.startswith("SHARE"):
        return sql.removeprefix("SHARE ")
    if place is None:
        return "count_if(kept)"
    return sql.replace(f"c{place}", f"(CASE WHEN kept THEN c{place} END)")


def _of_rows(fn: Fn, grouped: bool) -> tuple[str, ColumnType, str]:
    if fn == "count":
        return "count", "integer", "count(*)"
    if fn == "share":
        if grouped:
            share = "100.0 * count(*) / sum(count(*)) OVER ()"
            return "share", "number", f"round({share}, 2)"
        return "share", "number", "SHARE round(100.0 * count_if(kept) / nullif(count(*), 0), 2)"
    raise BadArguments(f"{fn} needs a column; say of which column it is to be taken")


def _of_column(
    fn: Fn, column: Column, place: int, grouped: bool, whole: bool
) -> tuple[str, ColumnType, str]:
    cell = f"c{place}"
    if fn == "count":
        return "count", "integer", f"count({cell})"
    if fn == "count_distinct":
        return f"distinct {column.name}", "integer", f"count(DISTINCT {cell})"
    name = f"{fn} of {column.name}"
    if fn in ("min", "max"):
        return name, column.type, f"{fn}({cell})"
    if column.type not in NUMERIC:
        raise BadArguments(
            f"column {column.name!r} holds {_holds(column.type)}, so it has no {fn}; "
            "count it, or take a column with numbers"
        )
    number = f"CAST({cell} AS DOUBLE)"
    if fn == "share_of_sum":
        return f"share of {column.name}", "number", _share_of_sum(cell, number, grouped, whole)
    if fn == "sum":
        if column.type == "number":
            return name, "number", rounded_sum(cell)
        return name, "integer", f"sum(CAST({cell} AS BIGINT))"
    if fn == "mean":
        return name, "number", rounded(f"(fsum({number}) / count({cell}))")
    if fn == "median":
        return name, "number", rounded(f"median({number})", 15)
    return name, "number", rounded(f"stddev_samp({number})")


def _share_of_sum(cell: str, number: str, grouped: bool, whole: bool) -> str:
    if grouped:
        share = f"100.0 * fsum({number}) / nullif(sum(fsum({number})) OVER (), 0)"
        return f"round({share}, 2)"
    part = f"fsum(CASE WHEN kept THEN {number} END)"
    return f"SHARE round(100.0 * coalesce({part}, 0) / nullif(fsum({number}), 0), 2)"


def _holds(type: ColumnType) -> str:
    return {"date": "dates", "datetime": "dates", "json": "nested values"}.get(type, "text")


def _order(
    table: Table,
    by: list[Group],
    groups: list[_Output],
    figures: list[_Output],
    names: list[str],
    sort: str | None,
    descending: bool,
) -> str:
    """SQL of the order of the groups: the column asked for, else time, else the first measure."""
    ties = [f"{g.order} ASC NULLS LAST" for g in groups]
    direction = "DESC" if descending else "ASC"
    if sort is not None:
        outputs = [*groups, *figures]
        chosen = outputs[_sort_column(table, outputs, names, sort)].order
        return ", ".join([f"{chosen} {direction} NULLS LAST", *ties])
    if any(g.grain for g in by):
        timed = [f"{o.order} ASC NULLS LAST" for g, o in zip(by, groups, strict=True) if g.grain]
        return ", ".join([*timed, f"{figures[0].order} DESC NULLS LAST", *ties])
    return ", ".join([f"{figures[0].order} {direction} NULLS LAST", *ties])


def _sort_column(table: Table, outputs: list[_Output], names: list[str], sort: str) -> int:
    """A column of the result by its name, or by the input's column that it was made from."""
    result = Table.of([(n, o.type) for n, o in zip(names, outputs, strict=True)], [])
    try:
        return column_of(result, sort)
    except BadArguments:
        try:
            source = column_of(table, sort)
        except BadArguments:
            source = -1
        found = [i for i, o in enumerate(outputs) if o.source == source]
        if not found:
            raise
        return found[-1]


TOOLS = (aggregate,)
