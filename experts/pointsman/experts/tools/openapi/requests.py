"""Arguments become a request: checked against the description's own schemas first, then written by its styles."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from pointsman.experts.tools.openapi import serialising as write
from pointsman.experts.tools.openapi.bodies import Body, Encoding
from pointsman.experts.tools.openapi.operations import PLACEHOLDER, Operation, Parameter
from pointsman.experts.tools.openapi.schemas import Schema, Schemas
from pointsman.router.errors import BadArguments
from pointsman.router.values import FileRef, is_kind

FAULT = 300
"""Characters of a fault that are told."""
UPLOAD = 64 << 20
"""Bytes of a file that is sent."""

Validator = jsonschema_rs.Draft202012Validator
Opened = Callable[[FileRef], Path]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request without its host and without credentials. query: written and escaped."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes | None = None

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass
class Requests:
    """What one operation is asked with. Its schemas are compiled at the first call."""

    operation: Operation
    schemas: Schemas
    _checked: dict[str, Validator] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> Schema:
        """The arguments that are no part of the body, as one whole schema."""
        made: Schema = {"type": "object", "properties": {}, "required": []}
        for one in self.operation.parameters:
            made["properties"][one.argument] = one.schema
            if one.required:
                made["required"].append(one.argument)
        return self.schemas.contained(made, sent=True)

    @cached_property
    def body(self) -> Schema | None:
        body = self.operation.body
        return None if body is None else self.schemas.contained(body.schema, sent=True)

    def prepare(
        self, arguments: Mapping[str, Any], *, key: str = "", opened: Opened | None = None
    ) -> Prepared:
        """Raises BadArguments: unknown, missing or ill-typed ones; nothing was sent."""
        operation = self.operation
        given = {k: v for k, v in arguments.items() if v is not None or self._takes_null(k)}
        own, inside = self._apart(given)
        self.check_parameters(own)
        path = self._path(own)
        query, headers, cookies = list[str](), dict[str, str](), list[str]()
        for one in operation.parameters:
            if one.argument not in own or one.place == "path":
                continue
            value = write.as_json(own[one.argument]) if one.json else own[one.argument]
            if one.place == "query":
                query += write.in_query(
                    one.name, value, one.style, one.explode, reserved=one.reserved
                )
            elif one.place == "header":
                headers[one.name] = write.in_header(one.name, value, one.explode)
            else:
                cookies += write.in_cookie(one.name, value, one.explode)
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        if operation.idempotency:
            headers[operation.idempotency] = key
        content = self._content(inside, headers, opened)
        return Prepared(operation.method, path, "&".join(query), headers, content)

    def check_parameters(self, own: Mapping[str, Any]) -> None:
        """Raises BadArguments when arguments that are no part of the body do not fit."""
        self._check("parameters", self.parameters, own)

    def check_body(self, value: Any) -> None:
        """Raises BadArguments when a body does not fit."""
        if self.body is not None:
            self._check("body", self.body, value)

    def _path(self, own: Mapping[str, Any]) -> str:
        """The path with its parameters in place, escaped."""
        given = {p.name: p for p in self.operation.parameters if p.place == "path"}
        parts = PLACEHOLDER.split(self.operation.path)
        for place, part in enumerate(parts):
            one = given.get(part) if place % 2 else None
            if one is None:
                parts[place] = quote(part, safe="/:@!$&'()*+,;=~%")
                continue
            value = write.as_json(own[one.argument]) if one.json else own[one.argument]
            parts[place] = write.in_path(one.name, value, one.style, one.explode)
        return "".join(parts)

    # --- arguments ------------------------------------------------------------------------------

    @cached_property
    def _own(self) -> Mapping[str, Parameter]:
        return {p.argument: p for p in self.operation.parameters}

    def _takes_null(self, argument: str) -> bool:
        """A parameter that is null is left out; in a body null is a value."""
        return argument not in self._own

    def _apart(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments that are parameters, and those that are of the body."""
        body = self.operation.body
        of_body = set() if body is None else (set(body.fields) if body.apart else {body.argument})
        own = {k: v for k, v in given.items() if k in self._own}
        inside = {k: v for k, v in given.items() if k in of_body}
        unknown = given.keys() - own.keys() - inside.keys()
        if unknown:
            raise BadArguments(f"{self.operation.key} takes no {', '.join(sorted(unknown))}")
        return own, inside

    def _check(self, part: str, schema: Schema, value: Any) -> None:
        checker = self._checked.get(part)
        if checker is None:
            checker = self._checked[part] = compiled(schema)
        why = fault(checker, value)
        if why is not None:
            raise BadArguments(f"{self.operation.key}: {why}")

    # --- the body -------------------------------------------------------------------------------

    def _content(
        self, inside: Mapping[str, Any], headers: dict[str, str], opened: Opened | None
    ) -> bytes | None:
        body = self.operation.body
        if body is None:
            return None
        if not inside and not body.required:
            return None
        if body.form in ("text", "binary"):
            return self._raw(body, inside, headers, opened)
        value = self._assembled(body, inside)
        self.check_body(_without_files(body, value))
        match body.form:
            case "json":
                media = "application/json" if "*" in body.media else body.media
                headers["Content-Type"] = media
                return write.as_json(value).encode()
            case "urlencoded":
                headers["Content-Type"] = body.media
                return "&".join(_form(body, value)).replace("%20", "+").encode("ascii")
            case _:
                boundary = f"pointsman-{secrets.token_hex(12)}"
                headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
                return _multipart(body, value, boundary, opened)

    def _assembled(self, body: Body, inside: Mapping[str, Any]) -> Any:
        if not body.apart:
            if body.argument not in inside:
                raise BadArguments(f"{self.operation.key}: {body.argument!r} is required")
            return inside[body.argument]
        return {body.fields[k]: v for k, v in inside.items()}

    def _raw(
        self,
        body: Body,
        inside: Mapping[str, Any],
        headers: dict[str, str],
        opened: Opened | None,
    ) -> bytes:
        if body.argument not in inside:
            raise BadArguments(f"{self.operation.key}: {body.argument!r} is required")
        value = inside[body.argument]
        if body.form == "text" and not isinstance(value, str):
            raise BadArguments(f"{self.operation.key}: {body.argument!r} is to be a text")
        headers["Content-Type"] = body.media
        return file_content(value, opened)[1]


