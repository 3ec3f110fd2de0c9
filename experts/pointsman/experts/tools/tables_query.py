"""Rows and columns of a table: filter, sort, select, join, find exact duplicates."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database, unique
from pointsman.experts.tables import column_of
from pointsman.experts.tools.functions import capability
from pointsman.experts.tools.predicates import Predicates, where_clause
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, ColumnType, Table

PRIOR: Final = Prior(quality=0.98, latency=0.1)


def types_of(table: Table) -> list[ColumnType]:
    return [c.type for c in table.columns]


def names_of(table: Table) -> list[str]:
    return [c.name for c in table.columns]


def counting(number: int, noun: str) -> str:
    """ "1 group", "2 groups"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def left_equal(
    database: Database, made: Table, place: int, column: str, values: Sequence[Any] = ()
) -> str:
    """What a limit cut off although it ranks as high as the last row that is shown, in words; "" for nothing.

    place: the ranked column of `made`. column: SQL of the same over all rows, "c0 FROM t". values: bound in it.
    """
    last = made.rows[-1][place] if made.rows else None
    if last is None:
        return ""
    cell, source = column.split(" ", 1)
    same = database.run(f"SELECT count(*) {source} WHERE {cell} = ?", [*values, last])[0][0]
    left = same - sum(row[place] == last for row in made.rows)
    return f"; {left:,} more {'is' if left == 1 else 'are'} equal to the last" if left > 0 else ""


def limit_clause(limit: int | None) -> str:
    """Raises BadArguments for a limit below 1."""
    if limit is None:
        return ""
    if limit < 1:
        raise BadArguments(f"limit is {limit}; it must be 1 or more")
    return f" LIMIT {limit}"


def queried(
    call: Call,
    table: Table,
    sql: str,
    values: Sequence[Any] = (),
    places: Sequence[int] | None = None,
) -> Table:
    """Rows of a SELECT over `t`, which has the table's columns, or those at some places."""
    kept = range(len(table.columns)) if places is None else places
    with Database(call.files) as database:
        database.load(t=table)
        return database.result(
            sql,
            values,
            names=[table.columns[p].name for p in kept],
            types=[table.columns[p].type for p in kept],
            name=table.name,
        )


@capability(
    "table.filter",
    title="filter rows",
    examples=[
        "only the orders over 100 dollars",
        "which customers are from Germany",
        "keep rows where status is open",
        "show the sales between March and June 2024",
        "tickets whose subject contains refund",
        "drop the rows without an email address",
        "everything except the cancelled ones",
        "reviews with 1 or 2 stars",
        "employees hired after 2020",
        "products priced at most 20",
        "entries where the country is France or Italy",
        "names that start with A",
    ],
    composition=[
        "takes the table of table.read or of any other table task",
        "goes before table.aggregate, table.sort or chart.draw when only some rows count",
    ],
    prior=PRIOR,
    output=dict(TABLE),
)
def filter_rows(
    table: Table, where: Predicates, call: Call, match: Literal["all", "any"] = "all"
) -> Done:
    """Keeps the rows of a table whose columns meet conditions: equal, larger, between dates, contains.

    Text is compared without regard to case, dates as dates.

    Args:
        table: the table.
        where: conditions, each with a column, an operator and a value.
        match: whether all conditions must hold or any of them.
    """
    sql, values = where_clause(table, where, match)
    kept = queried(call, table, f"SELECT * FROM t WHERE {sql}", values)
    return Done(kept.to_json(), f"{kept.row_count:,} of {table.row_count:,} rows kept")


