"""Planners in order, from the cheapest: the first whose plan is sure enough is taken, else the best.

What is compared is a probability that the plan is right (confidence.py), with a stated coverage: of held-out plans
at least this sure, so many were right. What each planner said, and why the next one was asked or not, is told
in `considered`.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan, Task
from pointsman.router.planning.base import Considered, Planner, Proposal, Refusal, Request
from pointsman.router.planning.confidence import Threshold, confidence
from pointsman.router.planning.streaming import Planned, Withdrawn, planned
from pointsman.router.values import Json


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a planner proposed. streamed: tasks of it were given while it was written."""

    planner: str
    proposal: Proposal
    streamed: bool = False


class Cascade:
    """Hands a request over to the next planner when the one before is not sure.

    sure: the confidence from which a plan is taken; without it the fitted one that ships. It streams: tasks of
    a planner that tells them early are passed on, and taken back when another plan is taken.
    """

    name = "cascade"

    def __init__(self, planners: Sequence[Planner], *, sure: Threshold | None = None) -> None:
        if not planners:
            raise ValueError("a cascade needs a planner")
        self._planners = tuple(planners)
        self._sure = sure if sure is not None else confidence().sure

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        async with aclosing(self.plan_stream(request, catalog)) as items:
            async for item in items:
                if isinstance(item, Proposal):
                    return item
        raise AssertionError("a stream of planning ends in a proposal")

    async def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        """Tasks as they are told, `Withdrawn` where they are void, and the Proposal that is taken, last.

        deadline: seconds since the epoch, for planners that wait for somebody.
        """
        heard: list[_Heard] = []
        for planner in self._planners:
            given = False
            async with aclosing(planned(planner, request, catalog, deadline=deadline)) as items:
                async for item in items:
                    if isinstance(item, Proposal):
                        heard.append(_Heard(planner.name, item, given))
                        break
                    given = isinstance(item, Task)
                    yield item
            if self._settles(heard[-1].proposal):
                break
            if given and len(heard) < len(self._planners):
                yield Withdrawn("its plan is not sure enough, or not whole")
                heard[-1] = replace(heard[-1], streamed=False)
        taken = _best(heard)
        if heard[-1].streamed and taken != len(heard) - 1:
            yield Withdrawn("another plan was taken")
        told = [*self._told(heard, taken), *(c for h in heard for c in h.proposal.considered)]
        yield replace(heard[taken].proposal, considered=tuple(told))

    def _settles(self, proposal: Proposal) -> bool:
        """Whether no other planner is asked."""
        outcome = proposal.outcome
        whole = isinstance(outcome, Plan) and not outcome.unserved
        return whole and proposal.confidence >= self._sure.confidence

    def _told(self, heard: Sequence[_Heard], taken: int) -> list[Considered]:
        """One line for each planner that was asked: what it said, and what was decided."""
        made: list[Considered] = []
        for place, one in enumerate(heard):
            last = place == len(heard) - 1
            said = self._said(one.proposal)
            then = "" if last else f"; so the {heard[place + 1].planner} planner was asked"
            if last and place == taken and not self._settles(one.proposal):
                then = "; no other planner is left"
            if place == taken:
                then += "; this is taken" if len(heard) > 1 else ""
            detail: dict[str, Json] = {"decision": said + then}
            made.append(
                Considered(f"{one.planner} planner", round(one.proposal.confidence, 3), detail)
            )
        return made

    def _said(self, proposal: Proposal) -> str:
        outcome, sure = proposal.outcome, self._sure
        if isinstance(outcome, Refusal):
            asks = "it asks: " + outcome.question if outcome.question else "it made no plan"
            return f"{asks} ({outcome.why[:160]})"
        if outcome.unserved:
            return f"its plan leaves out a part: {outcome.unserved[0][:160]}"
        limit = (
            f"{sure.confidence:.2f} (of plans at least this sure, {sure.precision:.0%} were right)"
        )
        if proposal.confidence >= sure.confidence:
            return f"sure to {proposal.confidence:.2f}, at least {limit}"
        return f"sure to {proposal.confidence:.2f}, less than {limit}"


def _best(heard: Sequence[_Heard]) -> int:
    """Whole plans before plans that leave something out, those before refusals; then the surer; then the later."""

    def worth(place: int) -> tuple[int, float, bool, int]:
        proposal = heard[place].proposal
        outcome = proposal.outcome
        if isinstance(outcome, Refusal):
            return 0, proposal.confidence, outcome.question is not None, place
        return (1 if outcome.unserved else 2), proposal.confidence, True, place

    return max(range(len(heard)), key=worth)
