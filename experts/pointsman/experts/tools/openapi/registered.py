"""One API that a person registered: a small YAML that can be kept in git, with its description beside it.

    openapi: tmdb.openapi.json
    name: tmdb
    url: https://api.themoviedb.org/3
    include: ["GET *"]
    exclude: ["tag:account"]
    rename: {GET_search-person: find_person}
    describe:
      GET_search-person: {title: search people, examples: ["who is Sofia Coppola"]}
      DELETE /list/{id}: {approval: true}
    auth: {api_key: {key: {env: TMDB_KEY}}}
    pages: 3

`include` and `exclude` hold patterns with `*` for an operation as it is listed ("GET /pets/*"), its id, or a tag
("tag:pets"); they are read in this order. `rename` and `describe` name an operation by its id or as it is listed.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pointsman.experts.tools.openapi.operations import Operation
from pointsman.experts.tools.openapi.reading import read_yaml
from pointsman.experts.tools.openapi.responses import Check
from pointsman.experts.tools.secrets.schemes import AuthIn
from pointsman.router.catalog import Effect
from pointsman.router.errors import BadFile

NAME = r"^[a-z][a-z0-9_]{0,39}$"
RENAMED = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"


class WordsIn(BaseModel):
    """What a person says of an operation in place of its description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str | None = None
    description: str | None = None
    examples: tuple[str, ...] = ()
    composition: tuple[str, ...] = ()
    effect: Effect | None = None
    approval: bool | None = None

    def given(self) -> dict[str, Any]:
        return {k: v for k, v in self if v is not None and v != ()}


class ApiIn(AuthIn):
    """url: of the server, in place of the one in the description. allow: "host:port" that may be called although not
    public. pages: how many are laid together. check: what an answer that is not as described leads to.
    connections: to the server, at a time.
    """

    openapi: str
    name: Annotated[str, Field(pattern=NAME)]
    source: str = ""
    url: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, Annotated[str, Field(pattern=f"^{RENAMED}$")]] = Field(
        default_factory=dict
    )
    describe: Mapping[str, WordsIn] = Field(default_factory=dict)
    allow: tuple[str, ...] = ()
    pages: Annotated[int, Field(ge=1, le=100)] = 3
    check: Check = "note"
    connections: Annotated[int, Field(ge=1, le=512)] = 64

    @field_validator("openapi")
    @classmethod
    def _beside(cls, value: str) -> str:
        if not value or Path(value).name != value:
            raise ValueError("the description lies beside this file; give its name only")
        return value

    def wants(self, operation: Operation) -> bool:
        if any(_matches(p, operation) for p in self.exclude):
            return False
        return not self.include or any(_matches(p, operation) for p in self.include)

    def words(self, operation: Operation) -> dict[str, Any]:
        for name in (operation.id, operation.key):
            if name in self.describe:
                return self.describe[name].given()
        return {}

    def renamed(self, operation: Operation) -> str | None:
        return self.rename.get(operation.id) or self.rename.get(operation.key)


def _matches(pattern: str, operation: Operation) -> bool:
    if pattern.startswith("tag:"):
        return any(fnmatchcase(t, pattern[4:]) for t in operation.tags)
    return fnmatchcase(operation.key, pattern) or fnmatchcase(operation.id, pattern)


def parse_registered(text: str, name: str) -> ApiIn:
    """Raises BadFile."""
    try:
        return ApiIn.model_validate(read_yaml(text, name))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise BadFile(name, f"at {where}: {first['msg']}") from None
