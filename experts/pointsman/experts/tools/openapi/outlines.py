"""A schema cut to a size that a catalog, a planner and a model can hold: no references, a few levels, few words.

An outline takes whatever the schema takes, and maybe more: what is cut away is not asked for. The whole schema
is asked for when a call is made.
"""

from collections.abc import Mapping
from typing import Any

from pointsman.experts.tools.openapi.schemas import Schema, Schemas

LEVELS = 4
NODES = 240
"""Schemas in one outline."""
WORDS = 160
"""Characters of a description within an outline."""
ENUM = 60
PLAIN = ("type", "format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "default",
         "const", "pattern", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")  # fmt: skip


def outline(schema: Schema, schemas: Schemas, *, sent: bool, levels: int = LEVELS) -> Schema:
    """What a converted schema says, in brief."""
    return _Outline(schemas, sent).of(schema, levels)


class _Outline:
    def __init__(self, schemas: Schemas, sent: bool) -> None:
        self._schemas = schemas
        self._sent = sent
        self._left = NODES

    def of(self, schema: Mapping[str, Any], levels: int) -> Schema:
        self._left -= 1
        about = schema.get("description")
        schema = self._schemas.target(schema, sent=self._sent)
        made: Schema = {k: schema[k] for k in PLAIN if k in schema}
        about = about or schema.get("description") or schema.get("title")
        if isinstance(about, str) and about.strip():
            made["description"] = shortened(about, WORDS)
        if "enum" in schema and len(schema["enum"]) <= ENUM:
            made["enum"] = schema["enum"]
        if not self._sent:
            made = {k: v for k, v in made.items() if k in ("type", "format", "description", "enum")}
        if levels > 0 and self._left > 0:
            self._nested(schema, made, levels)
        elif "type" not in made and ("properties" in schema or "allOf" in schema):
            made["type"] = "object"
        return made

    def _nested(self, schema: Mapping[str, Any], made: Schema, levels: int) -> None:
        if "items" in schema:
            made["items"] = self.of(schema["items"], levels - 1)
        self._properties(schema, made, levels)
        alternatives = schema.get("oneOf") or schema.get("anyOf")
        if alternatives and "properties" not in made:
            # a cut alternative takes more, so more than one may fit: never exactly one
            made["anyOf"] = [self.of(a, levels - 1) for a in alternatives[:8]]
            if len(alternatives) > 8 or not self._sent:
                made["anyOf"] = _distinct(made["anyOf"])
            if len(alternatives) > 8:
                del made["anyOf"]

    def _properties(self, schema: Mapping[str, Any], made: Schema, levels: int) -> None:
        found = dict(schema.get("properties", {}))
        required = list(schema.get("required", ()))
        whole = "allOf" not in schema
        for part in schema.get("allOf", ()):
            inner = self._schemas.target(part, sent=self._sent)
            found |= inner.get("properties", {})
            required += inner.get("required", ())
            if "type" in inner:
                made.setdefault("type", inner["type"])
        if not found:
            return
        made.setdefault("type", "object")
        shown: Schema = {}
        for name, inner in found.items():
            if self._left <= 0:
                whole = False
                break
            shown[name] = self.of(inner, levels - 1)
        made["properties"] = shown
        if required and self._sent:
            made["required"] = [n for n in dict.fromkeys(required) if n in shown]
        if whole and schema.get("additionalProperties") is False and self._sent:
            made["additionalProperties"] = False


def _distinct(schemas: list[Schema]) -> list[Schema]:
    kept: list[Schema] = []
    for schema in schemas:
        if schema not in kept:
            kept.append(schema)
    return kept


def shortened(text: str, most: int) -> str:
    """One line of at most so many characters, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    return line[: most - 1].rsplit(" ", 1)[0].rstrip(",;:. ") + "…"
