"""RestBench, TMDB: is the gold path of calls contained, in order, in the plan that is made without a language model?

Correct path rate as in RestGPT (arXiv 2306.06624): the calls of the plan, in an order that it can run in, hold the
gold calls in their order. Beside it how many of these plans are no longer than the gold path. Published for RestGPT with text-davinci-003: 79 % correct path, 75 %
success.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pointsman.experts.models.encoder import Encoder
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import read_api
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan, order
from pointsman.router.planning.base import Refusal, Request
from pointsman.router.planning.embedded import EmbeddedPlanner

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


def contains(path: Sequence[str], gold: Sequence[str]) -> bool:
    """Whether the gold calls stand in a path, in their order."""
    rest = iter(path)
    return all(call in rest for call in gold)


def run(data: Path) -> dict[str, object]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = data / "restbench"
    content = next(folder.glob("*_oas*")).read_bytes()
    rows = json.loads((folder / "tmdb.json").read_text("utf-8"))
    return asyncio.run(_run(content, rows))


async def _run(content: bytes, rows: Sequence[Any]) -> dict[str, object]:
    api = read_api(read_document(content, "tmdb"))
    expert = ApiExpert(ApiIn(openapi="a.json", name="tmdb"), api)
    catalog = Catalog(expert.capabilities)
    calls = {name: o.operation.key for name, o in expert.offered.items()}
    encoder = Encoder()
    planner = EmbeddedPlanner(encoder)
    right, lengths, refused, seconds = 0, 0, 0, 0.0
    by_length: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for row in rows:
        gold = row["solution"]
        began = time.perf_counter()
        proposal = await planner.plan(Request(row["query"], NOW), catalog)
        seconds += time.perf_counter() - began
        plan = proposal.outcome
        total[len(gold)] += 1
        if isinstance(plan, Refusal):
            refused += 1
            continue
        path = path_of(plan, calls)
        if contains(path, gold):
            right += 1
            by_length[len(gold)] += 1
            lengths += len(path) <= len(gold)
    encoder.close()
    await expert.close()
    found: dict[str, object] = {
        "requests": len(rows),
        "correct_path": right / len(rows),
        "no_longer_than_gold": lengths / len(rows),
        "refused": refused / len(rows),
        "by_gold_length": {n: f"{by_length[n]} of {total[n]}" for n in sorted(total)},
        "seconds_a_request": round(seconds / len(rows), 3),
    }
    print(json.dumps(found, indent=2))
    return found


def path_of(plan: Plan, calls: dict[str, str]) -> list[str]:
    """The calls of a plan in an order that it can run in."""
    by_id = {t.id: t.capability for t in plan.tasks}
    return [calls.get(by_id[i], by_id[i]) for i in order(plan)]
