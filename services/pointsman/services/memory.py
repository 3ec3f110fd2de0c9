"""The plan memory's settings, and how it is put together."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pointsman.router.planning.base import Embedder
from pointsman.router.planning.memory import MemoryPlanner
from pointsman.router.workspace.traces import MemoryTerms, Mode, Traces


class MemorySettings(BaseSettings):
    """From the environment: POINTSMAN_MEMORY, POINTSMAN_MEMORY_AGREE and so on.

    memory: "confirmed" (the default) remembers a plan when a person said that it was right; "auto" also
    after memory_agree whole runs of it that nobody complained of; "off" keeps nothing. memory_traces,
    memory_plans: how many are kept; memory_bytes: of each of the two. memory_effect_arguments: whether
    values that go into effects (e-mails, orders) may be kept.
    """

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", extra="ignore")

    memory: Mode = "confirmed"
    memory_agree: Annotated[int, Field(ge=2)] = 3
    memory_traces: Annotated[int, Field(ge=1)] = 10_000
    memory_plans: Annotated[int, Field(ge=1)] = 10_000
    memory_bytes: Annotated[int, Field(ge=64 << 10)] = 64 << 20
    memory_effect_arguments: bool = False

    @property
    def terms(self) -> MemoryTerms:
        return MemoryTerms(
            self.memory,
            self.memory_agree,
            self.memory_traces,
            self.memory_plans,
            self.memory_bytes,
            self.memory_effect_arguments,
        )


def memory_planner(embedder: Embedder, traces: Traces) -> MemoryPlanner | None:
    """None when nothing is to be remembered. embedder: not one that keeps vectors in a file, for a plan that
    is forgotten must be gone everywhere.
    """
    return None if traces.terms.mode == "off" else MemoryPlanner(embedder, traces)
