"""What an API can be asked for: its operations, and what of it cannot be called and why."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pointsman.experts.tools.openapi.bodies import Body, Unsupported, body_of, unused
from pointsman.experts.tools.openapi.reading import Document
from pointsman.experts.tools.openapi.references import BadReference, References
from pointsman.experts.tools.openapi.schemas import Schema, Schemas
from pointsman.router.catalog import Effect

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
EFFECTS: Mapping[str, Effect] = {
    "get": "pure",
    "head": "pure",
    "options": "pure",
    "put": "idempotent",
    "delete": "idempotent",
    "post": "once",
    "patch": "once",
}
STYLES: Mapping[str, tuple[str, ...]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
OURS = frozenset(
    """accept authorization connection content-encoding content-length content-type cookie expect host keep-alive
    proxy-authorization proxy-connection te trailer transfer-encoding upgrade""".split()
)
"""Headers that are never an argument: the client writes them."""
IDEMPOTENCY = frozenset(("idempotency-key", "x-idempotency-key"))
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Place: TypeAlias = Literal["path", "query", "header", "cookie"]
PLACES: Mapping[str, Place] = {"path": "path", "query": "query", "header": "header", "cookie": "cookie"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. argument: its name among the arguments of the capability. json: it is sent as JSON."""

    argument: str
    name: str
    place: Place
    required: bool
    schema: Schema
    description: str = ""
    style: str = "form"
    explode: bool = True
    reserved: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status promises: media types with their schemas (converted), None where there is none."""

    content: Mapping[str, Schema | None]
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One that can be called. key: "GET /pets/{id}". id: as the description names it.

    security: alternatives, each a set of schemes that are needed together. idempotency: the header that takes
    a key. url: of the server, without a slash at its end; may be relative.
    """

    key: str
    id: str
    method: str
    path: str
    url: str
    title: str
    description: str
    tags: tuple[str, ...]
    deprecated: bool
    effect: Effect
    parameters: tuple[Parameter, ...]
    body: Body | None
    answers: Mapping[str, Answer]
    security: tuple[frozenset[str], ...]
    idempotency: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """What cannot be called, and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Api:
    """A whole description. schemes: how one proves who one is, by name."""

    document: Document
    schemas: Schemas
    schemes: Mapping[str, Mapping[str, Any]]
    operations: tuple[Operation, ...]
    skipped: tuple[Skipped, ...]

    @property
    def title(self) -> str:
        return self.document.title


def read_api(document: Document) -> Api:
    """Every operation of a description, callable or with the reason why not."""
    reader = _Reader(document)
    operations: list[Operation] = []
    skipped: list[Skipped] = []
    for found in reader.found():
        if isinstance(found, Operation):
            operations.append(found)
        else:
            skipped.append(found)
    return Api(document, reader.schemas, reader.schemes, tuple(operations), tuple(skipped))


class _Reader:
    def __init__(self, document: Document) -> None:
        self._tree = document.tree
        self._references = References(document.tree)
        self.schemas = Schemas(self._references, old=document.old)
        self.schemes = self._schemes()

    def found(self) -> Iterator[Operation | Skipped]:
        for path, item in self._tree.get("paths", {}).items():
            if str(path).startswith("x-"):
                continue
            try:
                item = self._references.follow(item)
            except BadReference as error:
                yield Skipped(str(path), str(error))
                continue
            for method in METHODS:
                if method in item:
                    yield from self._one(str(path), method, item)
        for name in self._tree.get("webhooks") or ():
            yield Skipped(f"webhook {name}", "webhooks call you; they are not supported")

    def _one(
        self, path: str, method: str, item: Mapping[str, Any]
    ) -> Iterator[Operation | Skipped]:
        key = f"{method.upper()} {path}"
        operation = item[method]
        try:
            if not isinstance(operation, Mapping):
                raise Unsupported("its description is no object")
            yield self._operation(key, path, method, item, operation)
        except (Unsupported, BadReference) as error:
            yield Skipped(key, str(error))
            return
        for name in mapping(operation.get("callbacks")):
            yield Skipped(f"callback {name} of {key}", "callbacks call you; they are not supported")

    def _operation(
        self,
        key: str,
        path: str,
        method: str,
        item: Mapping[str, Any],
        operation: Mapping[str, Any],
    ) -> Operation:
        if method not in EFFECTS:
            raise Unsupported(f"the method {method.upper()} is not supported")
        security = self._security(operation)
        parameters, idempotency = self._parameters(path, item, operation, security)
        taken = {p.argument for p in parameters}
        body = body_of(operation.get("requestBody"), self._references, self.schemas, taken)
        summary, about = text_of(operation.get("summary")), text_of(operation.get("description"))
        effect = EFFECTS[method]
        return Operation(
            key=key,
            id=str(operation.get("operationId") or key),
            method=method.upper(),
            path=path,
            url=self._server(item, operation),
            title=summary or _words(str(operation.get("operationId") or key)),
            description=about or summary or _words(str(operation.get("operationId") or key)),
            tags=tuple(t for t in operation.get("tags") or () if isinstance(t, str)),
            deprecated=operation.get("deprecated") is True,
            effect="keyed" if idempotency and effect == "once" else effect,
            parameters=tuple(parameters),
            body=body,
            answers=self._answers(operation),
            security=security,
            idempotency=idempotency,
        )

    # --- parameters -----------------------------------------------------------------------------

    def _parameters(
        self,
        path: str,
        item: Mapping[str, Any],
        operation: Mapping[str, Any],
        security: Iterable[frozenset[str]],
    ) -> tuple[list[Parameter], str | None]:
        every: dict[tuple[str, str], Mapping[str, Any]] = {}
        for given in (*_listed(item.get("parameters")), *_listed(operation.get("parameters"))):
            one = self._references.follow(given)
            every[str(one.get("in")), str(one.get("name"))] = one
        ours = self._of_schemes(security)
        idempotency: str | None = None
        made: list[Parameter] = []
        for (place, name), one in every.items():
            if place == "header" and name.casefold() in IDEMPOTENCY:
                idempotency = name
            elif (place, name.casefold()) not in ours and not _is_ours(place, name):
                taken = {p.argument for p in made}
                made.append(self._parameter(one, name, place, unused(name, place, taken)))
        wanted = set(PLACEHOLDER.findall(path))
        given_here = {p.name for p in made if p.place == "path"}
        missing = wanted - given_here
        if missing:
            raise Unsupported(
                f"its path names {', '.join(sorted(missing))}, which it does not describe"
            )
        return [p for p in made if p.place != "path" or p.name in wanted], idempotency

    def _parameter(self, one: Mapping[str, Any], name: str, place: str, argument: str) -> Parameter:
        if place not in PLACES:
            raise Unsupported(f"its parameter {name!r} stands in {place!r}, which is not supported")
        if place == "header" and not TOKEN.fullmatch(name):
            raise Unsupported(f"its header {name!r} is no name of a header")
        content = mapping(one.get("content"))
        media = next(iter(content), "")
        if content and "json" not in media:
            raise Unsupported(
                f"its parameter {name!r} is sent as {media!r}, which is not supported"
            )
        style = str(one.get("style") or STYLES[place][0])
        if style not in STYLES[place]:
            raise Unsupported(
                f"its parameter {name!r} has the style {style!r}, which has no meaning there"
            )
        schema = mapping(content.get(media)).get("schema") if content else one.get("schema")
        explode = one.get("explode")
        return Parameter(
            argument=argument,
            name=name,
            place=PLACES[place],
            required=one.get("required") is True or place == "path",
            schema=self.schemas.convert(schema or {}, sent=True),
            description=text_of(one.get("description")),
            style=style,
            explode=explode if isinstance(explode, bool) else style == "form",
            reserved=one.get("allowReserved") is True,
            json=bool(content),
        )

    def _of_schemes(self, security: Iterable[frozenset[str]]) -> set[tuple[str, str]]:
        """Places that credentials are put in, which are no arguments."""
        found = set()
        for name in {n for needed in security for n in needed}:
            scheme = self.schemes.get(name, {})
            if scheme.get("type") == "apiKey":
                found.add((str(scheme.get("in")), str(scheme.get("name")).casefold()))
        return found

    # --- answers, security, servers -------------------------------------------------------------

    def _answers(self, operation: Mapping[str, Any]) -> dict[str, Answer]:
        made: dict[str, Answer] = {}
        for status, given in mapping(operation.get("responses")).items():
            if str(status).startswith("x-"):
                continue
            try:
                response = self._references.follow(given)
                made[str(status).upper()] = self._answer(response)
            except BadReference:
                made[str(status).upper()] = Answer(
                    {}
                )  # it is answered with something; with what, nobody says
        return made

    def _answer(self, response: Mapping[str, Any]) -> Answer:
        content: dict[str, Schema | None] = {}
        examples: dict[str, Any] = {}
        for media, about in mapping(response.get("content")).items():
            about = mapping(about)
            schema = about.get("schema")
            content[str(media)] = (
                None if schema is None else self.schemas.convert(schema, sent=False)
            )
            if "example" in about:
                examples[str(media)] = about["example"]
            for example in mapping(about.get("examples")).values():
                example = self._references.follow(example)
                if "value" in example:
                    examples.setdefault(str(media), example["value"])
        return Answer(content, examples)

    def _schemes(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for name, scheme in mapping(
            mapping(self._tree.get("components")).get("securitySchemes")
        ).items():
            try:
                found[str(name)] = self._references.follow(scheme)
            except BadReference:
                found[str(name)] = {}
        return found

    def _security(self, operation: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
        given = operation.get("security", self._tree.get("security"))
        return tuple(frozenset(map(str, one)) for one in _listed(given) if isinstance(one, Mapping))

    def _server(self, item: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
        for holder in (operation, item, self._tree):
            for server in _listed(holder.get("servers")):
                if isinstance(server, Mapping) and isinstance(server.get("url"), str):
                    return _filled(server).rstrip("/")
        return ""


def _filled(server: Mapping[str, Any]) -> str:
    """A server's address with the defaults of its variables."""
    url = str(server["url"])
    for name, variable in mapping(server.get("variables")).items():
        url = url.replace(f"{{{name}}}", str(mapping(variable).get("default", "")))
    return url


def _is_ours(place: str, name: str) -> bool:
    return place == "header" and name.casefold() in OURS


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _words(name: str) -> str:
    """getPetById, "repos/list-forks": words."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[^A-Za-z0-9]+", apart)).strip().lower()


def text_of(value: Any) -> str:
    """Markdown as plain text in one line: what it says to a person, and nothing that a terminal obeys."""
    if not isinstance(value, str):
        return ""
    text = re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069]", " ", value
    )
    text = re.sub(r"<[^<>]{0,200}>", " ", text)
    text = re.sub(r"!?\[([^\]\n]{0,300})\]\([^)\n]{0,500}\)", r"\1", text)
    text = re.sub(r"[*_`#>|]{1,3}(?=\S)|(?<=\S)[*`]{1,3}", "", text)
    return " ".join(text.split())
