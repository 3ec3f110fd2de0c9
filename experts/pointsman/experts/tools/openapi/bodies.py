"""The body of a request: the properties of an object become arguments of their own, anything else is one argument."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pointsman.experts.tools.openapi.references import References
from pointsman.experts.tools.openapi.schemas import Schema, Schemas
from pointsman.router.values import FILE

Form = Literal["json", "urlencoded", "multipart", "text", "binary"]
WHOLE = "body"
"""The argument that a body is which is no object."""
FILE_OR_TEXT: Schema = {"x-kind": ["file", "text"], "anyOf": [dict(FILE), {"type": "string"}]}
TOGETHER = ("allOf", "properties", "required", "type", "description", "title", "additionalProperties",
            "anyOf", "oneOf", "example", "examples", "default", "minProperties", "maxProperties")  # fmt: skip


class Unsupported(Exception):
    """An operation that cannot be called. str: why."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a property of a form is written."""

    style: str = "form"
    explode: bool = True
    media: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """fields: argument -> property, where the body is an object that is taken apart. files: arguments that are files.

    schema: of the body as a whole, converted. also: other media types that the server takes.
    """

    form: Form
    media: str
    required: bool
    schema: Schema
    fields: Mapping[str, str] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    properties: Mapping[str, Schema] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    argument: str = WHOLE
    also: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        return bool(self.fields)


def body_of(given: Any, references: References, schemas: Schemas, taken: set[str]) -> Body | None:
    """The body of an operation. taken: names of arguments that are not free. Raises Unsupported, BadReference."""
    if given is None:
        return None
    described = references.follow(given)
    content = described.get("content")
    if not isinstance(content, Mapping) or not content:
        return None
    chosen = _chosen(content)
    if chosen is None:
        listed = ", ".join(map(repr, list(content)[:3]))
        raise Unsupported(f"its body is {listed}, which is not supported")
    form, media = chosen
    also = tuple(m for m in content if m != media)
    about = content[media] if isinstance(content[media], Mapping) else {}
    required = described.get("required") is True
    if form in ("text", "binary"):
        name = unused(WHOLE, "request", taken)
        schema: Schema = {"type": "string"} if form == "text" else FILE_OR_TEXT
        files = frozenset({name}) if form == "binary" else frozenset[str]()
        return Body(form, media, required, schema, files=files, argument=name, also=also)
    return replace(_structured(form, media, about, required, schemas, taken), also=also)


def _chosen(content: Mapping[str, Any]) -> tuple[Form, str] | None:
    """The media type that we write best."""
    found: dict[Form, str] = {}
    for media in content:
        plain = media.partition(";")[0].strip().casefold()
        kind = _form(plain)
        if kind is not None:
            found.setdefault(kind, media)
    order: tuple[Form, ...] = ("json", "urlencoded", "multipart", "text", "binary")
    return next(((kind, found[kind]) for kind in order if kind in found), None)


def _form(media: str) -> Form | None:
    if media.endswith(("/json", "+json")) or media == "*/*":
        return "json"
    if media == "application/x-www-form-urlencoded":
        return "urlencoded"
    if media == "multipart/form-data":
        return "multipart"
    if media.startswith("text/") and media not in ("text/xml", "text/html"):
        return "text"
    binary = ("image/", "audio/", "video/")
    if media in ("application/octet-stream", "application/pdf", "application/zip"):
        return "binary"
    return "binary" if media.startswith(binary) else None


def _structured(
    form: Form,
    media: str,
    about: Mapping[str, Any],
    required: bool,
    schemas: Schemas,
    taken: set[str],
) -> Body:
    raw = about.get("schema", {})
    opened = schemas.opened(raw, sent=True) if isinstance(raw, Mapping) and raw else {}
    found = _object(opened, schemas)
    if not found and form in ("urlencoded", "multipart"):
        raise Unsupported("its form has no fields")
    if not found:
        name = unused(WHOLE, "request", taken)
        return Body(form, media, required, opened, argument=name)
    properties, needed = found
    fields: dict[str, str] = {}
    for name, schema in properties.items():
        if schema.get("readOnly") is not True:
            fields[unused(name, WHOLE, taken | fields.keys())] = name
    if not fields:
        return Body(form, media, required, opened, argument=unused(WHOLE, "request", taken))
    named = {argument: dict(properties[p]) for argument, p in fields.items()}
    files = frozenset(a for a, s in named.items() if form == "multipart" and _is_file(s, schemas))
    return Body(
        form,
        media,
        required,
        opened,
        fields=fields,
        needed=tuple(a for a, p in fields.items() if p in needed),
        properties=named,
        files=files,
        encodings=_encodings(about.get("encoding"), fields),
    )


def _object(schema: Schema, schemas: Schemas) -> tuple[dict[str, Schema], set[str]] | None:
    """Properties of an object and those that are required; None for what cannot be taken apart."""
    declared = schema.get("type", "object")
    if declared not in ("object", ["object"]) or schema.keys() - set(TOGETHER):
        return None
    properties: dict[str, Schema] = {}
    required: set[str] = set()
    for part in schema.get("allOf", ()):
        inner = _object({**schemas.target(part, sent=True)}, schemas)
        if inner is None:
            return None
        properties |= inner[0]
        required |= inner[1]
    properties |= schema.get("properties", {})
    required |= set(schema.get("required", ()))
    alternatives = [
        schemas.target(a, sent=True) for a in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    ]
    if any(a.keys() - {"required", "properties", "type"} for a in alternatives):
        return None
    for alternative in alternatives:
        known = alternative.get("properties", {})
        if known.keys() - properties.keys():
            return None
    return (properties, required) if properties else None


def _is_file(schema: Mapping[str, Any], schemas: Schemas) -> bool:
    target = schemas.target(schema, sent=True)
    if target.get("type") == "array" and "items" in target:
        return False
    media = target.get("contentMediaType")
    return target.get("format") == "binary" or (isinstance(media, str) and "type" not in target)


def _encodings(given: Any, fields: Mapping[str, str]) -> dict[str, Encoding]:
    found: dict[str, Encoding] = {}
    for name, about in given.items() if isinstance(given, Mapping) else ():
        if name not in fields.values() or not isinstance(about, Mapping):
            continue
        style = str(about.get("style") or "form")
        explode = about.get("explode")
        found[name] = Encoding(
            style,
            explode if isinstance(explode, bool) else style == "form",
            str(about.get("contentType") or "").partition(",")[0].strip(),
        )
    return found


def unused(name: str, place: str, taken: set[str]) -> str:
    """A name that is not taken: the name itself, or with its place before it."""
    if name not in taken:
        return name
    longer = f"{place}_{name}"
    return longer if longer not in taken else unused(f"{longer}_", place, taken)
