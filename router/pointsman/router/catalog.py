"""Capabilities: what can be asked for, and the searchable set of them.

A Capability holds the five parts of TaskMatrix.AI's API platform (arXiv 2303.16434, section 3.2: name,
parameters, description, usage examples, composition instructions), and what planning and routing need
beside them: the output's schema, the effect class, and priors of quality, cost and latency.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import BadCapability, DuplicateCapability
from pointsman.router.values import Schema, kinds_of

Effect = Literal["pure", "idempotent", "keyed", "once"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected of one call before anything was measured.

    quality: 0..1, share of calls that do what was asked. cost: micro-dollars. latency: seconds.
    """

    quality: float = 0.8
    cost: int = 0
    latency: float = 0.05


@dataclass(frozen=True, slots=True)
class Capability:
    """What can be asked for. `parameters` and `output` are JSON Schema (2020-12).

    name: dotted, lower case ("table.filter"). title: a short phrase shown to people ("filter rows").
    examples: requests in plain language that this serves. composition: hints of what goes before and
    after it. `output` may carry `x-adds` (list of {"name", "type"} columns that the result has beside those
    of the table it was given) or `x-columns` (all columns of the resulting table). approval: every call
    needs a person's yes to its exact arguments.
    """

    name: str
    description: str
    parameters: Schema
    output: Schema
    title: str = ""
    examples: tuple[str, ...] = ()
    composition: tuple[str, ...] = ()
    effect: Effect = "pure"
    approval: bool = False
    prior: Prior = field(default_factory=Prior)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadCapability(
                self.name, "names are lower-case words joined by dots, as 'table.filter'"
            )
        if not self.description.strip():
            raise BadCapability(self.name, "it has no description; say what it does in a sentence")
        for label, schema in (("parameters", self.parameters), ("output", self.output)):
            try:
                # a thousand descriptions of an imported API are checked in the time of one in pure Python
                jsonschema_rs.meta.validate({"$schema": DIALECT, **schema})
            except (jsonschema_rs.ValidationError, ValueError) as error:
                raise BadCapability(
                    self.name, f"{label} is no JSON Schema: {getattr(error, 'message', error)}"
                ) from error
        if self.parameters.get("type") != "object":
            raise BadCapability(self.name, "parameters must be a JSON Schema of type 'object'")

    @property
    def properties(self) -> Mapping[str, Schema]:
        properties: Mapping[str, Schema] = self.parameters.get("properties", {})
        return properties

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.parameters.get("required", ()))

    @property
    def gives(self) -> frozenset[str]:
        """Kinds of value that come out."""
        return kinds_of(self.output)

    def takes(self, parameter: str) -> frozenset[str]:
        """Kinds of value that a parameter accepts."""
        return kinds_of(self.properties[parameter])

    def to_json(self) -> dict[str, Any]:
        return CapabilityIn(
            name=self.name,
            title=self.title,
            description=self.description,
            parameters=dict(self.parameters),
            output=dict(self.output),
            examples=list(self.examples),
            composition=list(self.composition),
            effect=self.effect,
            approval=self.approval,
            prior=PriorIn(
                quality=self.prior.quality, cost=self.prior.cost, latency=self.prior.latency
            ),
        ).model_dump()


class PriorIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quality: Annotated[float, Field(ge=0, le=1)] = 0.8
    cost: Annotated[int, Field(ge=0)] = 0
    latency: Annotated[float, Field(ge=0)] = 0.05

    def prior(self) -> Prior:
        return Prior(self.quality, self.cost, self.latency)


class CapabilityIn(BaseModel):
    """Wire and YAML form of a capability."""

    model_config = ConfigDict(extra="forbid")

    name: str
    description: str
    title: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    output: dict[str, Any] = Field(default_factory=dict)
    examples: list[str] = Field(default_factory=list)
    composition: list[str] = Field(default_factory=list)
    effect: Effect = "once"
    approval: bool = False
    prior: PriorIn = Field(default_factory=PriorIn)

    def capability(self) -> Capability:
        return Capability(
            name=self.name,
            title=self.title,
            description=self.description,
            parameters=self.parameters,
            output=self.output,
            examples=tuple(self.examples),
            composition=tuple(self.composition),
            effect=self.effect,
            approval=self.approval,
            prior=self.prior.prior(),
        )


def parse_capability(value: Any) -> Capability:
    """A capability from its wire form. Raises BadCapability."""
    try:
        return CapabilityIn.model_validate(value).capability()
    except ValidationError as error:
        name = str(value.get("name", "?")) if isinstance(value, Mapping) else "?"
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise BadCapability(name, f"{where}: {first['msg']}") from error


class Catalog:
    """A set of capabilities by name. Not changed by planning; `version` counts the changes."""

    def __init__(self, capabilities: Iterable[Capability] = ()) -> None:
        self._by_name: dict[str, Capability] = {}
        self.version = 0
        for capability in capabilities:
            self.add(capability)

    def add(self, capability: Capability, *, replace: bool = False) -> None:
        """Raises DuplicateCapability when another capability has the name and `replace` is false."""
        present = self._by_name.get(capability.name)
        if present == capability:
            return
        if present is not None and not replace:
            raise DuplicateCapability(capability.name)
        self._by_name[capability.name] = capability
        self.version += 1

    def remove(self, name: str) -> None:
        if self._by_name.pop(name, None) is not None:
            self.version += 1

    def get(self, name: str) -> Capability | None:
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> Capability:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Capability]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Names that a misspelt one may have meant, at most three."""
        return tuple(get_close_matches(name, self._by_name, n=3, cutoff=0.5))
