"""Schemas of a description as JSON Schema 2020-12 that stands alone: what it refers to goes with it in `$defs`.

A reference stays a reference, so a cycle is fine and nothing grows by being inlined; what is shared is one object
for all who refer to it. Two forms of each: what is sent (without `readOnly` properties among the required) and
what is answered (without `writeOnly`). What a description says against the rules of its own language is left out,
so that one slip does not cost an operation.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pointsman.experts.tools.openapi.references import BadReference, References, parts

TYPES = frozenset(("string", "integer", "number", "boolean", "array", "object", "null"))
ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
       "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "dependentSchemas")
NUMBERS = ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
          "minContains", "maxContains")  # fmt: skip
WORDS = ("title", "description", "format", "contentEncoding", "contentMediaType")
FLAGS = ("readOnly", "writeOnly", "deprecated", "uniqueItems")
KEPT = ("const", "default", "example", "examples", "dependentRequired")
BITS = {"int32": 31, "int64": 63}
"""What a whole number of a format can hold."""
LEFT_OUT = {True: "readOnly", False: "writeOnly"}
DEEPEST = 150

Schema = dict[str, Any]


class Schemas:
    """Conversions of one document. old: its schemas are those of 3.0."""

    def __init__(self, references: References, *, old: bool) -> None:
        self._references = references
        self._old = old
        self._names: dict[str, str] = {}
        self._known: dict[tuple[str, bool], tuple[Schema, frozenset[str]]] = {}

    def opened(self, schema: Any, *, sent: bool) -> Schema:
        """The schema converted, with what it refers to at its top in place; further references stay.

        Raises BadReference.
        """
        found, _ = self._convert(self._references.follow(schema), sent)
        return found

    def contained(self, schema: Schema, *, sent: bool) -> Schema:
        """A converted schema with all that it refers to in `$defs`. Raises BadReference."""
        needed: dict[str, Schema] = {}
        waiting = list(refs_of(schema))
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed[name], more = self._known[name, sent]
                waiting.extend(more)
        return {**schema, "$defs": needed} if needed else schema

    def target(self, schema: Mapping[str, Any], *, sent: bool) -> Mapping[str, Any]:
        """A converted schema, or the one that it refers to; an empty one when that never ends."""
        for _ in range(DEEPEST):
            ref = schema.get("$ref")
            if not isinstance(ref, str):
                return schema
            schema = self._known[ref.removeprefix("#/$defs/"), sent][0]
        return {}

    def convert(self, schema: Any, *, sent: bool) -> Schema:
        """The schema converted, references kept. Raises BadReference."""
        return self._convert(schema, sent)[0]

    # --- one schema -----------------------------------------------------------------------------

    def _convert(self, schema: Any, sent: bool) -> tuple[Schema, frozenset[str]]:
        refs: set[str] = set()
        return self._node(schema, sent, refs, 0), frozenset(refs)

    def _node(self, node: Any, sent: bool, refs: set[str], depth: int) -> Schema:
        if depth > DEEPEST:
            raise BadReference("its schema is nested too deeply")
        if node is False:
            return {"not": {}}
        if not isinstance(node, Mapping):
            return {}
        ref = node.get("$ref")
        if isinstance(ref, str):
            name = self._named(ref, sent)
            refs.add(name)
            here: Schema = {"$ref": f"#/$defs/{name}"}
            if self._old:
                return here
            return {**self._plain(node), **here}
        made = self._plain(node)

        def inner(schema: Any) -> Schema:
            return self._node(schema, sent, refs, depth + 1)

        self._nested(node, made, inner)
        _required(node, made, LEFT_OUT[sent], self._told)
        return _nullable(made) if self._old and node.get("nullable") is True else made

    def _nested(
        self, node: Mapping[str, Any], made: Schema, inner: Callable[[Any], Schema]
    ) -> None:
        for key in ONE:
            value = node.get(key)
            if isinstance(value, Mapping):
                made[key] = inner(value)
            elif isinstance(value, bool) and key != "items":
                made[key] = value
        for key in MANY:
            value = node.get(key)
            if isinstance(value, list) and value:
                made[key] = [inner(v) for v in value]
        for key in NAMED:
            value = node.get(key)
            if isinstance(value, Mapping):
                named = {str(k): inner(v) for k, v in value.items()}
                made[key] = {k: v for k, v in named.items() if _is_pattern(key, k)}

    def _plain(self, node: Mapping[str, Any]) -> Schema:
        """The keywords that hold no schema, where they are what the language asks for."""
        made: Schema = {k: node[k] for k in WORDS if isinstance(node.get(k), str)}
        made |= {k: node[k] for k in FLAGS if isinstance(node.get(k), bool)}
        made |= {k: node[k] for k in KEPT if k in node}
        made |= {k: node[k] for k in COUNTS if _is_count(node.get(k))}
        made |= {k: node[k] for k in NUMBERS if _is_number(node.get(k))}
        _types(node, made)
        _exclusive(node, made)
        if made.get("type") == "integer" and made.get("format") in BITS:
            reach = 2 ** BITS[made["format"]]
            made.setdefault("maximum", reach - 1)
            made.setdefault("minimum", -reach)
        if isinstance(node.get("enum"), list) and node["enum"]:
            made["enum"] = _of_type(node["enum"], made.get("type"))
        pattern = node.get("pattern")
        if isinstance(pattern, str) and _compiles(pattern):
            made["pattern"] = pattern
        if "dependentRequired" in made and not isinstance(made["dependentRequired"], Mapping):
            del made["dependentRequired"]
        if made.get("multipleOf", 1) <= 0:
            del made["multipleOf"]
        return made

    def _told(self, schema: Any) -> Mapping[str, Any]:
        """What a property says of itself, wherever that stands."""
        try:
            return self._references.follow(schema)
        except BadReference:
            return {}

    # --- what is referred to --------------------------------------------------------------------

    def _named(self, ref: str, sent: bool) -> str:
        """The name in `$defs` of what a reference points to; it is converted when it is first met."""
        name = self._names.get(ref)
        if name is None:
            name = self._new_name(ref)
            self._names[ref] = name
        if (name, sent) not in self._known:
            target = self._references.at(ref)
            self._known[name, sent] = ({}, frozenset())  # a cycle comes back to here
            try:
                self._known[name, sent] = self._convert(target, sent)
            except BadReference:
                del self._known[name, sent]
                raise
        return name

    def _new_name(self, ref: str) -> str:
        steps = parts(ref)
        short = re.sub(r"[^A-Za-z0-9_.-]", "_", steps[-1] if steps else "root")
        taken = set(self._names.values())
        if short not in taken:
            return short
        return next(n for i in range(2, len(taken) + 3) if (n := f"{short}.{i}") not in taken)


def refs_of(schema: Any) -> Iterator[str]:
    """Names in `$defs` that a converted schema refers to."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            ref = node.get("$ref")
            if isinstance(ref, str):
                yield ref.removeprefix("#/$defs/")
            for key, value in node.items():
                if key in NAMED:
                    stack.extend(value.values())
                elif key in ONE or key in MANY:
                    stack.append(value)
        elif isinstance(node, list):
            stack.extend(node)


