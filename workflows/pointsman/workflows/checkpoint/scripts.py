"""The Lua scripts, and the one way to call them: asked for by a generator, answered by whoever drives it."""

import hashlib
import json
from collections.abc import Generator, Sequence
from importlib.resources import files
from typing import Any, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")


class Script(NamedTuple):
    source: str
    digest: str


class Call(NamedTuple):
    """A script to run, with keys of one slot."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes]


Steps: TypeAlias = Generator[Call, Any, T]
"""An operation without its input and output: yields calls, is sent their replies, returns its result.

Replies are nested lists of bytes, integers and None, as the script's last line says.
"""

PARTS = {
    "copy_in": (),
    "copy_out": (),
    "delete": (),
    "forget": ("removal",),
    "history": ("reading",),
    "load": ("reading",),
    "metadata": (),
    "places": (),
    "prune": ("removal",),
    "put": (),
    "threads": (),
    "with_runs": (),
    "write": (),
}
"""Each script, and what stands between the common part and its own."""


def _script(name: str) -> Script:
    folder = files(__name__.rpartition(".")[0]) / "lua"
    parts = ("common", *PARTS[name], name)
    source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {name: _script(name) for name in PARTS}


def call(script: str, keys: Sequence[str], header: dict[str, Any], *more: str | bytes) -> Call:
    """The header goes as JSON, readable by the script; values go as they are."""
    return Call(SCRIPTS[script], keys, (json.dumps(header, ensure_ascii=False), *more))
