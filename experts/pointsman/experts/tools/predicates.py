"""Conditions on the rows of a table, as SQL over the columns c0, c1, ... with values bound."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from pointsman.experts.tables import column_of
from pointsman.router.errors import BadArguments
from pointsman.router.values import Column, Json, Quantity, Table, is_kind

Op = Literal[
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "in",
    "not_in",
    "between",
    "in_month",
    "is_null",
    "not_null",
]
SIGNS: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
NEGATED: Final = {"ne": "eq", "not_in": "in", "not_contains": "contains"}


class Predicate(BaseModel):
    """column op value; `value` is a list for in and between, 1 to 12 for in_month, which holds for that month
    of any year, and left out for is_null and not_null.
    """

    model_config = ConfigDict(extra="forbid")

    column: str
    op: Op
    value: Any = None


Predicates = Annotated[
    list[Predicate],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["column", "op"],
                "additionalProperties": False,
                "properties": {
                    "column": {"type": "string", "x-role": "column"},
                    "op": {"enum": list(get_args(Op))},
                    "value": {},
                },
            },
        }
    ),
]

Condition = tuple[str, list[Any]]
"""SQL and the values bound in it."""


def where_clause(table: Table, where: Sequence[Predicate], match: str = "all") -> Condition:
    """SQL after WHERE. Raises BadArguments for unknown columns and values that do not fit them."""
    parts: list[str] = []
    values: list[Any] = []
    for predicate in where:
        sql, bound = _condition(table, predicate)
        parts.append(f"({sql})")
        values += bound
    return (" AND " if match == "all" else " OR ").join(parts) or "true", values


def _condition(table: Table, predicate: Predicate) -> Condition:
    place = column_of(table, predicate.column)
    column = table.columns[place]
    cell = f"c{place}"
    if predicate.op == "is_null" or (predicate.op == "eq" and predicate.value is None):
        return _missing(cell, column), []
    if predicate.op == "not_null" or (predicate.op == "ne" and predicate.value is None):
        return f"NOT ({_missing(cell, column)})", []
    if predicate.op in NEGATED:
        sql, values = _compared(cell, column, NEGATED[predicate.op], predicate.value)
        return f"NOT coalesce({sql}, false)", values
    return _compared(cell, column, predicate.op, predicate.value)


def _missing(cell: str, column: Column) -> str:
    return f"{cell} IS NULL OR trim({cell}) = ''" if column.type == "text" else f"{cell} IS NULL"


def _compared(cell: str, column: Column, op: str, value: Json) -> Condition:
    if op in ("contains", "starts_with", "ends_with"):
        return _any(lambda v: _text_part(cell, op, v), _items(value))
    if op == "in":
        return _any(lambda v: _single(cell, column, "eq", v), _items(value))
    if op == "between":
        bounds = _items(value)
        if len(bounds) != 2:
            raise BadArguments(f"between on {column.name!r} needs two values, not {value!r}")
        low, first = _single(cell, column, "ge", bounds[0])
        high, second = _single(cell, column, "le", bounds[1])
        return f"({low}) AND ({high})", [*first, *second]
    if op == "in_month":
        return _any(lambda v: _in_month(cell, column, v), _items(value))
    if isinstance(value, list) and op == "eq":
        return _compared(cell, column, "in", value)
    return _single(cell, column, op, value)


def _any(make: Any, values: Sequence[Json]) -> Condition:
    conditions: list[Condition] = [make(v) for v in values]
    sql = " OR ".join(f"({s})" for s, _ in conditions) or "false"
    return sql, [v for _, bound in conditions for v in bound]


def _items(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else [value]


def _text_part(cell: str, op: str, value: Json) -> Condition:
    return f"{op}(lower(CAST({cell} AS VARCHAR)), lower(?))", [_plain_text(value)]


def _plain_text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("value", value)) if isinstance(value, dict) else str(value)


def _single(cell: str, column: Column, op: str, value: Json) -> Condition:
    """One comparison; dates and text of a table are compared as what they are."""
    match column.type:
        case "integer" | "number":
            sql = f"{cell} = ?" if op == "eq" else f"{cell} {SIGNS[op]} ?"
            return sql, [number_of(value, column)]
        case "date" | "datetime":
            return _in_time(cell, op, span_of(value, column))
        case "boolean":
            sql = f"{cell} = ?" if op == "eq" else f"{cell} {SIGNS[op]} ?"
            return sql, [_boolean(value, column)]
        case _:
            return _in_words(cell, op, value)


def _in_words(cell: str, op: str, value: Json) -> Condition:
    if isinstance(value, int | float) and not isinstance(value, bool) and op != "eq":
        return f"TRY_CAST({cell} AS DOUBLE) {SIGNS[op]} ?", [value]
    sign = "=" if op == "eq" else SIGNS[op]
    text = f"lower(trim(CAST({cell} AS VARCHAR)))"
    return f"{text} {sign} lower(trim(?))", [_plain_text(value)]


def number_of(value: Json, column: Column) -> float | int:
    """A number out of a value: 1200, "1,200", "$1,200.50", "15%", or a quantity's JSON."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if is_kind(value, "quantity"):
        return float(Quantity.from_json(value).value)
    if isinstance(value, str):
        digits = re.sub(r"[\s$€£¥₹%_]|(?<=\d),(?=\d{3}(\D|$))", "", value)
        if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", digits):
            return float(digits)
    raise BadArguments(
        f"column {column.name!r} holds numbers, and {value!r} is none; compare it with a number"
    )


