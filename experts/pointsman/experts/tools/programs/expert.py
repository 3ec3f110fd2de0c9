"""Calls programs and functions, each call in a folder and a process of its own."""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.openapi.requests import fault
from pointsman.experts.tools.openapi.serialising import plain
from pointsman.experts.tools.programs import calling
from pointsman.experts.tools.programs.jail import REFUSED
from pointsman.experts.tools.programs.registered import PLACEHOLDER, ProgramIn, ProgramsIn
from pointsman.experts.tools.programs.running import Ended, ran
from pointsman.experts.tools.secrets.scrubbing import Scrubber
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability
from pointsman.router.errors import BadArguments, BadFile, ExpertError, ExpertFailed
from pointsman.router.values import FileRef, is_kind

TOLD = 300
RESULT = "result.json"


class NotIsolated(ExpertError):
    """This machine cannot hold a program to its limits. Nothing was run."""

    code = "expert.not-isolated"
    retryable = False
    nothing_done = True


class ProgramFailed(ExpertError):
    """A program ended with a fault. Whether it did something before, nobody knows."""

    code = "expert.program-failed"
    retryable = False


class ProgramsExpert:
    """Serves the programs of one YAML. folder: where its Python files lie. Raises BadFile, BadCapability."""

    def __init__(self, given: ProgramsIn, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._programs = {p.name: p for p in given.programs}
        if len(self._programs) < len(given.programs):
            raise BadFile(given.name, "two programs have one name")
        for name in given.files():
            if not (folder / name).is_file():
                raise BadFile(
                    str(folder / name), "there is no such file; it belongs beside the YAML"
                )
        self.capabilities: Sequence[Capability] = tuple(p.capability() for p in given.programs)
        self._checked = {
            c.name: jsonschema_rs.Draft202012Validator(dict(c.parameters), offline=True)
            for c in self.capabilities
        }
        self.card = ExpertCard(
            name=given.name,
            kind="tool",
            description=f"{given.name}: programs of this machine",
            serves={c.name: c.prior for c in self.capabilities},
            concurrency=given.concurrency,
        )

    async def run(self, call: Call) -> Done:
        """Raises ExpertError; BadArguments before anything is started."""
        program = self._programs[call.capability]
        why = fault(self._checked[call.capability], dict(call.arguments))
        if why is not None:
            raise BadArguments(f"{call.capability}: {why}")
        environment = {k: s.read().get_secret_value() for k, s in self._given.env.items()}
        scrubber = Scrubber(environment.values())
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="pointsman-tool-"))
        try:
            value = await self._value(program, call, folder, environment)
        except ExpertError as error:
            error.message = scrubber.text(error.message)
            error.args = (error.message,)
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)
        return Done(scrubber.value(value) if scrubber else value)

    async def _value(
        self, program: ProgramIn, call: Call, folder: Path, environment: Mapping[str, str]
    ) -> Any:
        arguments = await asyncio.to_thread(_with_files, call, folder)
        if program.python is not None:
            path = self._folder.resolve() / program.python.file
            command = [sys.executable, "-I", calling.__file__, str(path), program.python.function]
            stdin, read = json.dumps(arguments).encode(), (*self._given.read, path)
        else:
            command = [_filled(part, arguments, program.command[1:place]) for place, part in enumerate(program.command)]  # fmt: skip
            stdin, read = _text(program.stdin, arguments).encode(), self._given.read
        seconds = min(self._given.limits.seconds, max(0.1, call.deadline - time.time()))
        ended = await ran(
            command,
            folder=folder,
            stdin=stdin,
            limits=self._given.limits,
            seconds=seconds,
            read=read,
            environment=environment,
        )
        _check(program.name, ended, seconds)
        return await asyncio.to_thread(_result, program, ended, call, folder)

    async def close(self) -> None:
        return None


def _with_files(call: Call, folder: Path) -> dict[str, Any]:
    """Arguments, in which a file is the path of a copy in the call's folder."""
    made: dict[str, Any] = {}
    for name, value in call.arguments.items():
        if is_kind(value, "file"):
            file = FileRef.from_json(value)
            copy = folder / f"{name}-{Path(file.name).name.lstrip('-.') or 'file'}"
            shutil.copyfile(call.files.path(file), copy)
            value = str(copy)
        made[name] = value
    return made


def _filled(part: str, arguments: Mapping[str, Any], before: Sequence[str]) -> str:
    """One argument of a command. Raises BadArguments for a value that would be taken for an option."""
    text = _text(part, arguments)
    alone = PLACEHOLDER.match(part) is not None
    if alone and text.startswith("-") and "--" not in before:
        raise BadArguments(f"{text[:40]!r} would be taken for an option; give another value")
    if "\0" in text:
        raise BadArguments("a null character cannot stand in an argument")
    return text


def _text(template: str, arguments: Mapping[str, Any]) -> str:
    return PLACEHOLDER.sub(lambda m: plain(arguments.get(m.group(1))), template)


def _check(name: str, ended: Ended, seconds: float) -> None:
    """Raises what a process that did not end well is called."""
    said = " ".join(ended.err.decode("utf-8", "replace").split())[-TOLD:]
    if ended.code == REFUSED:
        raise NotIsolated(f"{name} is not run: {said}")
    if ended.late or ended.code == -signal.SIGXCPU:
        raise ExpertFailed(f"{name} was stopped after {seconds:.0f} s")
    if ended.flooded:
        raise ProgramFailed(f"{name} was stopped: it writes more than it may")
    if ended.code == -signal.SIGXFSZ:
        raise ProgramFailed(f"{name} was stopped: it wrote a file larger than it may")
    if ended.code:
        raise ProgramFailed(f"{name} ended with {ended.code}" + (f": {said!r}" if said else ""))


def _result(program: ProgramIn, ended: Ended, call: Call, folder: Path) -> Any:
    if program.python is not None:
        return _json((folder / RESULT).read_bytes(), program.name)
    if program.result == "json":
        return _json(ended.out, program.name)
    if program.result == "text":
        return ended.out.decode("utf-8", "replace").rstrip("\n")
    path = folder / program.result.removeprefix("file:")
    if path.is_symlink() or not path.is_file():
        raise ProgramFailed(f"{program.name} wrote no {path.name!r}")
    media = "text/plain" if path.suffix in (".txt", ".csv", ".md") else "application/octet-stream"
    return call.files.adopt(path.name, media, path).to_json()


def _json(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ProgramFailed(f"{name} gave no JSON") from None
