"""One SELECT over tables, in a database that can neither write nor reach anything else."""

import re
from pathlib import PurePosixPath
from typing import Final

from pointsman.experts.base import Call, Done
from pointsman.experts.database import Database, literal, quoted, unique
from pointsman.experts.tools.functions import capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Table

SECONDS: Final = 20.0
OUTSIDE: Final = re.compile(
    r"\b(read_\w+|parquet_\w+|\w*scan\w*|glob|sniff_csv|duckdb_\w+|pragma_\w+|getenv|getvariable|"
    r"current_setting|query|query_table|which_secret|json_execute\w*)\s*\(",
    re.IGNORECASE,
)
"""Functions that reach files, settings or the database itself, or run text as SQL."""


@capability(
    "table.sql",
    title="run SQL",
    examples=[
        "run SELECT city, sum(amount) FROM sales GROUP BY city",
        "query the file with SQL",
        "select * from orders where total > 100 order by date",
        "SELECT count(*) FROM t",
        "use this SQL statement on the table",
        "WITH recent AS (SELECT * FROM t WHERE year > 2020) SELECT avg(price) FROM recent",
        "execute a join in SQL over both CSV files",
        "a window function over the rows, in SQL",
    ],
    composition=["on tables of table.read, when the request itself is SQL"],
    prior=Prior(quality=0.95, latency=0.2),
    output=dict(TABLE),
)
def sql(tables: list[Table] | Table, query: str, call: Call) -> Done:
    """Runs one SELECT statement (DuckDB's dialect) over tables and gives its rows as a table.

    Args:
        tables: a table or several; each is known by its name without suffix, the first also as t.
        query: the statement. It may not change anything, nor read files.
    """
    given = [tables] if isinstance(tables, Table) else list(tables)
    if not given:
        raise BadArguments("there is no table to query; give at least one")
    statement = checked(query)
    with Database(call.files, seconds=SECONDS) as database:
        keys = {f"source{i}": table for i, table in enumerate(given)}
        database.load(**keys)
        names = table_names(given)
        for key, name, table in zip(keys, names, given, strict=True):
            _named(database, key, name, table)
        if "t" not in names:
            database.run(f"CREATE VIEW t AS FROM {quoted(names[0])}")
        made = _run(database, statement, names, given[0].name)
    return Done(made.to_json(), f"{made.row_count:,} rows; tables: {', '.join(names)}")


def checked(query: str) -> str:
    """The statement alone. Raises BadArguments unless it is a single SELECT without outside functions."""
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise BadArguments(f"the SQL cannot be read: {_first_lines(error)}") from error
    if len(statements) != 1:
        raise BadArguments(f"the SQL has {len(statements)} statements; give one SELECT")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise BadArguments(f"only SELECT is allowed, not {statements[0].type.name}")
    called = OUTSIDE.search(_without_texts(query).replace('"', ""))
    if called:
        raise BadArguments(f"{called.group(1)}() is not allowed; query the tables that were given")
    return query.strip().rstrip(";")


def _without_texts(query: str) -> str:
    """The statement without quoted texts and comments, which may say what they like."""
    return re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", " ", query, flags=re.DOTALL)


def table_names(tables: list[Table]) -> list[str]:
    """Names in SQL: those of the files without folder and suffix, letters and digits only."""
    stems = (PurePosixPath(t.name or "t").stem for t in tables)
    cleaned = [re.sub(r"\W+", "_", stem).strip("_") or "t" for stem in stems]
    return [n.replace(" ", "_") for n in unique(cleaned)]


def _named(database: Database, key: str, name: str, table: Table) -> None:
    names = unique([c.name for c in table.columns])
    cells = ", ".join(f"c{i} AS {quoted(n)}" for i, n in enumerate(names))
    database.run(f"CREATE VIEW {quoted(name)} AS SELECT {cells} FROM {quoted(key)}")


def _run(database: Database, statement: str, names: list[str], name: str | None) -> Table:
    import duckdb

    try:
        return database.result(statement, name=name)
    except duckdb.Error as error:
        known = ", ".join(map(literal, dict.fromkeys([*names, "t"])))
        raise BadArguments(
            f"the SQL failed: {_first_lines(error)}; the tables are: {known}"
        ) from error


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]


TOOLS = (sql,)
