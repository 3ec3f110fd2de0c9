"""A description from its text: JSON or YAML, OpenAPI 3.0 and 3.1, Swagger 2.0 (converted).

YAML is read by the rules of JSON (YAML 1.2's core schema): dates stay text, `on` and `yes` too. What a text
may grow to is bounded: its size, its depth, and what its aliases stand for.
"""

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pointsman.experts.tools.openapi.swagger import converted
from pointsman.router.errors import BadFile

LARGEST = 64 << 20
"""Bytes of a description, unpacked."""
DEEPEST = 200
MOST_NODES = 10_000_000
"""Values that a description may stand for, aliases followed."""


@dataclass(frozen=True, slots=True)
class Document:
    """A description in the form of OpenAPI 3. name: where it is from. version: as it was written."""

    name: str
    version: str
    tree: Mapping[str, Any]

    @property
    def title(self) -> str:
        about = self.tree.get("info")
        return str(about.get("title", "")) if isinstance(about, Mapping) else ""

    @property
    def old(self) -> bool:
        """Whether schemas are those of 3.0 and before, which JSON Schema reads otherwise."""
        return not self.version.startswith("3.1")


class _Loader(yaml.CSafeLoader):
    """YAML of which every scalar is one of JSON's."""


_Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), [*first, ""]
    )


def read_document(content: bytes, name: str) -> Document:
    """Raises BadFile: not JSON or YAML, not OpenAPI, a version that is not read, or too large."""
    tree = _parsed(_unpacked(content, name), name)
    if not isinstance(tree, dict):
        raise BadFile(name, "it is no description of an API: an object is expected at the top")
    version = str(tree.get("openapi") or tree.get("swagger") or "")
    if version.startswith("3.2"):
        raise BadFile(
            name,
            f"OpenAPI {version} is not read yet; write it as 3.1 (openapi: 3.1.1) and try again",
        )
    if version.startswith("2."):
        tree = converted(tree)
    elif not version.startswith(("3.0", "3.1")):
        said = f"version {version!r}" if version else "no 'openapi' or 'swagger' field"
        raise BadFile(name, f"OpenAPI 3.0, 3.1 and Swagger 2.0 are read; it has {said}")
    if not isinstance(tree.get("paths", {}), Mapping):
        raise BadFile(name, "its 'paths' is no object")
    return Document(name, version, tree)


def _unpacked(content: bytes, name: str) -> bytes:
    if content[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            content = unpack.decompress(content, LARGEST + 1)
        except (zlib.error, gzip.BadGzipFile) as error:
            raise BadFile(name, f"it cannot be unpacked: {error}") from error
    if len(content) > LARGEST:
        raise BadFile(name, f"it is larger than {LARGEST >> 20} MiB")
    return content


def _parsed(content: bytes, name: str) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(name, f"it is not UTF-8: {error}") from error
    try:
        if text.lstrip()[:1] == "{":
            try:
                return json.loads(text)
            except json.JSONDecodeError as error:
                # YAML may begin with a brace too; what is neither is told as JSON
                try:
                    return read_yaml(text, name)
                except BadFile:
                    raise BadFile(name, f"it is not JSON: {error}") from None
        return read_yaml(text, name)
    except RecursionError:
        raise BadFile(name, "it is nested too deeply") from None


def read_yaml(text: str, name: str) -> Any:
    """YAML by JSON's rules, every key a text. Raises BadFile."""
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise BadFile(name, f"it is not YAML: {' '.join(str(error).split())[:300]}") from error
    _Measured(name).size(tree, 0)
    return _with_text_keys(tree, {})


class _Measured:
    """What a tree stands for when every alias is followed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def size(self, node: Any, depth: int) -> int:
        if not isinstance(node, dict | list):
            return 1
        if depth > DEEPEST:
            raise BadFile(self._name, "it is nested too deeply")
        here = id(node)
        if here in self._open:
            raise BadFile(self._name, "an alias in it contains itself")
        if here not in self._known:
            self._open.add(here)
            inner = node.values() if isinstance(node, dict) else node
            self._known[here] = 1 + sum(self.size(n, depth + 1) for n in inner)
            self._open.discard(here)
            if self._known[here] > MOST_NODES:
                raise BadFile(self._name, "its aliases stand for more than can be read")
        return self._known[here]


def _with_text_keys(node: Any, done: dict[int, Any]) -> Any:
    """Status codes are keys of YAML as numbers; an alias stays one object."""
    if not isinstance(node, dict | list):
        return node
    if id(node) not in done:
        if isinstance(node, dict):
            done[id(node)] = {_key(k): _with_text_keys(v, done) for k, v in node.items()}
        else:
            done[id(node)] = [_with_text_keys(v, done) for v in node]
    return done[id(node)]


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)
