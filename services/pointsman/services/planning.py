"""Which planner and which writer a controller works with: workflows, then the embedded planner, then a
language model where one is configured."""

from pointsman.router.planning.base import Embedder, Planner
from pointsman.router.planning.cascade import Cascade
from pointsman.router.planning.embedded import EmbeddedPlanner
from pointsman.router.planning.llm import LLMPlanner
from pointsman.router.planning.llm_answer import LLMAnswerer, Writer
from pointsman.router.planning.llm_settings import RemoteSettings


def planner_for(embedder: Embedder, remote: RemoteSettings | None) -> Planner:
    """The cascade of planners."""
    planners: list[Planner] = [EmbeddedPlanner(embedder)]
    if remote is not None:
        planners.append(LLMPlanner(remote))
    return Cascade(planners)


def writer_for(remote: RemoteSettings | None) -> Writer | None:
    return LLMAnswerer(remote) if remote is not None else None
