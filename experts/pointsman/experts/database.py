"""Tables in a locked-down, in-memory DuckDB that lives for one call.

Columns are c0, c1, ... inside the database, whatever a file calls them: no text of a user is ever part
of a statement, so no name or value can inject SQL. Real names come back with `result`.

Only files handed in by `add` and `allow` can be read, the configuration is locked, memory and threads
are limited, and what does not fit in memory spills to a folder that goes with the database.
"""

import json
import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pointsman.experts.base import Files
from pointsman.router.errors import BadArguments, BadFile, ExpertFailed
from pointsman.router.values import INLINE_ROWS, Column, ColumnType, Json, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")

PARQUET: Final = "application/vnd.apache.parquet"
HEAD: Final = 100
MEMORY: Final = "1GB"
SQL_TYPES: Final[dict[ColumnType, str]] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "json": "JSON",
}
INTEGERS: Final = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
)


class Database:
    """Use as a context manager. `seconds` bounds each statement.

    Raises BadArguments when a statement takes longer than that or needs more memory than there is.
    """

    def __init__(self, files: Files, *, seconds: float = 60.0) -> None:
        self.files = files
        self.seconds = seconds
        self.folder = Path(tempfile.mkdtemp(prefix="pointsman-"))
        self._allowed: list[str] = []
        self._opened: DuckDBPyConnection | None = None

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            self._opened.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def allow(self, path: Path) -> str:
        """Makes a file readable, before the first statement; gives the path to name it by in SQL.

        A path with characters that DuckDB reads as a pattern is reached by a link of a plain name.
        """
        if self._opened is not None:
            raise RuntimeError("the database is locked; allow files before the first statement")
        real = str(path.resolve())
        self._allowed.append(real)
        if not any(c in real for c in "*?[]{}"):
            return real
        link = self.folder / f"link{len(self._allowed)}{path.suffix}"
        link.symlink_to(real)
        self._allowed.append(str(link))
        return str(link)

    @property
    def connection(self) -> "DuckDBPyConnection":
        if self._opened is None:
            self._opened = _locked(self.folder, self._allowed)
        return self._opened

    def load(self, **tables: Table) -> None:
        """Makes tables available under their keyword. Those in Parquet are read where they lie."""
        stored = {
            name: self.allow(self.files.path(table.file))
            for name, table in tables.items()
            if table.file is not None
        }
        for name, table in tables.items():
            if name in stored:
                self._view(name, table, stored[name])
            else:
                self._fill(name, table)

    def _view(self, name: str, table: Table, path: str) -> None:
        names = ", ".join(f"c{i}" for i in range(len(table.columns)))
        cells = ", ".join(
            f"TRY_CAST(c{i} AS {SQL_TYPES[c.type]}) AS c{i}" for i, c in enumerate(table.columns)
        )
        self.run(
            f"CREATE VIEW {quoted(name)} AS SELECT {cells} "
            f"FROM read_parquet({literal(path)}) AS f({names})"
        )

    def _fill(self, name: str, table: Table) -> None:
        cells = ", ".join(_cell(i, c.type) for i, c in enumerate(table.columns)) or "1 AS c0"
        self.run(
            f"CREATE TABLE {quoted(name)} AS SELECT {cells} "
            """FROM (SELECT unnest(from_json(?, '["JSON"]')) AS r)""",
            [rows_json(table.rows)],
        )

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of one statement, values bound."""
        return guarded(
            self.connection,
            self.seconds,
            lambda: self.connection.execute(sql, list(values)).fetchall(),
        )

    def described(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[str, str]]:
        """(name, DuckDB type) of each column that a SELECT gives."""
        return [(str(r[0]), str(r[1])) for r in self.run(f"DESCRIBE {sql}", values)]

    def result(
        self,
        sql: str,
        values: Sequence[Any] = (),
        *,
        names: Sequence[str] | None = None,
        types: Sequence[ColumnType | None] | None = None,
        name: str | None = None,
    ) -> Table:
        """What a SELECT gives, as a table: in memory, or in a Parquet file when it is long.

        names: of the columns, instead of those in SQL. types: of the columns, where known.
        """
        self.run(f"CREATE OR REPLACE TEMP TABLE result AS {sql}", values)
        described = self.described("SELECT * FROM result")
        known = list(types) if types is not None else [None] * len(described)
        columns = tuple(
            Column(n, t or type_of(s))
            for n, t, (_, s) in zip(
                unique(names or [n for n, _ in described]), known, described, strict=True
            )
        )
        cells = ", ".join(
            f"{_plain(quoted(n), s, c.type)} AS {quoted(c.name)}"
            for (n, s), c in zip(described, columns, strict=True)
        )
        return self._table(f"SELECT {cells} FROM result", columns, name)

    def _table(self, select: str, columns: tuple[Column, ...], name: str | None) -> Table:
        count = int(self.run("SELECT count(*) FROM result")[0][0])
        kept = count if count <= INLINE_ROWS else HEAD
        rows = tuple(
            tuple(json_cell(v, c.type) for v, c in zip(row, columns, strict=True))
            for row in self.run(f"{select} LIMIT {kept}")
        )
        if count <= INLINE_ROWS:
            return Table(columns, rows, count, name)
        path = self.folder / "result.parquet"
        self.run(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        ref = self.files.adopt(f"{name or 'table'}.parquet", PARQUET, path)
        return Table(columns, rows, count, name, ref.id)


def _locked(folder: Path, allowed: Sequence[str]) -> "DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 2,
            "memory_limit": MEMORY,
            "temp_directory": str(folder),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    paths = ", ".join(literal(p) for p in allowed)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET allowed_directories = [{literal(str(folder))}]")
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def guarded(connection: "DuckDBPyConnection", seconds: float, work: Callable[[], T]) -> T:
    """Runs a statement that is interrupted when its time is up."""
    import duckdb

    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        return work()
    except duckdb.InterruptException as error:
        raise BadArguments(
            f"the query took longer than {seconds:g} s and was stopped; ask for less of the table"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise BadArguments(
            f"the query needs more than {MEMORY} of memory; ask for fewer rows or columns"
        ) from error
    finally:
        timer.cancel()


@contextmanager
def guarded_errors(name: str) -> Iterator[None]:
    """What DuckDB cannot read of a file becomes BadFile."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise BadFile(name, f"its content is damaged ({first})") from error


