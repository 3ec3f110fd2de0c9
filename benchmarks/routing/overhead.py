"""What a decision takes: 50 candidate experts with experience, health and a budget, and the reason in words."""

import time

import numpy as np

from benchmarks.routing import Options
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Prior
from pointsman.router.routing import Observations, choose, heartbeat, observe

CANDIDATES = (2, 10, 50, 200)
DECISIONS = 3_000
NOW = 1_800_000_000.0
WHAT = "text.sentiment"


def run(options: Options) -> dict[str, object]:
    figures: dict[str, object] = {}
    print(f"  {'candidates':>10} {'p50':>10} {'p99':>10} {'of the CPU, p50':>16}")
    for count in CANDIDATES:
        cards, seen = _experts(count)
        taken, worked = np.zeros(DECISIONS), np.zeros(DECISIONS)
        for at in range(DECISIONS):
            began, busy = time.perf_counter(), time.thread_time()
            choose(WHAT, cards, seen, prefer="balanced", budget_left=5_000, now=NOW + at * 1e-3)
            worked[at] = time.thread_time() - busy
            taken[at] = time.perf_counter() - began
        p50, p99 = (float(v) * 1_000 for v in np.quantile(taken, [0.5, 0.99]))
        cpu = float(np.median(worked)) * 1_000
        print(f"  {count:10} {p50:7.3f} ms {p99:7.3f} ms {cpu:13.3f} ms")
        figures[str(count)] = {
            "p50_ms": round(p50, 4),
            "p99_ms": round(p99, 4),
            "cpu_p50_ms": round(cpu, 4),
        }
    return figures


def _experts(count: int) -> tuple[list[ExpertCard], Observations]:
    rng = np.random.default_rng(count)
    cards: list[ExpertCard] = []
    seen = Observations()
    for at in range(count):
        prior = Prior(rng.uniform(0.6, 1), int(rng.integers(0, 9_000)), rng.uniform(0.01, 3))
        cards.append(ExpertCard(f"expert-{at}", "model", "one of many", {WHAT: prior}))
        seen = heartbeat(seen, f"expert-{at}", NOW, queued=int(rng.integers(0, 9)))
        for _ in range(5):
            ok = bool(rng.random() < 0.9)
            seen = observe(seen, f"expert-{at}", WHAT, rng.uniform(0.01, 3), ok, NOW, cost=100)
    return cards, seen
