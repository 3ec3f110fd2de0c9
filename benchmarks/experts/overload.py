"""Five times the load that the host can bear: what is done in time, memory, and how soon it is well again."""

import asyncio
import random
import resource
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.experts.load import _requests, _saturated
from pointsman.experts.models.host import Host
from pointsman.router.errors import ExpertOverloaded, ExpertTimeout

TIMES = 5.0
DEADLINE = 1.0
"""Seconds that a request may take; what comes later does not count."""


async def measure(texts: Sequence[str], seconds: float) -> dict[str, Any]:
    requests = _requests(texts)
    host = Host()
    await host.ready()

    async def ask(request: list[str]) -> None:
        await host.read(request)

    capacity, _ = await _saturated(ask, requests)
    before = _memory()
    told = {"done": 0, "refused": 0, "late": 0}
    most = 0

    async def one(request: list[str], due: float) -> None:
        try:
            await host.read(request, deadline=due + DEADLINE)
        except ExpertOverloaded:
            told["refused"] += 1
        except ExpertTimeout:
            told["late"] += 1
        else:
            told["done" if time.time() <= due + DEADLINE else "late"] += 1

    chance, rate = random.Random(3), TIMES * capacity
    began = at = time.time()
    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            at += chance.expovariate(rate)
            if at > time.time():
                await asyncio.sleep(at - time.time())
            elif n % 20 == 0:
                await asyncio.sleep(0)
            group.create_task(one(requests[n % len(requests)], time.time()))
            most = max(most, host.load().texts) if n % 100 == 0 else most
            if time.time() - began > seconds:
                break
    took = time.time() - began
    goodput = told["done"] / took
    recovered = await _recovered(host, requests)
    grown = _memory() - before
    host.close()
    offered = sum(told.values()) / took
    print(f"overload | capacity | {capacity:.0f} requests/s")
    print(
        f"overload | {offered:.0f} requests/s offered for {took:.0f} s ({offered / capacity:.1f} times), deadline {DEADLINE:.0f} s | {goodput:.0f} requests/s done in time, {goodput / capacity:.0%} of capacity; {told['refused']:,} refused, {told['late']:,} late"
    )
    print(
        f"overload | at most {most:,} texts waited; memory grew by {grown:.0f} MB; a single request took less than {DEADLINE / 2:.1f} s again after {recovered:.2f} s"
    )
    return {
        "capacity": capacity,
        "offered": offered,
        "goodput": goodput,
        "share": goodput / capacity,
        "memory_mb": grown,
        "recovered_s": recovered,
        "most_waiting": most,
        **told,
    }


async def _recovered(host: Host, requests: Sequence[list[str]]) -> float:
    """Seconds after the load ended until a request is taken and answered within half of the deadline."""
    began = time.time()
    while time.time() - began < 30:
        asked = time.time()
        try:
            await host.read(requests[0], deadline=asked + DEADLINE)
        except (ExpertOverloaded, ExpertTimeout):
            await asyncio.sleep(0.02)
        else:
            if time.time() - asked < DEADLINE / 2:
                return time.time() - began
    return float("inf")


def _memory() -> float:
    """Megabytes, the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
