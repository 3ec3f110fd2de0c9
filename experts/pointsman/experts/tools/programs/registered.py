"""Programs and functions that a person registered, in a YAML that can be kept in git.

    name: shop
    programs:
      - name: vat
        description: Adds value-added tax to an amount.
        parameters: {type: object, properties: {amount: {type: number}}, required: [amount]}
        output: {type: number}
        effect: pure
        python: {file: shop_tools.py, function: vat}
      - name: words
        description: Counts the words of a file.
        parameters: {type: object, properties: {file: {x-kind: file}}, required: [file]}
        effect: pure
        command: [/usr/bin/wc, -w, "{file}"]
        result: text
    limits: {seconds: 10, memory: 512}
    read: [/srv/prices]

A command is a list; no shell reads it. A placeholder is one argument or a part of one, so a value cannot become two;
a value that begins with "-" is refused where it stands alone, unless "--" stands before it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pointsman.experts.tools.openapi.reading import read_yaml
from pointsman.experts.tools.openapi.registered import NAME
from pointsman.experts.tools.secrets.sources import Source
from pointsman.router.catalog import CapabilityIn
from pointsman.router.errors import BadFile

PLACEHOLDER = re.compile(r"\{(\w+)\}")
IDENTIFIER = r"^[A-Za-z_]\w*$"


class FunctionIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    function: Annotated[str, Field(pattern=IDENTIFIER)]

    @field_validator("file")
    @classmethod
    def _beside(cls, value: str) -> str:
        if Path(value).name != value or not value.endswith(".py"):
            raise ValueError("a Python file that lies beside this one; give its name only")
        return value


class ProgramIn(CapabilityIn):
    """One tool: a capability, and what is run for it. result: of a command, what it prints or a file it writes."""

    command: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    python: FunctionIn | None = None
    stdin: str = ""
    result: Literal["text", "json"] | Annotated[str, Field(pattern=r"^file:[\w.-]+$")] = "text"

    @model_validator(mode="after")
    def _fits(self) -> "ProgramIn":
        if bool(self.command) == (self.python is not None):
            raise ValueError(f"{self.name}: give either 'command' or 'python'")
        if self.command and not Path(self.command[0]).is_absolute():
            raise ValueError(f"{self.name}: the program is named by its whole path")
        if self.command and PLACEHOLDER.search(self.command[0]):
            raise ValueError(f"{self.name}: which program is run is not an argument")
        known = self.parameters.get("properties", {})
        for used in PLACEHOLDER.findall(" ".join([*self.command, self.stdin])):
            if used not in known:
                raise ValueError(f"{self.name}: {used!r} is no parameter of it")
        return self

    @property
    def shown(self) -> str:
        """What is run, for people."""
        return (
            f"{self.python.file}:{self.python.function}" if self.python else " ".join(self.command)
        )


class LimitsIn(BaseModel):
    """seconds: of a clock, and of the processor. memory, file: megabytes. lenient: run also where this machine cannot
    keep a process from files or the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    memory: Annotated[int, Field(ge=16, le=1 << 20)] = 512
    file: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    output: Annotated[int, Field(ge=1, le=64)] = 1
    network: bool = False
    lenient: bool = False


class ProgramsIn(BaseModel):
    """read: paths besides the system's own that may be read. env: what a process is given besides nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME)]
    programs: Annotated[tuple[ProgramIn, ...], Field(min_length=1)]
    limits: LimitsIn = LimitsIn()
    read: tuple[Path, ...] = ()
    env: Mapping[str, Source] = Field(default_factory=dict)
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """`vat` of `shop` is the capability `shop.vat`."""
        if isinstance(value, dict) and isinstance(value.get("programs"), list):
            prefix = f"{value.get('name')}."
            for one in value["programs"]:
                if isinstance(one, dict) and not str(one.get("name", "")).startswith(prefix):
                    one["name"] = prefix + str(one.get("name", ""))
        return value

    def files(self) -> list[str]:
        """Python files that lie beside the YAML."""
        return sorted({p.python.file for p in self.programs if p.python is not None})


def parse_programs(text: str, name: str) -> ProgramsIn:
    """Raises BadFile."""
    try:
        return ProgramsIn.model_validate(read_yaml(text, name))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise BadFile(name, f"at {where}: {first['msg']}" if where else first["msg"]) from None