def rows_json(rows: Sequence[Sequence[Json]]) -> str:
    """Rows as JSON that DuckDB reads: NaN, infinity and halves of surrogate pairs are not JSON."""
    try:
        text = json.dumps(rows, allow_nan=False, ensure_ascii=False, default=str)
    except ValueError:
        finite = [
            [None if isinstance(v, float) and not math.isfinite(v) else v for v in r] for r in rows
        ]
        text = json.dumps(finite, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def unique(names: Sequence[str]) -> list[str]:
    """Names with a number added where one is taken already, case ignored; empty ones named."""
    taken: set[str] = set()
    made: list[str] = []
    for place, given in enumerate(names, 1):
        base = given or f"column {place}"
        name, number = base, 2
        while name.casefold() in taken:
            name, number = f"{base} {number}", number + 1
        taken.add(name.casefold())
        made.append(name)
    return made


def type_of(sql_type: str) -> ColumnType:
    """The column type of a DuckDB type."""
    if sql_type in INTEGERS:
        return "integer"
    if sql_type in ("UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE") or sql_type.startswith(
        "DECIMAL"
    ):
        return "number"
    if sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT")):
        return "json"
    if sql_type.startswith("TIMESTAMP"):
        return "datetime"
    return {"BOOLEAN": "boolean", "DATE": "date"}.get(sql_type, "text")  # type: ignore[return-value]


def _plain(column: str, sql_type: str, type: ColumnType) -> str:
    """SQL of a column in the one DuckDB type that stands for its column type."""
    if type == "json" and sql_type != "JSON":
        return f"to_json({column})"
    if sql_type == "BLOB":
        return f"'(' || octet_length({column}) || ' bytes)'"
    if sql_type == SQL_TYPES[type]:
        return column
    return f"CAST({column} AS {SQL_TYPES[type]})"


def _cell(place: int, type: ColumnType) -> str:
    if type == "json":
        return f"nullif(r->{place}, 'null'::JSON) AS c{place}"
    return f"TRY_CAST(r->>{place} AS {SQL_TYPES[type]}) AS c{place}"


def json_cell(value: Any, type: ColumnType) -> Json:
    """A cell as JSON: ISO dates, no NaN and no infinity, nested values parsed."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return _nested(value) if type == "json" else value
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case _:
            return str(value)


def _nested(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError as error:
        raise ExpertFailed(f"a cell holds {text[:40]!r}, which is not JSON") from error
    return value
