"""How large the store of traces becomes when three times as many runs end as it holds."""

import tempfile
import time
from pathlib import Path

from benchmarks.planning.memory_cases import NOW, load
from pointsman.router.catalog import Catalog
from pointsman.router.planning.memory import generalise
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.traces import Judgement, MemoryTerms, Trace, Traces
from pointsman.services.embedded import EmbeddedRedis

LIMIT = 1_000
RUNS = 3 * LIMIT


async def grown(catalog: Catalog) -> dict[str, float]:
    """Counts, bytes as they are counted, Redis's own memory over them, and runs kept in a second."""
    cases = [c for c in load() if ": " not in c.request.text]
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as url:
            workspace = Workspace(connect(url))
            traces = Traces(workspace._calls, MemoryTerms(traces=LIMIT, plans=LIMIT))
            began = time.perf_counter()
            for number in range(RUNS):
                case = cases[number % len(cases)]
                text = f"{case.request.text} {_word(number)}"
                one = generalise(
                    text, case.plan, catalog, files=case.request.files, now=NOW, run=f"run_{number}"
                )
                trace = Trace(
                    f"run_{number}", text, case.plan.to_json(), "whole", 0, 0.1, number, one
                )
                await traces.keep(trace)
                await traces.judge(trace.run, Judgement(True, "", "", float(number)))
            seconds = time.perf_counter() - began
            size = await traces.size()
            used = await workspace._redis.info("memory")
            await workspace.close()
    return {**size, "redis_bytes": used["used_memory"], "runs": RUNS, "per_second": RUNS / seconds}


def _word(number: int) -> str:
    """A word of its own for each number."""
    letters = "bcdfghjklmnp"
    return "zu" + "".join(letters[int(d)] + "a" for d in str(number))
