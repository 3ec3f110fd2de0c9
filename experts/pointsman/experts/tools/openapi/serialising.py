"""How the styles of OpenAPI write a value (OpenAPI 3.1.1, section 4.8.12, and RFC 6570 where it refers to it)."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pointsman.router.errors import BadArguments

RESERVED = ":/?#[]@!$&'()*+,;="
OPEN = ":/?@!$'()*,;"
"""Reserved characters that can stand in a query as they are, where the description allows it."""
BETWEEN = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C", "tabDelimited": "%09"}


def plain(value: Any) -> str:
    """A scalar as text: JSON's words for booleans, nothing for null, numbers without an empty fraction."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def escaped(value: Any, safe: str = "") -> str:
    return quote(plain(value), safe=safe)


def pairs(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in value.items() if v is not None]


def in_path(name: str, value: Any, style: str, explode: bool) -> str:
    """One part of a path; it cannot end the part or step out of it. Raises BadArguments."""
    lead, between = {"simple": ("", ","), "label": (".", ".")}.get(style, (f";{name}=", ","))
    if style == "matrix":
        return _matrix(name, value, explode)
    if style == "label" and not explode:
        between = ","
    text = lead + between.join(_flat(value, explode))
    if text.strip(".") == "" and style == "simple":
        what = "nothing" if not text else repr(text)
        raise BadArguments(f"{name}: {what} cannot stand in an address; give another value")
    return text


def _matrix(name: str, value: Any, explode: bool) -> str:
    if isinstance(value, Mapping) and explode:
        return "".join(f";{escaped(k)}={escaped(v)}" for k, v in pairs(value))
    if isinstance(value, list) and explode:
        return "".join(f";{escaped(name)}={escaped(v)}" for v in value)
    return f";{escaped(name)}={','.join(_flat(value, explode))}"


def _flat(value: Any, explode: bool) -> list[str]:
    if isinstance(value, Mapping):
        if explode:
            return [f"{escaped(k)}={escaped(v)}" for k, v in pairs(value)]
        return [escaped(part) for pair in pairs(value) for part in pair]
    return [escaped(v) for v in value] if isinstance(value, list) else [escaped(value)]


def in_query(
    name: str, value: Any, style: str, explode: bool, *, reserved: bool = False
) -> list[str]:
    """Parts of a query, "name=value" each, written and escaped."""
    safe = OPEN if reserved else ""
    key = quote(name, safe="[]")
    if style == "deepObject" and isinstance(value, Mapping | list):
        return _deep(key, value, safe)
    if isinstance(value, Mapping):
        if explode and style == "form":
            return [f"{escaped(k)}={escaped(v, safe)}" for k, v in pairs(value)]
        flat = [escaped(part, safe) for pair in pairs(value) for part in pair]
        return [f"{key}={BETWEEN.get(style, ',').join(flat)}"]
    if isinstance(value, list):
        if explode and style != "deepObject":
            return [f"{key}={escaped(v, safe)}" for v in value]
        return [f"{key}={BETWEEN.get(style, ',').join(escaped(v, safe) for v in value)}"]
    return [f"{key}={escaped(value, safe)}"]


def _deep(key: str, value: Any, safe: str) -> list[str]:
    """filter[price][lt]=5, as most servers read nested objects; the specification leaves nesting open."""
    if isinstance(value, Mapping):
        return [p for k, v in pairs(value) for p in _deep(f"{key}[{escaped(k)}]", v, safe)]
    if isinstance(value, list):
        return [p for v in value for p in _deep(key, v, safe)]
    return [f"{key}={escaped(value, safe)}"]


def in_header(name: str, value: Any, explode: bool) -> str:
    """Raises BadArguments for what cannot stand in a header: a line break would begin another one."""
    if isinstance(value, Mapping):
        parts = [f"{k}={plain(v)}" if explode else f"{k},{plain(v)}" for k, v in pairs(value)]
    else:
        parts = [plain(v) for v in value] if isinstance(value, list) else [plain(value)]
    text = ",".join(parts)
    if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in text):
        raise BadArguments(f"{name}: a line break or a control character cannot stand in a header")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadArguments(f"{name}: a header holds Latin-1 text only") from None
    return text.strip()


def in_cookie(name: str, value: Any, explode: bool) -> list[str]:
    key = quote(name, safe="!#$%&'*+-.^_`|~")
    if isinstance(value, Mapping) and explode:
        return [f"{quote(k, safe='')}={escaped(v)}" for k, v in pairs(value)]
    if isinstance(value, list) and explode:
        return [f"{key}={escaped(v)}" for v in value]
    return [f"{key}={'%2C'.join(_flat(value, False))}"]
