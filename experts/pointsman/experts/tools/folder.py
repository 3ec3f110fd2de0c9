"""The folder of registered tools: one YAML for each, with what it was made from beside it; made to be kept in git.

tools/
    tmdb.yaml            openapi: tmdb.openapi.json ...
    tmdb.openapi.json    the description as it was given
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pointsman.experts.base import Expert
from pointsman.experts.tools.mcp.registered import McpIn, parse_mcp
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import Api, read_api
from pointsman.experts.tools.openapi.reading import read_document, read_yaml
from pointsman.experts.tools.openapi.registered import ApiIn, parse_registered
from pointsman.experts.tools.programs.expert import ProgramsExpert
from pointsman.experts.tools.programs.registered import ProgramsIn, parse_programs
from pointsman.router.errors import BadFile

if TYPE_CHECKING:
    from mcp_types import Tool

HEAD = "# What Pointsman may call of it. Secrets do not belong here: name a variable or a file.\n"


@dataclass(frozen=True, slots=True)
class Registered:
    """A tool as it lies in the folder."""

    name: str
    path: Path
    kind: str


class ToolFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def registered(self) -> list[Registered]:
        """What is there, by name. Raises BadFile for a YAML that is none of ours."""
        found = []
        for path in sorted(self.path.glob("*.yaml")) if self.path.is_dir() else ():
            kind = next((k for k in KINDS if k in self._tree(path)), None)
            if kind is None:
                raise BadFile(str(path), f"it has none of: {', '.join(KINDS)}")
            found.append(Registered(path.stem, path, kind))
        return found

    def load(self, allow: Sequence[str] = ()) -> list[Expert]:
        """An expert for each. Raises BadFile, BadCapability."""
        return [KINDS[one.kind](self, one, allow) for one in self.registered()]

    def kind(self, name: str) -> str:
        """The kind of a tool. Raises BadFile when there is none of that name."""
        found = next((r.kind for r in self.registered() if r.name == name), None)
        if found is None:
            raise BadFile(f"{name}.yaml", "there is no such tool")
        return found

    def given(self, name: str) -> ApiIn:
        """The YAML of an API. Raises BadFile."""
        return parse_registered(self._text(self.path / f"{name}.yaml"), f"{name}.yaml")

    def server(self, name: str) -> McpIn:
        """The YAML of an MCP server. Raises BadFile."""
        return parse_mcp(self._text(self.path / f"{name}.yaml"), f"{name}.yaml")

    def tools_of(self, given: McpIn) -> "list[Tool]":
        """The tools of a server as they were when it was added or updated. Raises BadFile."""
        from pointsman.experts.tools.mcp.offered import read_tools

        return read_tools(self._beside(given.mcp), given.mcp)

    def programs(self, name: str) -> ProgramsIn:
        """The YAML of programs. Raises BadFile."""
        return parse_programs(self._text(self.path / f"{name}.yaml"), f"{name}.yaml")

    def api(self, given: ApiIn) -> Api:
        """The description of an API. Raises BadFile."""
        return read_api(read_document(self._beside(given.openapi), given.openapi))

    def keep(self, given: ApiIn | McpIn, beside: bytes) -> Path:
        """Writes the YAML and the description, or the list of tools, beside it. Returns the YAML's path."""
        self.path.mkdir(parents=True, exist_ok=True)
        _write(self.path / (given.openapi if isinstance(given, ApiIn) else given.mcp), beside)
        values = given.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        path = self.path / f"{given.name}.yaml"
        _write(path, (HEAD + text).encode())
        return path

    def copy(self, source: Path) -> Path:
        """Takes over a YAML of programs and the Python files beside it. Raises BadFile."""
        text = self._text(source)
        given = parse_programs(text, str(source))
        ProgramsExpert(given, source.parent)
        self.path.mkdir(parents=True, exist_ok=True)
        for name in given.files():
            _write(self.path / name, (source.parent / name).read_bytes())
        _write(self.path / f"{given.name}.yaml", text.encode())
        return self.path / f"{given.name}.yaml"

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        path = self.path / f"{name}.yaml"
        if not path.is_file():
            return False
        tree = self._tree(path)
        beside_it = [tree.get("openapi"), tree.get("mcp")]
        if "programs" in tree:
            beside_it += self.programs(name).files()
        path.unlink()
        for beside in beside_it:
            if isinstance(beside, str) and Path(beside).name == beside:
                (self.path / beside).unlink(missing_ok=True)
        return True

    def _beside(self, name: str) -> bytes:
        path = self.path / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise BadFile(str(path), f"{error.strerror}; it belongs beside the YAML") from error

    def _tree(self, path: Path) -> Mapping[str, Any]:
        tree = read_yaml(self._text(path), str(path))
        if not isinstance(tree, dict):
            raise BadFile(str(path), "an object is expected at its top")
        return tree

    def _text(self, path: Path) -> str:
        try:
            return path.read_text("utf-8")
        except FileNotFoundError as error:
            raise BadFile(str(path), "there is no such tool") from error
        except (OSError, UnicodeDecodeError) as error:
            raise BadFile(str(path), str(error)) from error


def _api(folder: ToolFolder, one: Registered, allow: Sequence[str]) -> Expert:
    given = folder.given(one.name)
    return ApiExpert(given, folder.api(given), allow)


def _server(folder: ToolFolder, one: Registered, allow: Sequence[str]) -> Expert:
    from pointsman.experts.tools.mcp.expert import McpExpert  # its library takes a second to import

    given = folder.server(one.name)
    return McpExpert(given, folder.tools_of(given), allow)


def _programs(folder: ToolFolder, one: Registered, _: Sequence[str]) -> Expert:
    return ProgramsExpert(folder.programs(one.name), folder.path)


KINDS = {"openapi": _api, "mcp": _server, "programs": _programs}
"""The key that says what a YAML describes, and how an expert is made of it."""


def _write(path: Path, content: bytes) -> None:
    """The old content or the new, never a part."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)
