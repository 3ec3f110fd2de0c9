"""Values that fit a schema, and arguments that fit an operation: for the tool server, for tests, for `tools check`.

The same schema always gives the same value. A declared example is taken where it fits.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.experts.tools.openapi.operations import Operation
from pointsman.experts.tools.openapi.patterns import text_for
from pointsman.experts.tools.openapi.requests import Requests, compiled
from pointsman.experts.tools.openapi.schemas import Schema, Schemas

FORMATS: Mapping[str, str] = {
    "date": "2026-11-25",
    "date-time": "2026-11-25T10:00:00Z",
    "time": "10:00:00Z",
    "duration": "P1D",
    "email": "ana@example.com",
    "idn-email": "ana@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "url": "https://example.com/a",
    "uri-reference": "/a",
    "iri": "https://example.com/a",
    "uri-template": "https://example.com/{a}",
    "uuid": "3f2b1c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "byte": "dGV4dA==",
    "binary": "text",
    "password": "correct horse",
    "json-pointer": "/a",
    "regex": "a+",
}
LEVELS = 6
"""Levels of optional properties; below only what is required is written."""
DEEPEST = 40


class NoSample(Exception):
    """No value that fits was found."""


class Samples:
    """Values for the converted schemas of one document. sent: of requests, else of answers."""

    def __init__(self, schemas: Schemas, *, sent: bool) -> None:
        self._schemas = schemas
        self._sent = sent

    def of(self, schema: Schema) -> Any:
        """A value that fits. Raises NoSample."""
        checker = compiled(self._schemas.contained(schema, sent=self._sent))
        for value in self._tries(schema):
            if checker.is_valid(value):
                return value
        raise NoSample

    def _tries(self, schema: Schema) -> Iterator[Any]:
        for levels in (LEVELS, 2, 0):
            for examples in (True, False):
                for turn in range(3):
                    made = _Maker(self._schemas, self._sent, examples=examples, turn=turn)
                    yield made.value(schema, levels, 0)


class _Maker:
    """One try. turn: which of several alternatives is taken."""

    def __init__(self, schemas: Schemas, sent: bool, *, examples: bool, turn: int) -> None:
        self._schemas = schemas
        self._sent = sent
        self._examples = examples
        self._turn = turn

    def value(self, schema: Mapping[str, Any], levels: int, depth: int) -> Any:
        if depth > DEEPEST:
            return None
        schema = merged(self._schemas, schema, self._sent, self._turn)
        declared = schema.get("type")
        kinds = [declared] if isinstance(declared, str) else list(declared or ())
        given = self._given(schema)
        if given is not _NOTHING:
            return given
        kind = next((k for k in kinds if k != "null"), kinds[0] if kinds else _guessed(schema))
        match kind:
            case "object":
                return self._object(schema, levels, depth)
            case "array":
                return self._array(schema, levels, depth)
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case _:
                return None

    def _given(self, schema: Mapping[str, Any]) -> Any:
        if "const" in schema:
            return schema["const"]
        if self._examples:
            if "example" in schema:
                return schema["example"]
            examples = schema.get("examples")
            if isinstance(examples, list) and examples:
                return examples[0]
            if "default" in schema and schema["default"] is not None:
                return schema["default"]
        if "enum" in schema:
            return schema["enum"][self._turn % len(schema["enum"])]
        return _NOTHING

    def _object(self, schema: Mapping[str, Any], levels: int, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        left_out = "readOnly" if self._sent else "writeOnly"
        made: dict[str, Any] = {}
        for name, inner in schema.get("properties", {}).items():
            told = self._schemas.target(inner, sent=self._sent)
            if name in required or (levels > 0 and told.get(left_out) is not True):
                made[name] = self.value(inner, levels - 1, depth + 1)
        more = schema.get("additionalProperties")
        inner = more if isinstance(more, Mapping) else {}
        for name in required:
            if name not in made:
                made[name] = self.value(inner, levels - 1, depth + 1) if inner else "text"
        while len(made) < schema.get("minProperties", 0):
            made[f"name{len(made)}"] = self.value(inner, levels - 1, depth + 1) if inner else "text"
        most = schema.get("maxProperties")
        if most is not None and len(made) > most:
            keep = [n for n in made if n in required] + [n for n in made if n not in required]
            made = {n: made[n] for n in keep[:most]}
        return made

    def _array(self, schema: Mapping[str, Any], levels: int, depth: int) -> list[Any]:
        count = max(
            schema.get("minItems", 0), min(1 if levels > 0 else 0, schema.get("maxItems", 1))
        )
        first = [self.value(s, levels - 1, depth + 1) for s in schema.get("prefixItems", ())]
        inner = schema.get("items", {})
        inner = inner if isinstance(inner, Mapping) else {}
        made = [
            *first,
            *(self.value(inner, levels - 1, depth + 1) for _ in range(count - len(first))),
        ]
        if schema.get("uniqueItems") and len(made) > 1:
            return _unlike(made, merged(self._schemas, inner, self._sent, self._turn))
        return made


_NOTHING = object()


def merged(
    schemas: Schemas, schema: Mapping[str, Any], sent: bool, turn: int = 0
) -> Mapping[str, Any]:
    """A schema with its `allOf`, and one of its alternatives, laid over it."""
    for _ in range(DEEPEST):
        schema = schemas.target(schema, sent=sent)
        alternatives = schema.get("oneOf") or schema.get("anyOf")
        parts = [*schema.get("allOf", ())]
        if alternatives:
            wanted = [a for a in alternatives if schemas.target(a, sent=sent).get("type") != "null"]
            choice = wanted or alternatives
            parts.append(choice[turn % len(choice)])
        if not parts:
            return schema
        rest = {k: v for k, v in schema.items() if k not in ("allOf", "oneOf", "anyOf")}
        schema = rest
        for part in parts:
            schema = _laid(schema, merged(schemas, part, sent, turn))
    return {}


def _laid(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two schemas that both hold."""
    made = {**one, **other}
    if "properties" in one or "properties" in other:
        mine, theirs = one.get("properties", {}), other.get("properties", {})
        both = {n: {"allOf": [mine[n], theirs[n]]} for n in mine.keys() & theirs.keys()}
        made["properties"] = {**mine, **theirs, **both}
    if "required" in one or "required" in other:
        made["required"] = list(
            dict.fromkeys([*one.get("required", ()), *other.get("required", ())])
        )
    if "enum" in one and "enum" in other:
        made["enum"] = [e for e in one["enum"] if e in other["enum"]] or one["enum"]
    for key, pick in (("minimum", max), ("minLength", max), ("maximum", min), ("maxLength", min)):
        if key in one and key in other:
            made[key] = pick(one[key], other[key])
    if isinstance(one.get("type"), str) and isinstance(other.get("type"), list):
        made["type"] = one["type"]
    return made


