"""The tools that the workers load: two effects on a server that counts, and a call that takes its time."""

import asyncio
import os

import httpx

from pointsman.experts.base import Call
from pointsman.experts.tools.functions import capability

CLIENT = httpx.AsyncClient(base_url=os.environ["ROLLING_BOOKS"], timeout=10)


async def _told(call: Call) -> str:
    told = {"run": call.run, "task": call.task, "key": call.key()}
    (await CLIENT.post("/", json=told)).raise_for_status()
    return call.task


@capability("rolling.look", effect="pure")
async def look(seconds: float) -> float:
    """Looks something up, which takes its time."""
    await asyncio.sleep(seconds)
    return seconds


@capability("rolling.order", effect="keyed")
async def order(call: Call, after: float) -> str:
    """Orders something under a key."""
    return await _told(call)


@capability("rolling.send", effect="once")
async def send(call: Call, after: float) -> str:
    """Sends something that cannot be taken back."""
    return await _told(call)
