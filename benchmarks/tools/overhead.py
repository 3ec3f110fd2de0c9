"""What a call costs beside the bare client, and a thousand at once: the same server, in a process of its own."""

import asyncio
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from pointsman.experts.base import Call
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import Api, read_api
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.server import ToolServer

CALLS = 2_000
AT_ONCE = 1_000
CAP = 64
WARM = 50


def run(data: Path) -> dict[str, object]:
    """The search for movies of RestBench's description: its answer is 11 kB of JSON, validated by its schema."""
    content = next((data / "restbench").glob("*_oas*")).read_bytes()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(content, theirs))
    process.start()
    try:
        url: str = ours.recv()
        found = asyncio.run(_measured(read_api(read_document(content, "tmdb")), url))
    finally:
        process.terminate()
        process.join()
    print(json.dumps(found, indent=2))
    return found


def _serve(content: bytes, pipe: Connection) -> None:
    async def serve() -> None:
        async with ToolServer(read_api(read_document(content, "tmdb"))) as server:
            pipe.send(server.url)
            await asyncio.Event().wait()

    asyncio.run(serve())


async def _measured(api: Api, url: str) -> dict[str, object]:
    place = url.removeprefix("http://")
    given = ApiIn(openapi="a.json", name="tmdb", url=url, allow=(place,), pages=1, connections=CAP)
    expert = ApiExpert(given, api)
    files = LocalFiles(Path(tempfile.mkdtemp()))
    name = next(n for n, o in expert.offered.items() if o.operation.key == "GET /search/movie")

    async def ours(text: str) -> float:
        began = time.perf_counter()
        await expert.run(Call(name, {"query": text}, files, time.time() + 60))
        return time.perf_counter() - began

    async with aiohttp.ClientSession() as session:

        async def bare(text: str) -> float:
            began = time.perf_counter()
            async with session.get(f"{url}/search/movie", params={"query": text}) as answer:
                await answer.json()
            return time.perf_counter() - began

        for i in range(WARM):
            await ours(str(i))
            await bare(str(i))
        mine, raw = [], []
        for i in range(CALLS):  # in turn, so that whatever else runs slows both
            mine.append(await ours(f"query {i}"))
            raw.append(await bare(f"query {i}"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    done = await asyncio.gather(*(ours(str(i)) for i in range(AT_ONCE)), return_exceptions=True)
    seconds = time.perf_counter() - began
    await expert.close()
    p50, p99 = (
        (lambda v: statistics.median(v) * 1e3),
        (lambda v: sorted(v)[int(len(v) * 0.99)] * 1e3),
    )
    return {
        "ours_p50_ms": round(p50(mine), 3),
        "ours_p99_ms": round(p99(mine), 3),
        "aiohttp_p50_ms": round(p50(raw), 3),
        "aiohttp_p99_ms": round(p99(raw), 3),
        "overhead_p50_ms": round(p50(mine) - p50(raw), 3),
        "at_once": AT_ONCE,
        "cap_a_host": CAP,
        "errors": sum(isinstance(d, BaseException) for d in done),
        "seconds": round(seconds, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mb_before": round(before),
    }