@capability(
    "table.sort",
    title="sort rows",
    examples=[
        "sort by price, cheapest first",
        "the ten most expensive products",
        "order the employees by hire date",
        "top 5 customers by revenue",
        "which three cities have the highest population",
        "the oldest entries first",
        "rank the teams by points",
        "show the lowest scores",
        "alphabetical list of the names",
        "latest orders on top",
    ],
    composition=["after table.read or table.filter; with a limit it gives the top rows"],
    prior=PRIOR,
    output=dict(TABLE),
)
def sort(
    table: Table, by: str, call: Call, descending: bool = True, limit: int | None = None
) -> Done:
    """Orders the rows of a table by a column, largest or latest first, or the other way round.

    Rows without a value come last. With a limit it keeps the first rows: the top or bottom few.

    Args:
        table: the table.
        by: the column to order by.
        descending: largest first; false for smallest first.
        limit: how many rows to keep; all if not given.
    """
    place = column_of(table, by)
    cell = f"lower(c{place})" if table.columns[place].type == "text" else f"c{place}"
    sql = (
        f"SELECT * EXCLUDE (n) FROM (SELECT *, row_number() OVER () AS n FROM t) "
        f"ORDER BY {cell} {'DESC' if descending else 'ASC'} NULLS LAST, n{limit_clause(limit)}"
    )
    with Database(call.files) as database:
        database.load(t=table)
        made = database.result(
            sql,
            names=[c.name for c in table.columns],
            types=[c.type for c in table.columns],
            name=table.name,
        )
        equal = left_equal(database, made, place, f"c{place} FROM t") if limit else ""
    order = "descending" if descending else "ascending"
    shown = f"; first {made.row_count:,} of {table.row_count:,} rows" if limit else ""
    note = f"by {table.columns[place].name}, {order}{shown}{equal}"
    return Done(made.to_json(), note)


@capability(
    "table.select",
    title="choose columns",
    examples=[
        "just the name and email columns",
        "list the different countries",
        "which categories are there",
        "unique values of status",
        "show only date and amount",
        "all distinct product names",
        "give me the first 20 rows",
        "drop everything but the title",
        "what departments exist",
    ],
    composition=["last, to leave only the columns that were asked for"],
    prior=PRIOR,
    output=dict(TABLE),
)
def select(
    table: Table,
    columns: list[str],
    call: Call,
    distinct: bool = False,
    limit: int | None = None,
) -> Done:
    """Keeps some columns of a table, in the order given; with distinct, each combination once.

    Args:
        table: the table.
        columns: names of the columns to keep; all if the list is empty.
        distinct: leave out repeated rows.
        limit: how many rows to keep; all if not given.
    """
    places = list(dict.fromkeys(column_of(table, c) for c in columns))
    places = places or list(range(len(table.columns)))
    cells = ", ".join(f"c{p}" for p in places)
    sql = f"SELECT {cells} FROM t"
    if distinct:
        sql = (
            f"SELECT {cells} FROM (SELECT *, row_number() OVER () AS n FROM t) "
            f"GROUP BY {cells} ORDER BY min(n)"
        )
    made = queried(call, table, sql + limit_clause(limit), places=places)
    what = "distinct rows" if distinct else "rows"
    return Done(made.to_json(), f"{made.row_count:,} {what}, {counting(len(places), 'column')}")


@capability(
    "table.duplicates",
    title="find exact duplicates",
    examples=[
        "are there duplicate rows",
        "which email addresses occur more than once",
        "find repeated invoice numbers",
        "rows that are exactly the same",
        "check the list for doubles by name and birthday",
        "identical entries in contacts.csv",
        "what ids are not unique",
        "show double bookings",
    ],
    composition=["on a table of table.read; for texts that are only alike use text.duplicates"],
    prior=PRIOR,
    output={**TABLE, "x-adds": [{"name": "count", "type": "integer"}]},
)
def duplicates(table: Table, call: Call, columns: list[str] | None = None) -> Done:
    """Finds rows that occur more than once, exactly alike in all columns or in those given.

    Each comes once, with how often it occurs, most frequent first.

    Args:
        table: the table.
        columns: columns that must be alike; all if not given.
    """
    places = [column_of(table, c) for c in columns or ()] or list(range(len(table.columns)))
    cells = ", ".join(f"c{p}" for p in dict.fromkeys(places))
    sql = (
        f"SELECT {cells}, count(*) AS n FROM (SELECT *, row_number() OVER () AS r FROM t) "
        f"GROUP BY {cells} HAVING count(*) > 1 ORDER BY n DESC, min(r)"
    )
    kept = [table.columns[p] for p in dict.fromkeys(places)]
    with Database(call.files) as database:
        database.load(t=table)
        made = database.result(
            sql,
            names=[*[c.name for c in kept], "count"],
            types=[*[c.type for c in kept], "integer"],
            name=table.name,
        )
    note = f"{made.row_count:,} rows occur more than once" if made.row_count else "no duplicates"
    return Done(made.to_json(), note)


