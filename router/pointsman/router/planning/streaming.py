"""The seam of planners that tell a plan task by task while they still write it, and of planning again.

A planner that implements `StreamingPlanner` beside `Planner` lets a run begin before its plan is whole: the
controller starts the tasks whose effect allows it (`pure`, `idempotent`) as they come.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.plan import Task
from pointsman.router.planning.base import Planner, Proposal, Request


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The tasks given so far are void: what follows, or another planner, makes the plan."""

    why: str


Planned: TypeAlias = Task | Withdrawn | Proposal


@runtime_checkable
class StreamingPlanner(Protocol):
    """Gives each task as soon as it is whole, valid and its inputs were given; the Proposal last, once.

    The tasks given since the last `Withdrawn` stand unchanged in the Proposal's plan; where they do not, a
    `Withdrawn` comes before the Proposal. Closing the iterator ends all work for it.
    """

    name: str

    def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        """deadline: seconds since the epoch."""
        ...


async def planned(
    planner: Planner, request: Request, catalog: Catalog, *, deadline: float | None = None
) -> AsyncGenerator[Planned, None]:
    """What any planner gives, as a stream: of one that does not stream only the Proposal."""
    if not isinstance(planner, StreamingPlanner):
        yield await planner.plan(request, catalog)
        return
    async with aclosing(planner.plan_stream(request, catalog, deadline=deadline)) as items:
        async for item in items:
            yield item


@dataclass(frozen=True, slots=True)
class Failed:
    """A task of the plan before that failed, and why. arguments: as in the plan, references in JSON form."""

    capability: str
    title: str
    why: str
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class RequestAgain(Request):
    """A request whose plan failed in part and is planned again.

    failed: what failed. The catalog that comes with it lacks what an expert failed at. open: capabilities
    that failed by their arguments only, which may be called once more in another way.
    """

    failed: tuple[Failed, ...] = ()
    open: tuple[Capability, ...] = ()


__all__ = ["Failed", "Planned", "RequestAgain", "StreamingPlanner", "Withdrawn", "planned"]
