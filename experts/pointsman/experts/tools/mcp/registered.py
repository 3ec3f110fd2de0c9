"""One MCP server that a person registered: a YAML that can be kept in git, with the list of its tools beside it.

    mcp: shop.tools.json
    name: shop
    command: [python, shop_server.py]        # or  url: https://mcp.example.com/mcp
    env: {SHOP_KEY: {env: SHOP_KEY}}         # what the program is given besides a bare environment
    token: {env: MCP_TOKEN}                  # sent as a bearer token over HTTP
    tenants: {acme: {env: ACME_TOKEN}}
    trust: false
    include: ["find_*"]
    describe: {find: {effect: pure, examples: ["find a red chair"]}}

What a server says of its tools (that one only reads, that one may be repeated) is a hint: with `trust: true` it is
believed, else a tool is `once`, unless `describe` says otherwise. A tool that is not what it was when it was added is
not called until `pointsman tools update` has shown the difference.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pointsman.experts.tools.openapi.reading import read_yaml
from pointsman.experts.tools.openapi.registered import NAME, RENAMED, WordsIn
from pointsman.experts.tools.secrets.sources import Source
from pointsman.router.errors import BadFile

Protocol = Literal["auto", "legacy", "2026-07-28"]


class McpIn(BaseModel):
    """protocol: "auto" asks the server and falls back to the handshake of 2025-11-25 and before ("legacy")."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mcp: str
    name: Annotated[str, Field(pattern=NAME)]
    command: tuple[str, ...] = ()
    folder: Path | None = None
    url: str = ""
    env: Mapping[str, Source] = Field(default_factory=dict)
    token: Source | None = None
    tenants: Mapping[str, Source] = Field(default_factory=dict)
    trust: bool = False
    protocol: Protocol = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, Annotated[str, Field(pattern=f"^{RENAMED}$")]] = Field(
        default_factory=dict
    )
    describe: Mapping[str, WordsIn] = Field(default_factory=dict)
    allow: tuple[str, ...] = ()
    connections: Annotated[int, Field(ge=1, le=128)] = 8

    @field_validator("mcp")
    @classmethod
    def _beside(cls, value: str) -> str:
        if not value or Path(value).name != value:
            raise ValueError("the list of tools lies beside this file; give its name only")
        return value

    @model_validator(mode="after")
    def _one(self) -> "McpIn":
        if bool(self.command) == bool(self.url):
            raise ValueError("give either 'command' or 'url'")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("'url' begins with http:// or https://")
        if self.command and (self.token is not None or self.tenants):
            raise ValueError(
                "a program is given its secrets by 'env'; 'token' and 'tenants' go with 'url'"
            )
        return self

    def wants(self, tool: str) -> bool:
        if any(fnmatchcase(tool, p) for p in self.exclude):
            return False
        return not self.include or any(fnmatchcase(tool, p) for p in self.include)


def parse_mcp(text: str, name: str) -> McpIn:
    """Raises BadFile."""
    try:
        return McpIn.model_validate(read_yaml(text, name))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise BadFile(name, f"at {where}: {first['msg']}" if where else first["msg"]) from None
