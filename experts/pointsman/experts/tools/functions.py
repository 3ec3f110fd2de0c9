"""Python functions as capabilities: a decorator reads the type hints and the docstring.

    @capability("money.vat", examples=["add 19 % VAT to 240"])
    def vat(amount: float, rate: float = 19.0) -> float:
        \"\"\"Adds value-added tax to an amount.

        Args:
            amount: the amount without tax.
            rate: the tax rate in per cent.
        \"\"\"
        return amount * (1 + rate / 100)

Table, Quantity and FileRef may be used as hints, also in unions and lists: they are parsed from the
slot's JSON and written back. A parameter hinted `Call` receives the call itself and is not part of the
schema. The function may be `async`; one that is not runs in a thread.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from pointsman.experts.base import Call, Done, Reconciled
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, Effect, Prior
from pointsman.router.errors import BadArguments, BadCapability, ExpertFailed
from pointsman.router.values import FileRef, Quantity, Schema, Table

PLAIN = (str, int, float, bool)
Function = Callable[..., Any]
Reconcile = Callable[[Call], Awaitable[Reconciled]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function and the capability it serves. Calling it calls the function."""

    capability: Capability
    function: Function
    arguments: type[Any]
    call_parameter: str | None
    reconcile: Reconcile | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    async def run(self, call: Call) -> Done:
        """Raises BadArguments when the arguments break the schema."""
        given = self.parse(call.arguments)
        if self.call_parameter is not None:
            given[self.call_parameter] = call
        if inspect.iscoroutinefunction(self.function):
            value = await self.function(**given)
        else:
            value = await asyncio.to_thread(self.function, **given)
        return as_done(value)

    def parse(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            model = self.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"])
            raise BadArguments(f"{self.capability.name}: {where}: {first['msg']}") from error
        return {name: getattr(model, name) for name in type(model).model_fields}


def capability(
    name: str,
    *,
    title: str = "",
    examples: Iterable[str] = (),
    composition: Iterable[str] = (),
    effect: Effect = "pure",
    approval: bool = False,
    reconcile: Reconcile | None = None,
    prior: Prior | None = None,
    output: Schema | None = None,
) -> Callable[[Function], Tool]:
    """Makes a Tool of a function.

    approval: every call needs a person's yes. reconcile: for effects of class `once`, an asynchronous
    function that finds out whether an earlier attempt of the same call has had its effect. Raises
    BadCapability when a hint or the docstring is missing.
    """

    def decorate(function: Function) -> Tool:
        description, about = read_docstring(inspect.getdoc(function) or "")
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            raise BadCapability(name, f"a hint cannot be read: {error}; import it") from error
        arguments, call_parameter = _arguments_model(name, function, hints, about)
        made = Capability(
            name=name,
            title=title or name.replace(".", " ").replace("_", " "),
            description=description,
            parameters=_without_titles(arguments.model_json_schema()),
            output=output if output is not None else _schema_of(name, hints.get("return", Any)),
            examples=tuple(examples),
            composition=tuple(composition),
            effect=effect,
            approval=approval,
            prior=prior or Prior(quality=0.95),
        )
        return Tool(made, function, arguments, call_parameter, reconcile)

    return decorate


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, in one line, and what the `Args:` section says of each parameter."""
    head = text.partition("\n\n")[0]
    about: dict[str, str] = {}
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    current = ""
    for line in section.group(1).splitlines() if section else ():
        match = re.match(r"\s+(\w+):\s*(.*)", line)
        if match and not line.startswith("        "):
            current = match.group(1)
            about[current] = match.group(2).strip()
        elif current and line.strip():
            about[current] += " " + line.strip()
    return " ".join(head.split()), about


def _arguments_model(
    name: str, function: Function, hints: Mapping[str, Any], about: Mapping[str, str]
) -> tuple[type[Any], str | None]:
    fields: dict[str, Any] = {}
    call_parameter = None
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if hint is None or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise BadCapability(name, f"parameter {parameter.name!r} needs a type hint of its own")
        if hint is Call:
            call_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (
            hint,
            Field(default=default, description=about.get(parameter.name)),
        )
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    try:
        model = create_model(f"{function.__name__}_arguments", __config__=config, **fields)
    except PydanticSchemaGenerationError as error:
        raise BadCapability(name, f"a hint has no JSON form: {error}") from error
    return model, call_parameter


def _schema_of(name: str, hint: Any) -> Schema:
    if hint in (Any, None, Done):
        return {}
    try:
        schema: Schema = _without_titles(TypeAdapter(hint).json_schema(mode="validation"))
    except PydanticSchemaGenerationError as error:
        raise BadCapability(name, f"the result has no JSON form: {error}") from error
    return schema


def _without_titles(schema: Any) -> Any:
    """pydantic titles every property with its own name, which says nothing."""
    if isinstance(schema, list):
        return [_without_titles(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        k: {n: _without_titles(s) for n, s in v.items()}
        if k == "properties"
        else _without_titles(v)
        for k, v in schema.items()
        if not (k == "title" and isinstance(v, str))
    }


def as_done(value: Any) -> Done:
    """What a function returned as a Done, values in their JSON form."""
    if isinstance(value, Done):
        return value
    return Done(to_json(value))


def to_json(value: Any) -> Any:
    """Raises ExpertFailed when a value has no JSON form."""
    if value is None or type(value) in PLAIN:
        return value
    if isinstance(value, Table | Quantity | FileRef):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: to_json(v) for k, v in value.items()}
    try:
        kind: Any = type(value)
        return _adapter(kind).dump_python(value, mode="json")
    except (PydanticSchemaGenerationError, ValueError) as error:
        raise ExpertFailed(
            f"the result {type(value).__name__} has no JSON form: {error}"
        ) from error


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


class ToolExpert:
    """One expert that serves a set of tools."""

    def __init__(
        self, name: str, description: str, tools: Sequence[Tool], *, concurrency: int = 8
    ) -> None:
        self._tools = {t.capability.name: t for t in tools}
        self.capabilities: Sequence[Capability] = tuple(t.capability for t in tools)
        self.card = ExpertCard(
            name=name,
            kind="tool",
            description=description,
            serves={c.name: c.prior for c in self.capabilities},
            concurrency=concurrency,
        )

    async def run(self, call: Call) -> Done:
        return await self._tools[call.capability].run(call)

    async def reconcile(self, call: Call) -> Reconciled:
        hook = self._tools[call.capability].reconcile
        return await hook(call) if hook is not None else Reconciled("unknown")

    async def close(self) -> None:
        return None
