"""Calls of tools and experts without a workspace."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import Tool
from pointsman.router.plan import first_fault

FILES = LocalFiles(Path(tempfile.mkdtemp(prefix="pointsman-tests-")))


def call_of(name: str, arguments: dict[str, Any]) -> Call:
    return Call(name, arguments, FILES, time.time() + 60)


def run(tool: Tool, **arguments: Any) -> Any:
    """The value that a tool gives."""
    return asyncio.run(tool.run(call_of(tool.capability.name, arguments))).value


def ask(experts: list[Expert], name: str, **arguments: Any) -> Done:
    """What the expert that serves a capability gives; its arguments and its value keep the schemas."""
    expert = next(e for e in experts if name in e.card.serves)
    capability = next(c for c in expert.capabilities if c.name == name)
    assert first_fault(arguments, capability.parameters) is None
    done = asyncio.run(expert.run(call_of(name, arguments)))
    assert first_fault(done.value, capability.output) is None
    return done


def column(value: Any, name: str) -> list[Any]:
    place = [c["name"] for c in value["columns"]].index(name)
    return [row[place] for row in value["rows"]]
