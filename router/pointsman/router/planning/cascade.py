"""Planners in order, from the cheapest: the first whose plan is confident enough is taken, else the best."""

from collections.abc import Sequence

from pointsman.router.catalog import Catalog
from pointsman.router.planning.base import Planner, Proposal, Refusal, Request

CONFIDENT = 0.6


class Cascade:
    """Hands a request over to the next planner when the one before is not confident."""

    name = "cascade"

    def __init__(self, planners: Sequence[Planner], *, confident: float = CONFIDENT) -> None:
        self._planners = tuple(planners)
        self._confident = confident

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        best: Proposal | None = None
        for planner in self._planners:
            proposal = await planner.plan(request, catalog)
            whole = not isinstance(proposal.outcome, Refusal) and not proposal.outcome.unserved
            if whole and proposal.confidence >= self._confident:
                return proposal
            if best is None or proposal.confidence >= best.confidence:
                best = proposal
        assert best is not None, "a cascade needs a planner"
        return best
