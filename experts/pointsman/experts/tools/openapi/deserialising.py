"""The styles of OpenAPI read back: what a server makes of the parameters that it is sent."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, unquote_plus

from pointsman.experts.tools.openapi.operations import Parameter
from pointsman.experts.tools.openapi.samples import merged
from pointsman.experts.tools.openapi.schemas import Schemas

BETWEEN = {
    "form": ",",
    "spaceDelimited": r"%20|\+| ",
    "pipeDelimited": r"%7C|\|",
    "tabDelimited": "%09|\t",
    "deepObject": ",",
}
INTEGER = re.compile(r"-?(0|[1-9]\d*)")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
SCALARS = frozenset(("string", "integer", "number", "boolean"))
ABSENT = object()


class Deserialiser:
    """Reads the parameters of requests to one document's operations."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def read(
        self,
        parameter: Parameter,
        *,
        path: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
    ) -> Any:
        """The value of a parameter, ABSENT when it was not sent. path, query: still escaped."""
        schema = self.flat(parameter.schema)
        match parameter.place:
            case "query":
                return self.from_query(parameter, schema, query)
            case "path":
                raw = path.get(parameter.name)
                return ABSENT if raw is None else self._in_path(parameter, schema, raw)
            case "header":
                raw = headers.get(parameter.name)
            case "cookie":
                raw = cookies.get(parameter.name)
        if raw is None:
            return ABSENT
        if parameter.json:
            return _json(unquote(raw) if parameter.place == "cookie" else raw)
        decode = unquote if parameter.place == "cookie" else str
        return self._flat(schema, raw, ",", parameter.explode, decode)

    def from_query(
        self, parameter: Parameter, schema: Mapping[str, Any], query: Sequence[tuple[str, str]]
    ) -> Any:
        kinds = _kinds(schema)
        if parameter.style == "deepObject":
            return self._deep(schema, parameter.name, query)
        if parameter.style == "form" and parameter.explode and "object" in kinds:
            found = self._spread(schema, query)
            return found or ABSENT
        raw = [v for k, v in query if unquote_plus(k) == parameter.name]
        if not raw:
            return ABSENT
        if parameter.json:
            return _json(unquote_plus(raw[0]))
        if "array" in kinds and kinds & SCALARS and len(raw) == 1 and "," not in raw[0]:
            return self.scalar({**schema, "type": sorted(kinds & SCALARS)}, unquote_plus(raw[0]))
        if "array" in kinds and parameter.explode:
            inner = self.flat(schema.get("items", {}))
            return [self.scalar(inner, unquote_plus(v)) for v in raw]
        return self._flat(schema, raw[0], BETWEEN[parameter.style], parameter.explode, unquote_plus)

    def _in_path(self, parameter: Parameter, schema: Mapping[str, Any], raw: str) -> Any:
        if parameter.json:
            return _json(unquote(raw))
        between = ","
        if parameter.style == "label":
            raw, between = raw.removeprefix("."), r"\." if parameter.explode else ","
        elif parameter.style == "matrix":
            raw = raw.removeprefix(";")
            if parameter.explode and "array" in _kinds(schema):
                raw = ",".join(p.partition("=")[2] for p in raw.split(";"))
            elif parameter.explode and "object" in _kinds(schema):
                between = ";"
            else:
                raw = raw.partition("=")[2]
        return self._flat(schema, raw, between, parameter.explode, unquote)

    def _flat(
        self, schema: Mapping[str, Any], raw: str, between: str, explode: bool, decode: Any
    ) -> Any:
        kinds = _kinds(schema)
        if "array" in kinds:
            inner = self.flat(schema.get("items", {}))
            return [self.scalar(inner, decode(p)) for p in re.split(between, raw)] if raw else []
        if "object" in kinds:
            parts = re.split(between, raw)
            if explode:
                pairs = [p.partition("=")[::2] for p in parts]
            else:
                pairs = list(zip(parts[::2], parts[1::2], strict=False))
            return self._object(schema, [(decode(k), decode(v)) for k, v in pairs])
        return self.scalar(schema, decode(raw))

    def _object(self, schema: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> Any:
        known = schema.get("properties", {})
        return {k: self.scalar(self.flat(known.get(k, {})), v) for k, v in pairs}

    def _spread(self, schema: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> Any:
        known = schema.get("properties", {})
        found: dict[str, Any] = {}
        for name, raw in query:
            key = unquote_plus(name)
            if key in known:
                found[key] = self.scalar(self.flat(known[key]), unquote_plus(raw))
        return found

    def _deep(self, schema: Mapping[str, Any], name: str, query: Sequence[tuple[str, str]]) -> Any:
        found: Any = ABSENT
        for key, raw in query:
            key = unquote_plus(key)
            if not key.startswith(f"{name}["):
                continue
            found = {} if found is ABSENT else found
            steps = re.findall(r"\[([^\]]*)\]", key)
            self._put(found, schema, steps, unquote_plus(raw))
        return found

    def _put(
        self, into: dict[str, Any], schema: Mapping[str, Any], steps: list[str], raw: str
    ) -> None:
        step, rest = steps[0], steps[1:]
        inner = self.flat(schema.get("properties", {}).get(step, {}))
        if rest:
            deeper = into.setdefault(step, {})
            if isinstance(deeper, dict):
                self._put(deeper, inner, rest, raw)
        elif "array" in _kinds(inner):
            items = self.flat(inner.get("items", {}))
            into.setdefault(step, []).append(self.scalar(items, raw))
        else:
            into[step] = self.scalar(inner, raw)

    def scalar(self, schema: Mapping[str, Any], text: str) -> Any:
        """A text as the value that the schema asks for, where it can be one."""
        kinds = _kinds(schema)
        if "null" in kinds and text == "" and "string" not in kinds:
            return None
        if "integer" in kinds and INTEGER.fullmatch(text):
            return int(text)
        if "number" in kinds and NUMBER.fullmatch(text):
            return float(text) if not INTEGER.fullmatch(text) else int(text)
        if "boolean" in kinds and text in ("true", "false"):
            return text == "true"
        if "string" not in kinds and kinds & {"object", "array"}:
            return _json(text)
        return text

    def flat(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema with its alternatives' types side by side."""
        target = self._schemas.target(schema, sent=True)
        alternatives = target.get("anyOf") or target.get("oneOf") or ()
        if not alternatives:
            return merged(self._schemas, target, True)
        kinds: set[str] = set()
        first: Mapping[str, Any] = {}
        for one in alternatives:
            inner = self.flat(one)
            kinds |= _kinds(inner)
            if not first or _kinds(inner) & {"array", "object"}:
                first = inner
        return {**first, **target, "type": sorted(kinds)}


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    declared = schema.get("type")
    if declared is None:
        if "properties" in schema:
            return {"object"}
        return {"array"} if "items" in schema else {"string", "number", "boolean"}
    return {declared} if isinstance(declared, str) else set(declared)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def query_pairs(raw: str) -> list[tuple[str, str]]:
    """A query's names and values, still escaped."""
    return [(p.partition("=")[0], p.partition("=")[2]) for p in raw.split("&") if p]
