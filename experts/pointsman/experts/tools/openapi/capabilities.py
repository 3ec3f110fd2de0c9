"""An operation as the catalog knows it: a name, a sentence, arguments, what comes of it."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pointsman.experts.tools.openapi.bodies import FILE_OR_TEXT, Body
from pointsman.experts.tools.openapi.operations import Answer, Operation, Parameter
from pointsman.experts.tools.openapi.outlines import outline, shortened
from pointsman.experts.tools.openapi.schemas import Schema, Schemas
from pointsman.router.catalog import Capability, Prior
from pointsman.router.values import FILE

DESCRIPTION = 500
BRIEF = 120
"""Characters of a description below which it is helped out."""
FIELDS = 14
WRAPPING = frozenset(
    "id page results total_pages total_results items data count next previous url".split()
)
"""Fields that say nothing of what an outcome is about."""
TITLE = 80
PRIOR = Prior(quality=0.85, latency=0.4)
"""Of a call over the network that nobody has measured yet."""


def names_of(api: str, operations: Iterable[Operation]) -> dict[str, str]:
    """A name for each operation, by its key: "github.repos.list_forks". Two of the same name are numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for operation in operations:
        base = f"{api}.{dotted(operation.id)}"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        found[operation.key] = name
    return found


def dotted(id: str) -> str:
    """repos/listForks -> repos.list_forks; "GET /pets/{id}" -> get_pets_id."""
    if re.match(r"[A-Z]+ /", id):
        return slug(id)
    parts = [slug(p) for p in re.split(r"[/.:]+", id)]
    return ".".join(p for p in parts if p) or "call"


def slug(text: str) -> str:
    """Lower-case words joined by underscores, beginning with a letter; empty when nothing is left."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    plain = re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")
    return plain if not plain or plain[0].isalpha() else f"n{plain}"


def capability_of(
    name: str, operation: Operation, schemas: Schemas, titles: Container[str] = ()
) -> Capability:
    """The capability that an operation serves. titles: those that more than one operation has."""
    output = output_of(operation, schemas)
    title = operation.title
    if title in titles:
        title = f"{title} ({', '.join(_nouns(operation.path)) or operation.method})"
    return Capability(
        name=name,
        title=shortened(title, TITLE),
        description=shortened(_about(operation, output), DESCRIPTION),
        parameters=parameters_of(operation, schemas),
        output=output,
        effect=operation.effect,
        prior=PRIOR,
    )


def shared_titles(operations: Iterable[Operation]) -> set[str]:
    """Titles that say too little to tell operations apart ("Get Details")."""
    counted = Counter(o.title for o in operations)
    return {title for title, count in counted.items() if count > 1}


def _about(operation: Operation, output: Schema) -> str:
    """What it is about; where little is said, also of what it speaks and what comes of it."""
    about = operation.description.rstrip(". ")
    if len(about) >= BRIEF:
        return operation.description
    nouns = [n for n in _nouns(operation.path) if n not in about.casefold()]
    of = f" ({', '.join(nouns)})" if nouns else ""
    fields = list(dict.fromkeys(slug(f).replace("_", " ") for f in _fields(output)))
    gives = f". Gives {', '.join(fields[:FIELDS])}" if fields else ""
    return f"{about}{of}{gives}"


def _nouns(path: str) -> list[str]:
    """Words of a path that are no parameters: what the operation is about."""
    parts = [slug(p).replace("_", " ") for p in path.split("/") if p and "{" not in p]
    return list(dict.fromkeys(p for p in parts if p and not re.fullmatch(r"v?\d+", p)))


def _fields(schema: Schema, levels: int = 3) -> Iterator[str]:
    """Names of what comes out, those of the top first."""
    properties = schema.get("properties", {})
    inner = schema.get("items")
    if levels and isinstance(inner, Mapping):
        yield from _fields(dict(inner), levels - 1)
    for name in properties:
        if name not in WRAPPING:
            yield name
    for one in properties.values():
        if levels and isinstance(one, Mapping):
            yield from _fields(dict(one), levels - 1)


def parameters_of(operation: Operation, schemas: Schemas) -> Schema:
    """The arguments of an operation, in outline."""
    properties: Schema = {}
    required: list[str] = []
    for parameter in operation.parameters:
        properties[parameter.argument] = _described(parameter, schemas)
        if parameter.required:
            required.append(parameter.argument)
    if operation.body is not None:
        more, needed = _of_body(operation.body, schemas)
        properties |= more
        required += needed
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": required} if required else made


def _described(parameter: Parameter, schemas: Schemas) -> Schema:
    made = outline(parameter.schema, schemas, sent=True)
    if parameter.description:
        made = {**made, "description": shortened(parameter.description, 200)}
    return made


def _of_body(body: Body, schemas: Schemas) -> tuple[Schema, list[str]]:
    if not body.apart:
        whole = FILE_OR_TEXT if body.files else outline(body.schema, schemas, sent=True)
        return {body.argument: dict(whole)}, [body.argument] if body.required else []
    made: Schema = {}
    for argument, schema in body.properties.items():
        made[argument] = (
            dict(FILE_OR_TEXT)
            if argument in body.files
            else outline(schema, schemas, sent=True, levels=3)
        )
    # a body that may be left out asks for its fields only when there is one
    return made, list(body.needed) if body.required else []


def success(operation: Operation) -> Answer | None:
    """What the operation answers when all is well."""
    for status in ("200", "201", "2XX", "202", "203", "206", "204"):
        if status in operation.answers:
            return operation.answers[status]
    other = next((a for s, a in operation.answers.items() if s.startswith("2")), None)
    return other or operation.answers.get("DEFAULT")


def json_schema(answer: Answer | None) -> Schema | None:
    """The schema of the JSON that an answer holds; None when it holds none or nobody says."""
    if answer is None:
        return None
    return next((s for m, s in answer.content.items() if is_json(m) and s is not None), None)


def output_of(operation: Operation, schemas: Schemas) -> Schema:
    answer = success(operation)
    schema = json_schema(answer)
    if schema is not None:
        return outline(schema, schemas, sent=False)
    if answer is not None and any(m.startswith("text/") for m in answer.content):
        return {"type": "string"}
    if answer is not None and answer.content and not any(map(is_json, answer.content)):
        return dict(FILE)
    return {}


def is_json(media: str) -> bool:
    plain = media.partition(";")[0].strip().casefold()
    return plain.endswith(("/json", "+json")) or plain in ("*/*", "application/*")


def described(capability: Capability, words: Mapping[str, Any]) -> Capability:
    """The capability with what a person says of it: title, description, examples, composition, effect, approval."""
    return replace(capability, **words)
