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
from typing import Any

import yaml

from pointsman.experts.base import Expert
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import Api, read_api
from pointsman.experts.tools.openapi.reading import read_document, read_yaml
from pointsman.experts.tools.openapi.registered import ApiIn, parse_registered
from pointsman.router.errors import BadFile

HEAD = "# What Pointsman may call of this API. Secrets do not belong here: name a variable or a file.\n"


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

    def given(self, name: str) -> ApiIn:
        """The YAML of an API. Raises BadFile."""
        return parse_registered(self._text(self.path / f"{name}.yaml"), f"{name}.yaml")

    def api(self, given: ApiIn) -> Api:
        """The description of an API. Raises BadFile."""
        path = self.path / given.openapi
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadFile(str(path), f"{error.strerror}; it belongs beside the YAML") from error
        return read_api(read_document(content, str(path)))

    def keep(self, given: ApiIn, description: bytes | None = None) -> Path:
        """Writes the YAML, and the description where it is a new one. Returns the YAML's path."""
        self.path.mkdir(parents=True, exist_ok=True)
        if description is not None:
            _write(self.path / given.openapi, description)
        values = given.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        path = self.path / f"{given.name}.yaml"
        _write(path, (HEAD + text).encode())
        return path

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        path = self.path / f"{name}.yaml"
        if not path.is_file():
            return False
        beside = self._tree(path).get("openapi")
        path.unlink()
        if isinstance(beside, str) and Path(beside).name == beside:
            (self.path / beside).unlink(missing_ok=True)
        return True

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


KINDS = {"openapi": _api}
"""The key that says what a YAML describes, and how an expert is made of it."""


def _write(path: Path, content: bytes) -> None:
    """The old content or the new, never a part."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)