def _guessed(schema: Mapping[str, Any]) -> str:
    if "properties" in schema or "additionalProperties" in schema or "required" in schema:
        return "object"
    if "items" in schema:
        return "array"
    if "minimum" in schema or "maximum" in schema:
        return "number"
    return "string"


def _text(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        return text_for(schema["pattern"], least, most)
    text = FORMATS.get(schema.get("format", ""), "text")
    if len(text) < least:
        text = (text * (least // len(text) + 1))[:least]
    return text if most is None else text[:most]


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    step: int | float = schema.get("multipleOf", 1)
    low: int | float | None = schema.get("minimum", schema.get("exclusiveMinimum"))
    high: int | float | None = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return step if step != 1 else 1
    if low is None:
        assert high is not None
        value: int | float = math.floor(high / step) * step
        return value - step if "exclusiveMaximum" in schema and value >= high else value
    value = math.ceil(low / step) * step
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        value += step
    if high is not None and value > high and not whole:
        return (low + high) / 2
    return int(value) if whole else value


def _unlike(values: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Values of a list that must differ."""
    choices = schema.get("enum")
    if choices:
        return list(choices[: len(values)])
    return [
        f"{v}{i}" if isinstance(v, str) else v + i if isinstance(v, int | float) else v
        for i, v in enumerate(values)
    ]


# --- arguments of an operation ---------------------------------------------------------------------


def valid_arguments(requests: Requests, schemas: Schemas, *, whole: bool = False) -> dict[str, Any]:
    """Arguments that an operation takes; whole: also those that may be left out. Raises NoSample."""
    samples = Samples(schemas, sent=True)
    operation = requests.operation
    made = {
        p.argument: _sendable(samples.of(p.schema))
        for p in operation.parameters
        if p.required or whole
    }
    body = operation.body
    if body is None or not (body.required or whole):
        return made
    if body.form in ("text", "binary"):
        return {**made, body.argument: "text"}
    value = samples.of(body.schema)
    if not body.apart:
        return {**made, body.argument: value}
    given = {p: a for a, p in body.fields.items()}
    return made | {given[n]: v for n, v in value.items() if n in given}


def _sendable(value: Any) -> Any:
    """An empty text or list cannot stand in a path, and says nothing elsewhere."""
    return "text" if value == "" else value


def invalid_arguments(operation: Operation, valid: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that an operation must not take: one is missing, or of a type that it cannot have, or unknown."""
    needed = [p.argument for p in operation.parameters if p.required]
    if operation.body is not None and operation.body.required:
        needed += operation.body.needed or (
            (operation.body.argument,) if not operation.body.apart else ()
        )
    if needed:
        return {k: v for k, v in valid.items() if k != needed[0]}
    for parameter in operation.parameters:
        if parameter.schema.get("type") in ("integer", "number", "boolean"):
            return {**valid, parameter.argument: "no number"}
    return {**valid, "no_such_argument": 1}
