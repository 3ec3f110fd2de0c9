"""python -m benchmarks.crash.launcher: has everything imported, and forks a new process in milliseconds.

A part that was killed is to be back soon, and importing what it needs takes two seconds of a core. Reads
one JSON object a line from standard input, {"role", "place", "log"} or {"command", "log"}, and answers with
{"started": pid}; tells {"ended": pid, "status": how} of each process that has ended. Ends, with all that it
started, when its input does.
"""

import json
import os
import select
import signal
import traceback
from typing import Any

from benchmarks.crash.part import Place, enter


def tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def launch(asked: dict[str, Any]) -> int:
    """Forks; returns the process id to the parent, never to the child."""
    pid = os.fork()
    if pid:
        return pid
    try:  # whatever happens, the child never returns to the parent's loop
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        if "command" in asked:
            os.execv(asked["command"][0], asked["command"])
        enter(asked["role"], Place(**asked["place"]))
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)


def reap(alive: set[int]) -> None:
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        alive.discard(pid)
        tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def main() -> None:
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    alive: set[int] = set()
    rest = b""
    try:
        while True:
            ready, _, _ = select.select([0, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                reap(alive)
            if 0 in ready:
                got = os.read(0, 65536)
                if not got:
                    return
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    pid = launch(json.loads(line))
                    alive.add(pid)
                    tell({"started": pid})
    finally:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