@capability(
    "table.join",
    title="join two tables",
    examples=[
        "combine orders.csv with customers.csv",
        "add the customer's name to each order",
        "merge both files on the product id",
        "match employees to their departments",
        "which orders belong to which customer",
        "look up the price of every item in the price list",
        "put the two tables together by email",
        "bring the region from stores.csv into sales.csv",
    ],
    composition=["takes two tables, each of its own table.read; before table.aggregate"],
    prior=PRIOR,
    output=dict(TABLE),
)
def join(
    left: Table,
    right: Table,
    call: Call,
    on: str | None = None,
    how: Literal["inner", "left"] = "inner",
) -> Done:
    """Joins two tables by a column that both have, so that each row has the columns of both.

    Args:
        left: the table whose rows are matched.
        right: the table that is looked up.
        on: the shared column, or "left column = right column"; found by name if not given.
        how: inner keeps rows with a match, left keeps all rows of the left table.
    """
    a, b = key_columns(left, right, on)
    added = [p for p in range(len(right.columns)) if p != b]
    cells = [f"l.c{p} AS c{p}" for p in range(len(left.columns))]
    cells += [f"r.c{p} AS c{len(left.columns) + i}" for i, p in enumerate(added)]
    kept = [right.columns[p] for p in added]
    keys = (_key("l", left, a, right, b), _key("r", right, b, left, a))
    with Database(call.files) as database:
        database.load(l=left, r=right)
        made = database.result(
            f"SELECT {', '.join(cells)} FROM (SELECT *, row_number() OVER () AS n FROM l) AS l "
            f"{how} JOIN (SELECT *, row_number() OVER () AS n FROM r) AS r "
            f"ON {keys[0]} = {keys[1]} ORDER BY l.n, r.n",
            names=unique([*names_of(left), *[c.name for c in kept]]),
            types=[*types_of(left), *[c.type for c in kept]],
            name=left.name,
        )
    shared = left.columns[a].name
    return Done(made.to_json(), f"on {shared}: {made.row_count:,} rows")


def key_columns(left: Table, right: Table, on: str | None) -> tuple[int, int]:
    """Positions of the columns to join by. Raises BadArguments when there is none or no single one."""
    if on is not None:
        a, equals, b = on.partition("=")
        return column_of(left, a.strip()), column_of(right, (b if equals else a).strip())
    folded = {c.name.casefold(): i for i, c in enumerate(right.columns)}
    shared = [i for i, c in enumerate(left.columns) if c.name.casefold() in folded]
    ids = [i for i in shared if left.columns[i].name.casefold().split("_")[-1].endswith("id")]
    for found in (ids, shared):
        if len(found) == 1:
            return found[0], folded[left.columns[found[0]].name.casefold()]
    what = ", ".join(repr(left.columns[i].name) for i in shared)
    raise BadArguments(
        f"the tables share the columns {what}; say which one to join on"
        if shared
        else f"the tables have no column of the same name: {', '.join(names_of(left))} on one side, "
        f"{', '.join(names_of(right))} on the other; say which belong together as 'a = b'"
    )


def _key(alias: str, table: Table, place: int, other: Table, other_place: int) -> str:
    """Keys of one type as they are, text without regard to case; of two types by what is written."""
    mine, theirs = table.columns[place].type, other.columns[other_place].type
    cell = f"{alias}.c{place}"
    numbers = ("integer", "number")
    if mine != "text" and (mine == theirs or (mine in numbers and theirs in numbers)):
        return cell
    return f"lower(trim(CAST({cell} AS VARCHAR)))"


TOOLS = (filter_rows, sort, select, duplicates, join)
