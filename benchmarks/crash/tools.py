"""The tools of the workers: one for each effect class, each a call to the recording tool server."""

from typing import Any

import httpx

from pointsman.experts.base import Call, Reconciled
from pointsman.experts.tools.functions import Tool, ToolExpert, capability
from pointsman.router.errors import ExpertTimeout, ExpertUnavailable

SECONDS = 10.0


class Outside:
    """The recording tool server as tools see it."""

    def __init__(self, address: str) -> None:
        self._client = httpx.AsyncClient(base_url=address, timeout=SECONDS)

    async def ask(self, path: str, value: dict[str, Any]) -> Any:
        """Raises ExpertUnavailable when nothing was done, ExpertTimeout when there is no answer."""
        try:
            reply = await self._client.post(path, json=value)
        except httpx.ConnectError as error:
            raise ExpertUnavailable("it cannot be reached") from error
        except httpx.TransportError as error:
            raise ExpertTimeout("the recording tool server", SECONDS) from error
        if reply.status_code != 200:
            raise ExpertUnavailable(f"refused: {reply.text}")
        return reply.json()

    async def call(self, call: Call, number: int, inputs: list[Any]) -> Any:
        told = {
            "capability": call.capability,
            "run": call.run,
            "task": call.task,
            "attempt": call.attempt,
            "key": call.key(),
            "number": number,
            "inputs": inputs,
        }
        return (await self.ask("/call", told))["value"]

    async def happened(self, call: Call) -> Reconciled:
        """Whether an effect took place; if not, the server is told that it must not any more."""
        asked = {"run": call.run, "task": call.task, "attempt": call.attempt}
        told = await self.ask("/question", asked)
        return Reconciled("done" if told["applied"] else "not-done", told["value"])


def tools(address: str) -> list[Tool]:
    """All capabilities that `plans.random_plan` uses."""
    outside = Outside(address)

    @capability("crash.pure", effect="pure")
    async def pure(call: Call, number: int, inputs: list[Any]) -> int:
        """Looks something up."""
        return int(await outside.call(call, number, inputs))

    @capability("crash.numbers", effect="pure")
    async def numbers(call: Call, number: int, inputs: list[Any]) -> list[int]:
        """Looks several things up."""
        return list(await outside.call(call, number, inputs))

    @capability("crash.idempotent", effect="idempotent")
    async def idempotent(call: Call, number: int, inputs: list[Any]) -> int:
        """Puts something where it belongs."""
        return int(await outside.call(call, number, inputs))

    @capability("crash.keyed", effect="keyed")
    async def keyed(call: Call, number: int, inputs: list[Any]) -> int:
        """Orders something under a key."""
        return int(await outside.call(call, number, inputs))

    @capability("crash.once", effect="once", reconcile=outside.happened)
    async def once(call: Call, number: int, inputs: list[Any]) -> int:
        """Sends something that cannot be taken back."""
        return int(await outside.call(call, number, inputs))

    @capability("crash.charge", effect="once")
    async def charge(call: Call, number: int, inputs: list[Any]) -> int:
        """Charges somebody, and cannot be asked whether it did."""
        return int(await outside.call(call, number, inputs))

    return [pure, numbers, idempotent, keyed, once, charge]


def expert(address: str) -> ToolExpert:
    return ToolExpert("outside", "calls the recording tool server", tools(address), concurrency=16)
