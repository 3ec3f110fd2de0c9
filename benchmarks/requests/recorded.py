"""An expert for the 300 capabilities that built-in requests do not need: it answers with what it was called with.

A server reads this file as POINTSMAN_CAPABILITIES; POINTSMAN_BENCHMARK_DATA names the folder with the OpenAPI
files.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.planning.distractors import distractors
from pointsman.experts.base import Call, Done
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability

FOLDER = os.environ.get("POINTSMAN_BENCHMARK_DATA", "")


class RecordedExpert:
    """Serves capabilities by writing down the call: {"capability": name, "arguments": {...}}."""

    def __init__(self, capabilities: Sequence[Capability]) -> None:
        self.capabilities = tuple(capabilities)
        self.card = ExpertCard(
            name="recorded",
            kind="tool",
            description="writes down what it was called with",
            serves={c.name: c.prior for c in self.capabilities},
        )

    async def run(self, call: Call) -> Done:
        return Done({"capability": call.capability, "arguments": dict(call.arguments)})

    async def close(self) -> None:
        return None


if FOLDER:
    EXPERT = RecordedExpert(distractors(Path(FOLDER)))