def compiled(schema: Schema) -> Validator:
    """A validator that fetches nothing. Patterns are matched in linear time or given up."""
    return Validator(schema, offline=True)


def fault(checker: Validator, value: Any) -> str | None:
    """Why a value breaks its schema, in one line; None when it does not."""
    if checker.is_valid(value):
        return None
    error = next(iter(checker.iter_errors(value)))
    where = "/".join(map(str, error.instance_path))
    text = error.message if len(error.message) <= FAULT else error.message[: FAULT - 3] + "..."
    return f"at {where}: {text}" if where else text


def file_content(value: Any, opened: Opened | None) -> tuple[str, bytes, str]:
    """Name, content and media type of a file, or of a text in its place. Raises BadArguments."""
    if isinstance(value, str):
        return "text.txt", value.encode(), "text/plain"
    if not is_kind(value, "file") or opened is None:
        raise BadArguments("a file is expected; give one that was sent along, or a text")
    file = FileRef.from_json(value)
    path = opened(file)
    if path.stat().st_size > UPLOAD:
        raise BadArguments(f"{file.name!r} is larger than {UPLOAD >> 20} MiB")
    return file.name, path.read_bytes(), file.media_type


def _without_files(body: Body, value: Any) -> Any:
    """Files are checked as the texts that they are sent as."""
    if not body.files or not isinstance(value, Mapping):
        return value
    names = {body.fields[a] for a in body.files}
    return {k: "" if k in names and not isinstance(v, str) else v for k, v in value.items()}


def _form(body: Body, value: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, one in value.items():
        if one is None:
            continue
        how = body.encodings.get(name, Encoding())
        if "json" in how.media or (isinstance(one, Mapping) and how.style == "form"):
            one = write.as_json(one)
        found += write.in_query(name, one, how.style, how.explode)
    return found


def _multipart(body: Body, value: Mapping[str, Any], boundary: str, opened: Opened | None) -> bytes:
    argument = {p: a for a, p in body.fields.items()}
    parts: list[bytes] = []
    for name, one in value.items():
        how = body.encodings.get(name, Encoding())
        for item in one if isinstance(one, list) else [one]:
            if argument[name] in body.files or is_kind(item, "file"):
                file, content, media = file_content(item, opened)
                parts.append(_part(name, how.media or media, content, boundary, file))
            elif isinstance(item, Mapping | list):
                parts.append(_part(name, how.media or "application/json", write.as_json(item).encode(), boundary))  # fmt: skip
            elif item is not None:
                parts.append(_part(name, how.media, write.plain(item).encode(), boundary))
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def _part(name: str, media: str, content: bytes, boundary: str, file: str = "") -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if file:
        head += f'; filename="{_quoted(file)}"'
    if media:
        head += f"\r\nContent-Type: {_quoted(media)}"
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


def _quoted(text: str) -> str:
    """As browsers write names in a form (WHATWG HTML, multipart/form-data)."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
