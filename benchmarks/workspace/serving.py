"""A controller and a worker in a process of their own: `python -m benchmarks.workspace.serving URL KEEP`.

Runs until its standard input is closed. KEEP: seconds for which an ended run is kept.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.dag import GivenPlans, sleep
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert
from pointsman.experts.worker import Worker
from pointsman.router.workspace import Workspace, connect
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller


async def serve(url: str, keep: int) -> None:
    workspace = Workspace(connect(url), keep_seconds=keep)
    saver = RedisSaver.at(url, keep_seconds=keep)
    with tempfile.TemporaryDirectory() as folder:
        expert = ToolExpert("sleeper", "sleeps", [sleep], concurrency=128)
        worker = Worker(workspace, LocalFiles(Path(folder)), [expert])
        await worker.announce()
        controller = Controller(workspace, ControllerGraph(workspace, GivenPlans(), saver))
        serving = [asyncio.create_task(s.serve()) for s in (worker, controller)]
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
    await saver.aclose()
    await workspace.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