def _types(node: Mapping[str, Any], made: Schema) -> None:
    declared = node.get("type")
    if declared == "file":
        made |= {"type": "string", "format": "binary"}
    elif isinstance(declared, str) and declared in TYPES:
        made["type"] = declared
    elif isinstance(declared, list):
        kept = list(dict.fromkeys(t for t in declared if isinstance(t, str) and t in TYPES))
        if kept:
            made["type"] = kept


def _of_type(values: list[Any], declared: Any) -> list[Any]:
    """Choices of a text that are written as numbers are the texts of these numbers."""
    if declared == "string" and not any(isinstance(v, str) for v in values):
        return [str(v) for v in values if v is not None]
    return values


def _exclusive(node: Mapping[str, Any], made: Schema) -> None:
    """In 3.0 a bound is marked as exclusive beside it."""
    for mark, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if node.get(mark) is True and bound in made:
            made[mark] = made.pop(bound)


def _required(
    node: Mapping[str, Any], made: Schema, left_out: str, told: Callable[[Any], Mapping[str, Any]]
) -> None:
    names = node.get("required")
    if not isinstance(names, list):
        return
    properties = node.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    kept = [n for n in names if isinstance(n, str) and told(known.get(n)).get(left_out) is not True]
    if kept:
        made["required"] = list(dict.fromkeys(kept))


def _nullable(made: Schema) -> Schema:
    if "type" not in made:
        return {"anyOf": [made, {"type": "null"}]} if made.keys() - {*WORDS, *KEPT} else made
    declared = made["type"]
    made["type"] = [*([declared] if isinstance(declared, str) else declared), "null"]
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pattern(key: str, name: str) -> bool:
    return key != "patternProperties" or _compiles(name)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True
