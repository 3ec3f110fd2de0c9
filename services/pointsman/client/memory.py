"""The plan memory from Python: what is remembered, and how it is forgotten."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pointsman.client.aio import AsyncClient
    from pointsman.client.sync import Client

Taken = Literal["remembered", "barred", "noted"]
"""What came of feedback: the plan is remembered; it is not, for it was forgotten or called wrong; it cannot be."""
BATCH = 100
"""Lines that are sent at once."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What was said of a run's plan, and what came of it. why: for which reason nothing is remembered."""

    run: str
    right: bool | None
    outcome: Taken
    why: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Feedback":
        return cls(str(value["run"]), value["right"], value["outcome"], str(value.get("why") or ""))


@dataclass(frozen=True, slots=True)
class RememberedPlan:
    """A plan that is reused. request: as it was said; empty where it is withheld. at, used: seconds since
    the epoch, of its run and of its last use. whole, not_whole: uses that ended so. plan: its JSON form,
    in which {"$slot": n} stands for what is filled anew.
    """

    key: str
    run: str
    request: str
    how: Literal["confirmed", "agreed", "imported"]
    at: float
    used: float
    whole: int
    not_whole: int
    plan: Mapping[str, Any]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "RememberedPlan":
        return cls(
            str(value["key"]),
            str(value["run"]),
            str(value["request"]),
            value["how"],
            float(value["at"]),
            float(value["used"]),
            int(value["whole"]),
            int(value["not_whole"]),
            value["plan"],
        )

    @property
    def capabilities(self) -> tuple[str, ...]:
        return tuple(str(t["capability"]) for t in self.plan["tasks"])


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of past plans that were brought in. notes: lines that are not remembered, with the reason."""

    lines: int
    remembered: int
    notes: tuple[tuple[int, str], ...] = ()


class AsyncMemory:
    """`client.memory` of an AsyncClient."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client

    async def list(self, *, limit: int = 100) -> tuple[RememberedPlan, ...]:
        """Remembered plans, those used last first."""
        value = await self._client._open.json("GET", "/v1/memory", params={"limit": limit})
        return tuple(RememberedPlan.of(p) for p in value["plans"])

    async def get(self, key: str) -> RememberedPlan:
        """One of them. Raises RequestRejected when there is none of that key."""
        return RememberedPlan.of(
            await self._client._open.json("GET", f"/v1/memory/{quote(key, safe='')}")
        )

    async def forget(self, id: str) -> int:
        """Everything of a run, or of a remembered plan by its key; how many things went. It does not come
        back. Raises RequestRejected when there is neither.
        """
        path = f"/v1/memory/{quote(id, safe='')}"
        return int((await self._client._open.json("DELETE", path))["forgotten"])

    async def lines(self) -> AsyncGenerator[str, None]:
        """Every trace with a plan as a line of plans.jsonl, oldest first."""
        text = (await self._client._open.request("GET", "/v1/memory/plans.jsonl")).text
        for line in text.splitlines():
            yield line

    async def bring(self, lines: Sequence[Mapping[str, Any]]) -> Imported:
        """Takes past plans in, each a line of plans.jsonl; those that were right are remembered. A line that
        was brought before changes nothing. Raises RequestRejected for a line that cannot be read.
        """
        remembered, notes = 0, []
        for start in range(0, len(lines), BATCH):
            batch = [dict(line) for line in lines[start : start + BATCH]]
            body = {"lines": batch, "first": start + 1}
            value = await self._client._open.json("POST", "/v1/memory/plans", safe=True, json=body)
            remembered += int(value["remembered"])
            notes += [(int(n["line"]), str(n["why"])) for n in value["notes"]]
        return Imported(len(lines), remembered, tuple(notes))


class Memory:
    """`client.memory` of a Client; each method is AsyncMemory's of that name."""

    def __init__(self, client: "Client", inner: AsyncMemory) -> None:
        self._client = client
        self._inner = inner

    def list(self, *, limit: int = 100) -> tuple[RememberedPlan, ...]:
        """Remembered plans, those used last first."""
        return self._client._loop.call(self._inner.list(limit=limit))

    def get(self, key: str) -> RememberedPlan:
        """One of them. Raises RequestRejected when there is none of that key."""
        return self._client._loop.call(self._inner.get(key))

    def forget(self, id: str) -> int:
        """Everything of a run, or of a remembered plan by its key; it does not come back."""
        return self._client._loop.call(self._inner.forget(id))

    def lines(self) -> Iterator[str]:
        """Every trace with a plan as a line of plans.jsonl, oldest first."""
        return self._client._loop.iterate(self._inner.lines())

    def bring(self, lines: Sequence[Mapping[str, Any]]) -> Imported:
        """Takes past plans in; those that were right are remembered."""
        return self._client._loop.call(self._inner.bring(lines))