def _boolean(value: Json, column: Column) -> bool:
    words = {"true": True, "yes": True, "y": True, "1": True}
    words |= {"false": False, "no": False, "n": False, "0": False}
    found = words.get(_plain_text(value).strip().casefold())
    if found is None:
        raise BadArguments(
            f"column {column.name!r} holds yes or no, and {value!r} is neither; use true or false"
        )
    return found


def _in_time(cell: str, op: str, span: tuple[datetime, datetime]) -> Condition:
    start, end = span
    match op:
        case "eq":
            return f"{cell} >= ? AND {cell} < ?", [start, end]
        case "lt":
            return f"{cell} < ?", [start]
        case "le":
            return f"{cell} < ?", [end]
        case "gt":
            return f"{cell} >= ?", [end]
        case _:
            return f"{cell} >= ?", [start]


def _in_month(cell: str, column: Column, value: Json) -> Condition:
    if column.type not in ("date", "datetime"):
        raise BadArguments(f"column {column.name!r} holds no dates, so none of them is in a month")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 12:
        raise BadArguments(f"in_month on {column.name!r} needs a month from 1 to 12, not {value!r}")
    return f"month({cell}) = ?", [value]


def span_of(value: Json, column: Column) -> tuple[datetime, datetime]:
    """The time that a value names, from its start to before its end.

    "2024" is the year, "2024-03" the month, "2024-Q1" the quarter, "2024-03-05" the day; a moment with
    a time is a second. Raises BadArguments for anything else.
    """
    text = str(value).strip()
    try:
        if match := re.fullmatch(r"(\d{4})", text):
            year = int(text)
            return datetime(year, 1, 1), datetime(year + 1, 1, 1)
        if match := re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text):
            return _months(int(match[1]), int(match[2]) * 3 - 2, 3)
        if match := re.fullmatch(r"(\d{4})-(\d\d?)", text):
            return _months(int(match[1]), int(match[2]), 1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise BadArguments(
            f"column {column.name!r} holds dates, and {value!r} is none; write it as 2024-03-05"
        ) from error
    if moment.tzinfo is not None:
        moment = (moment - (moment.utcoffset() or timedelta())).replace(tzinfo=None)
    whole_day = len(text) <= 10
    try:
        return moment, moment + (timedelta(days=1) if whole_day else timedelta(seconds=1))
    except OverflowError:
        return moment, datetime.max


def _months(year: int, month: int, count: int) -> tuple[datetime, datetime]:
    after = month - 1 + count
    return datetime(year, month, 1), datetime(year + after // 12, after % 12 + 1, 1)
