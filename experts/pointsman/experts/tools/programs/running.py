"""One call of a process: started in its jail, fed, read up to a limit, and ended with all that it has started."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointsman.experts.tools.programs import jail
from pointsman.experts.tools.programs.registered import LimitsIn

SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime",
          "/etc/ssl/certs", "/nix/store")  # fmt: skip
"""What programs need to start at all."""
COMPLAINT = 64 << 10
"""Bytes of stderr that are read."""
MB = 1 << 20
LEFT = 3.0
"""Seconds in which a process that was killed is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. code: negative for a signal, as in subprocess. late: it was stopped at its deadline.

    flooded: it was stopped because it wrote more than it may.
    """

    code: int
    out: bytes
    err: bytes
    late: bool = False
    flooded: bool = False


async def ran(
    command: Sequence[str],
    *,
    folder: Path,
    stdin: bytes,
    limits: LimitsIn,
    seconds: float,
    read: Sequence[Path] = (),
    environment: Mapping[str, str],
) -> Ended:
    """Runs a command to its end. folder: its own, the only place that it can write. seconds: of a clock."""
    terms = {
        "cpu": max(1, int(limits.seconds) + 1),
        "memory": limits.memory * MB,
        "file": limits.file * MB,
        "network": limits.network,
        "lenient": limits.lenient,
        "read": [*SYSTEM, *python_paths(), *map(str, read), str(folder), jail.__file__],
        "write": [str(folder)],
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", jail.__file__, json.dumps(terms), *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder), **environment},
        start_new_session=True,
    )  # fmt: skip
    late = flooded = False
    out, err = bytearray(), bytearray()
    try:
        async with asyncio.timeout(seconds):
            flooded = await _talked(process, stdin, out, err, limits.output * MB)
            if not flooded:
                await process.wait()
    except TimeoutError:
        late = True
    finally:
        await _ended(process)
    code = process.returncode
    return Ended(-signal.SIGKILL if code is None else code, bytes(out), bytes(err), late, flooded)


class _Flooded(Exception):
    """It writes more than it may."""


async def _talked(
    process: asyncio.subprocess.Process, stdin: bytes, out: bytearray, err: bytearray, most: int
) -> bool:
    """Whether it wrote more than it may."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    flooded = False
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_fed(process.stdin, stdin))
            group.create_task(_read(process.stdout, out, most))
            group.create_task(_read(process.stderr, err, COMPLAINT))
    except* _Flooded:
        flooded = True
    return flooded


async def _fed(pipe: asyncio.StreamWriter, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may not care for it
        pipe.write(content)
        await pipe.drain()
        pipe.close()


async def _read(pipe: asyncio.StreamReader, into: bytearray, most: int) -> None:
    """What comes, until it ends. Raises _Flooded when it is more than it may be."""
    while chunk := await pipe.read(64 << 10):
        into += chunk
        if len(into) > most:
            raise _Flooded


async def _ended(process: asyncio.subprocess.Process) -> None:
    """The process and all that it has started are gone. What they have left in the pipes is read away: asyncio
    takes a process whose pipes are full for one that goes on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    pipes = [p for p in (process.stdout, process.stderr) if p is not None]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEFT):
            await asyncio.gather(*(_away(p) for p in pipes))
            await process.wait()


async def _away(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(1 << 20):
        pass


def python_paths() -> list[str]:
    """What Python itself reads."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    return sorted({str(Path(p).resolve()) for p in places} | places | {str(Path(__file__).parent)})
