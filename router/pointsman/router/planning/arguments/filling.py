"""Arguments for any capability, read from a request by the JSON Schema of its parameters.

What is not said in the text is not filled: a required parameter that is not found is named in `missing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.planning.arguments.arithmetic import Arithmetic, arithmetic
from pointsman.router.planning.arguments.conversions import Conversion, conversion
from pointsman.router.planning.arguments.date_questions import date_question
from pointsman.router.planning.arguments.lists import inline_items, labels, limit
from pointsman.router.planning.arguments.values import Reading, read_parameter
from pointsman.router.planning.base import Embedder
from pointsman.router.planning.tables.meaning import vectors_of
from pointsman.router.values import Schema

__all__ = [
    "Arithmetic", "Conversion", "Filled", "arithmetic", "conversion", "date_question", "fill", "inline_items",
    "labels", "limit",
]  # fmt: skip

ENUM_FLOOR = 0.55


@dataclass(frozen=True, slots=True)
class Filled:
    """arguments: those given and those found. missing: required parameters that the text does not say.
    used: character spans that were read, in order.
    """

    arguments: dict[str, Any]
    missing: tuple[str, ...]
    used: tuple[tuple[int, int], ...]


async def fill(
    text: str,
    capability: Capability,
    given: Mapping[str, Any],
    *,
    now: datetime,
    embedder: Embedder,
) -> Filled:
    """Reads every parameter that is not given. Required ones are read first, so that they get the words."""
    arguments = dict(given)
    reading = Reading(text, now)
    names = sorted(capability.properties, key=lambda n: n not in capability.required)
    names = [n for n in names if n not in arguments]
    for cued in (True, False):
        for name in names:
            if name in arguments:
                continue
            schema = plain_schema(capability.properties[name], capability.parameters)
            found = read_parameter(
                name, schema, reading, cued=cued, required=name in capability.required
            )
            if found is not None:
                arguments[name] = found
    for name in names:
        schema = plain_schema(capability.properties[name], capability.parameters)
        if name not in arguments and "enum" in schema:
            meant = await _enum_by_meaning(text, schema, reading, embedder)
            if meant is not None:
                arguments[name] = meant
    missing = tuple(n for n in capability.required if n not in arguments)
    return Filled(arguments, missing, tuple(sorted(reading.used)))


def plain_schema(schema: Schema, root: Schema) -> dict[str, Any]:
    """A parameter's schema with its reference followed and "or null" taken off."""
    made = dict(schema)
    for _ in range(4):
        reference = str(made.get("$ref", ""))
        if reference.startswith("#/"):
            target: Any = root
            for part in reference[2:].split("/"):
                target = target.get(part, {}) if isinstance(target, Mapping) else {}
            made = {k: v for k, v in made.items() if k != "$ref"} | dict(target)
        options = [s for s in made.get("anyOf", ()) if s.get("type") != "null"]
        if len(options) == 1 and "x-kind" not in made:
            made = {k: v for k, v in made.items() if k != "anyOf"} | dict(options[0])
    if isinstance(made.get("type"), list):
        made["type"] = next((t for t in made["type"] if t != "null"), "null")
    if "const" in made:
        made["enum"] = [made["const"]]
    return made


async def _enum_by_meaning(
    text: str, schema: Mapping[str, Any], reading: Reading, embedder: Embedder
) -> Any:
    """The value whose name is nearest to a word of the text that is still free, if it is near."""
    words = [(w, s) for w, s in reading.free_words() if len(w) > 2][:24]
    values = [v for v in schema["enum"] if isinstance(v, str)]
    if not words or not values or len(text) > 1_000:
        return None
    named = [v.replace("_", " ") for v in values]
    vectors = await vectors_of(embedder, [*(w for w, _ in words), *named])
    near = vectors[: len(words)] @ vectors[len(words) :].T
    word, value = divmod(int(near.argmax()), len(values))
    if near[word, value] < ENUM_FLOOR:
        return None
    reading.use(*words[word][1])
    return values[value]
