"""JSON documents as tables: lists of objects, of texts, of rows; objects of columns or of values."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pointsman.experts.formats import encoding_of
from pointsman.router.errors import BadFile
from pointsman.router.values import Table, is_kind

JSON_LIMIT: Final = 256 * 1024 * 1024
DEPTH: Final = 3
"""Objects inside objects become columns "outer.inner" down to this depth."""

Rows = tuple[Sequence[str], list[list[Any]]]


def json_table(path: Path, name: str) -> Rows:
    """Column names and rows of a JSON document. Raises BadFile when it is no JSON or has no table."""
    try:
        value = json.loads(_text(path, name))
    except json.JSONDecodeError as error:
        raise BadFile(
            name, f"it is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadFile(name, "it is not valid JSON, or nested too deeply") from error
    return rows_of(value, name)


def json_lines(path: Path, name: str) -> Rows:
    """Column names and rows of JSON values, one a line. Raises BadFile naming the first bad line."""
    values: list[Any] = []
    for number, line in enumerate(_text(path, name).split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise BadFile(name, f"line {number} is not valid JSON") from error
    return rows_of(values, name)


def _text(path: Path, name: str) -> str:
    size = path.stat().st_size
    if size > JSON_LIMIT:
        raise BadFile(
            name,
            f"as JSON it may have {JSON_LIMIT // 1024**2} MiB and has {size // 1024**2}; save it as "
            "CSV or Parquet",
        )
    content = path.read_bytes()
    encoding = encoding_of(content[: 128 * 1024], name)
    return content.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")


def rows_of(value: Any, name: str) -> Rows:
    """The table in a JSON value. Raises BadFile when there is none."""
    if is_kind(value, "table"):
        table = Table.from_json(value)
        return [c.name for c in table.columns], [list(r) for r in table.rows]
    if isinstance(value, list):
        return _of_list(value, name)
    if isinstance(value, dict):
        return _of_object(value, name)
    raise BadFile(name, "it holds a single value, no table")


def _of_list(values: list[Any], name: str) -> Rows:
    if not values:
        raise BadFile(name, "it holds an empty list")
    if all(isinstance(v, dict) for v in values):
        return _of_objects(values, name)
    if all(isinstance(v, list) for v in values):
        return _of_lists(values, name)
    label = "text" if all(isinstance(v, str) for v in values) else "value"
    return [label], [[_cell(v)] for v in values]


def _of_objects(values: Sequence[Mapping[str, Any]], name: str) -> Rows:
    flat = [_flattened(v) for v in values]
    names = list(dict.fromkeys(key for row in flat for key in row))
    if not names:
        raise BadFile(name, "its objects are empty")
    return names, [[_cell(row.get(n)) for n in names] for row in flat]


def _of_lists(values: Sequence[list[Any]], name: str) -> Rows:
    width = max(len(v) for v in values)
    if not width:
        raise BadFile(name, "its lists are empty")
    first, rest = values[0], values[1:]
    named = bool(rest) and len(first) == width and all(isinstance(c, str) and c for c in first)
    named = named and (
        any(not isinstance(c, str) for r in rest for c in r) or all(len(c) <= 40 for c in first)
    )
    names = [str(c) for c in first] if named else [""] * width
    rows = [[_cell(c) for c in r] for r in (rest if named else values)]
    return names, [[*r, *[""] * (width - len(r))] for r in rows]


def _of_object(value: Mapping[str, Any], name: str) -> Rows:
    """An object around a list, of columns, of named rows, or of named values."""
    if not value:
        raise BadFile(name, "it holds an empty object")
    inner = list(value.values())
    lists = [v for v in inner if isinstance(v, list)]
    if len(lists) == len(inner) > 1 and len({len(v) for v in lists}) == 1 and lists[0]:
        return list(value), [[_cell(c) for c in row] for row in zip(*lists, strict=True)]
    tables = [v for v in lists if v and all(isinstance(x, dict) for x in v)] or [
        v for v in lists if v and len(inner) == 1
    ]
    if tables:
        return _of_list(max(tables, key=len), name)
    if len(inner) > 1 and all(isinstance(v, dict) for v in inner):
        names, rows = _of_objects(inner, name)
        return ["key", *names], [[k, *r] for k, r in zip(value, rows, strict=True)]
    if len(inner) > 2 and len({type(v) for v in inner} - {float}) == 1 and _is_scalar(inner[0]):
        return ["key", "value"], [[k, _cell(v)] for k, v in value.items()]
    return _of_objects([value], name)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _flattened(value: Mapping[str, Any], prefix: str = "", depth: int = DEPTH) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and depth > 1:
            flat.update(_flattened(inner, f"{prefix}{key}.", depth - 1))
        else:
            flat[prefix + key] = inner
    return flat


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return None if isinstance(value, float) and not math.isfinite(value) else value
