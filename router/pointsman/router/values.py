"""The values that tasks hand to each other through slots.

Everything in a slot is JSON. Plain text, numbers, lists and objects are themselves; the richer kinds
are objects with a `kind` field:

    table     columns and rows; `rows` holds all of them, or the head when `file` names a Parquet file
              with all. Lists of texts, search hits, documents of a folder, groups, entities: all tables.
    quantity  an exact decimal with a unit (or none): results of arithmetic, conversions, differences.
    picture   a chart, as a stored file with a text alternative.
    file      a stored file that a person gave or can download.
    answer    an extractive answer with the passage it stands in; `text` is null when there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NewType, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]
Schema: TypeAlias = Mapping[str, Any]

FileId = NewType("FileId", str)
ColumnType = Literal["text", "integer", "number", "boolean", "date", "datetime", "json"]
COLUMN_TYPES: tuple[ColumnType, ...] = (
    "text",
    "integer",
    "number",
    "boolean",
    "date",
    "datetime",
    "json",
)

INLINE_ROWS = 2_000
"""A table with more rows than this is kept in a Parquet file; the slot holds its head."""


def _parsed_by(cls: Any) -> core_schema.CoreSchema:
    """Lets pydantic take a value class wherever its JSON form comes in."""

    def parse(value: Any) -> Any:
        return value if isinstance(value, cls) else cls.from_json(value)

    return core_schema.no_info_plain_validator_function(
        parse,
        serialization=core_schema.plain_serializer_function_ser_schema(lambda v: v.to_json()),
    )


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `rows` are all rows, or the first ones when `file` holds the rest.

    Cells are JSON scalars; dates are ISO 8601 strings.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Json, ...], ...]
    row_count: int
    name: str | None = None
    file: FileId | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[tuple[str, ColumnType]],
        rows: Sequence[Sequence[Json]],
        *,
        name: str | None = None,
    ) -> "Table":
        """A table that is whole in memory."""
        return cls(
            tuple(Column(n, t) for n, t in columns), tuple(tuple(r) for r in rows), len(rows), name
        )

    def to_json(self) -> JsonObject:
        return {
            "kind": "table",
            "name": self.name,
            "columns": [{"name": c.name, "type": c.type} for c in self.columns],
            "rows": [list(r) for r in self.rows],
            "row_count": self.row_count,
            "file": self.file,
        }

    @classmethod
    def from_json(cls, value: Any) -> "Table":
        """Raises ValueError when `value` is not a table's JSON form."""
        if not is_kind(value, "table"):
            raise ValueError(f"not a table: {kind_of(value)}")
        try:
            columns = tuple(Column(str(c["name"]), c["type"]) for c in value["columns"])
            rows = tuple(tuple(r) for r in value["rows"])
            count = int(value.get("row_count", len(rows)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a table: {error}") from error
        for column in columns:
            if column.type not in COLUMN_TYPES:
                raise ValueError(f"column {column.name!r} has the unknown type {column.type!r}")
        if any(len(r) != len(columns) for r in rows):
            raise ValueError("a row is longer or shorter than the list of columns")
        return cls(columns, rows, count, value.get("name"), value.get("file"))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _next: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return _parsed_by(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: core_schema.CoreSchema, _next: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(TABLE)

    def column_index(self, name: str) -> int:
        """Position of a column, by exact name, else by name without regard to case. ValueError if none."""
        names = [c.name for c in self.columns]
        if name in names:
            return names.index(name)
        folded = [n.casefold() for n in names]
        if name.casefold() in folded:
            return folded.index(name.casefold())
        raise ValueError(f"there is no column {name!r}; columns: {', '.join(names) or 'none'}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact decimal; `unit` is a readable unit ("square metre", "day") or None for a bare number."""

    value: Decimal
    unit: str | None = None

    def to_json(self) -> JsonObject:
        return {"kind": "quantity", "value": format(self.value, "f"), "unit": self.unit}

    @classmethod
    def from_json(cls, value: Any) -> "Quantity":
        """From a quantity's JSON form or a bare number. Raises ValueError otherwise."""
        if isinstance(value, bool):
            raise ValueError("not a number: a boolean")
        if isinstance(value, int | float):
            return cls(Decimal(str(value)))
        if is_kind(value, "quantity"):
            try:
                return cls(Decimal(value["value"]), value.get("unit"))
            except (InvalidOperation, KeyError, TypeError) as error:
                raise ValueError(f"not a quantity: {value!r}") from error
        raise ValueError(f"not a number: {kind_of(value)}")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _next: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return _parsed_by(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: core_schema.CoreSchema, _next: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(QUANTITY)


@dataclass(frozen=True, slots=True)
class FileRef:
    """A stored file as a value: what `file` parameters take."""

    id: FileId
    name: str
    media_type: str
    size: int

    def to_json(self) -> JsonObject:
        return {
            "kind": "file",
            "id": self.id,
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
        }

    @classmethod
    def from_json(cls, value: Any) -> "FileRef":
        if not is_kind(value, "file"):
            raise ValueError(f"not a file: {kind_of(value)}")
        try:
            return cls(
                FileId(str(value["id"])),
                str(value["name"]),
                str(value.get("media_type", "application/octet-stream")),
                int(value.get("size", 0)),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a file: {error}") from error

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _next: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return _parsed_by(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: core_schema.CoreSchema, _next: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(FILE)


@dataclass(frozen=True, slots=True)
class FileProfile:
    """What planning knows of a file without opening it: made once, when the file comes in.

    `columns` and `row_count` are set for tables; `samples[column]` holds up to 50 distinct values
    (all of them when the column has no more than 50: then it is in `complete`). `opening` is the first
    1,000 characters of a text; one that is a list, an item a line, has `samples["text"]` too. `error` is set when the content could not be read; planning then says so.
    """

    ref: FileRef
    shape: Literal["table", "text", "picture", "other"]
    columns: tuple[Column, ...] = ()
    row_count: int | None = None
    samples: Mapping[str, tuple[Json, ...]] | None = None
    complete: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    opening: str | None = None
    error: str | None = None

    @property
    def listed(self) -> bool:
        """Whether it is a text whose lines are items of a list."""
        return self.shape == "text" and self.samples is not None

    def to_json(self) -> JsonObject:
        return {
            "ref": self.ref.to_json(),
            "shape": self.shape,
            "columns": [{"name": c.name, "type": c.type} for c in self.columns],
            "row_count": self.row_count,
            "samples": None
            if self.samples is None
            else {name: list(values) for name, values in self.samples.items()},
            "complete": list(self.complete),
            "sheets": list(self.sheets),
            "opening": self.opening,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, value: Any) -> "FileProfile":
        """Raises ValueError when `value` is not a profile's JSON form."""
        try:
            samples = value["samples"]
            return cls(
                FileRef.from_json(value["ref"]),
                value["shape"],
                tuple(Column(str(c["name"]), c["type"]) for c in value["columns"]),
                value["row_count"],
                None if samples is None else {str(n): tuple(v) for n, v in samples.items()},
                tuple(value["complete"]),
                tuple(value["sheets"]),
                value["opening"],
                value["error"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a file's profile: {error}") from error


KINDS = (
    "table",
    "quantity",
    "picture",
    "file",
    "answer",
    "text",
    "number",
    "boolean",
    "list",
    "object",
    "null",
)


def is_kind(value: Any, kind: str) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == kind


def kind_of(value: Any) -> str:
    """The kind of a slot's value: one of KINDS."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case Mapping():
            kind = value.get("kind")
            return kind if isinstance(kind, str) and kind in KINDS else "object"
        case list() | tuple():
            return "list"
        case _:
            return "object"


# JSON Schemas of the kinds, to be used in a capability's parameters and output. `x-kind` is what the
# planner links by; a list means that any of them is taken.
TABLE: Schema = {
    "type": "object",
    "x-kind": "table",
    "required": ["kind", "columns", "rows"],
    "properties": {"kind": {"const": "table"}},
}
FILE: Schema = {
    "type": "object",
    "x-kind": "file",
    "required": ["kind", "id", "name"],
    "properties": {"kind": {"const": "file"}},
}
PICTURE: Schema = {
    "type": "object",
    "x-kind": "picture",
    "required": ["kind", "file"],
    "properties": {"kind": {"const": "picture"}},
}
ANSWER: Schema = {
    "type": "object",
    "x-kind": "answer",
    "required": ["kind", "text"],
    "properties": {"kind": {"const": "answer"}},
}
QUANTITY: Schema = {
    "x-kind": "quantity",
    "anyOf": [
        {"type": "number"},
        {
            "type": "object",
            "required": ["kind", "value"],
            "properties": {"kind": {"const": "quantity"}},
        },
    ],
}
TEXT: Schema = {"type": "string", "x-kind": "text"}
TEXTS: Schema = {
    "x-kind": ["table", "text", "list"],
    "description": "a table (with the texts in one column), a list of texts, or one text",
    "anyOf": [TABLE, {"type": "array", "items": {"type": "string"}}, {"type": "string"}],
}


def kinds_of(schema: Schema) -> frozenset[str]:
    """The kinds of value that a schema takes or gives, for linking tasks by type."""
    kind = schema.get("x-kind")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list | tuple):
        return frozenset(str(k) for k in kind)
    names = {
        "string": "text",
        "integer": "number",
        "number": "number",
        "boolean": "boolean",
        "array": "list",
        "object": "object",
        "null": "null",
    }
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives and "type" not in schema:
        inner = (kinds_of(s) for s in alternatives)
        return frozenset[str]().union(*inner) - {"null"}
    declared = schema.get("type")
    types = [declared] if isinstance(declared, str) else list(declared or ())
    return frozenset(names[t] for t in types if t in names) or frozenset({"any"})
