"""Tools of a server as capabilities."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from mcp_types import Tool
from pydantic import TypeAdapter, ValidationError

from pointsman.experts.tools.mcp.registered import McpIn
from pointsman.experts.tools.openapi.capabilities import (
    DESCRIPTION,
    PRIOR,
    TITLE,
    described,
    dotted,
)
from pointsman.experts.tools.openapi.operations import Skipped, text_of
from pointsman.experts.tools.openapi.outlines import outline, shortened
from pointsman.experts.tools.openapi.references import BadReference, References
from pointsman.experts.tools.openapi.schemas import Schemas
from pointsman.router.catalog import Capability, Effect
from pointsman.router.errors import BadFile

TOOLS: TypeAdapter[list[Tool]] = TypeAdapter(list[Tool])
Validator = jsonschema_rs.Draft202012Validator


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool under its name in the catalog. digest: of all that the server says of it."""

    capability: Capability
    name: str
    arguments: Validator
    outcome: Validator | None
    digest: str


def read_tools(content: bytes, name: str) -> list[Tool]:
    """The list that was kept. Raises BadFile."""
    try:
        return TOOLS.validate_json(content)
    except ValidationError as error:
        raise BadFile(name, f"it is no list of tools: {error.errors()[0]['msg']}") from None


def written(tools: Sequence[Tool]) -> bytes:
    """The list as it is kept, the same for the same tools."""
    plain = [as_json(t) for t in sorted(tools, key=lambda t: t.name)]
    return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def as_json(tool: Tool) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tool.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"icons"})  # fmt: skip
    return found


def digest_of(tool: Tool) -> str:
    text = json.dumps(as_json(tool), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def offers(given: McpIn, tools: Sequence[Tool]) -> tuple[dict[str, OfferedTool], list[Skipped]]:
    """What is offered of a server, by name of the capability, and what is left out and why. Raises BadFile."""
    made: dict[str, OfferedTool] = {}
    skipped: list[Skipped] = []
    for tool in tools:
        if not given.wants(tool.name):
            skipped.append(Skipped(tool.name, "left out by include or exclude"))
            continue
        name = f"{given.name}.{given.rename.get(tool.name) or dotted(tool.name)}"
        if name in made:
            raise BadFile(given.name, f"two tools are named {name!r}; rename one")
        try:
            made[name] = _offered(given, name, tool)
        except (BadReference, ValueError) as error:
            skipped.append(Skipped(tool.name, f"its schema cannot be used: {' '.join(str(error).split())[:200]}"))  # fmt: skip
    return made, skipped


def _offered(given: McpIn, name: str, tool: Tool) -> OfferedTool:
    if tool.input_schema.get("type") != "object":
        raise ValueError("its arguments are no object")
    parameters = outlined(tool.input_schema, sent=True)
    says = given.describe[tool.name].given() if tool.name in given.describe else {}
    about = text_of(tool.description) or text_of(tool.title) or tool.name
    capability = Capability(
        name=name,
        title=shortened(text_of(tool.title) or about.partition(". ")[0], TITLE),
        description=shortened(about, DESCRIPTION),
        parameters={"properties": {}, **parameters, "type": "object"},
        output=outlined(tool.output_schema, sent=False) if tool.output_schema else {},
        effect=effect_of(tool, trust=given.trust),
        approval=given.trust and _destroys(tool),
        prior=PRIOR,
    )
    return OfferedTool(
        described(capability, says),
        tool.name,
        _compiled(tool.input_schema),
        _compiled(tool.output_schema) if tool.output_schema else None,
        digest_of(tool),
    )


def effect_of(tool: Tool, *, trust: bool) -> Effect:
    """A hint counts only from a server that the operator trusts; without one a tool may do anything."""
    hints = tool.annotations
    if not trust or hints is None:
        return "once"
    if hints.read_only_hint:
        return "pure"
    return "idempotent" if hints.idempotent_hint else "once"


def _destroys(tool: Tool) -> bool:
    hints = tool.annotations
    return hints is not None and bool(hints.destructive_hint) and not hints.read_only_hint


def outlined(schema: Mapping[str, Any], *, sent: bool) -> dict[str, Any]:
    """A schema in the form of the catalog: no references, a few levels."""
    schemas = Schemas(References(schema), old=False)
    return outline(schemas.convert(dict(schema), sent=sent), schemas, sent=sent)


def _compiled(schema: Mapping[str, Any]) -> Validator:
    plain = {k: v for k, v in schema.items() if k not in ("$schema", "$id")}
    return jsonschema_rs.Draft202012Validator(plain, offline=True)
