"""The protocol under random acts: no promise is broken, and a missing fence is found."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.router.workspace import Workspace, connect

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks are no part of what is installed

from benchmarks.protocol import search
from benchmarks.protocol.fence import unfenced
from benchmarks.protocol.model import Rule
from benchmarks.protocol.stage import Bench, Dying
from benchmarks.protocol.witness import Violation

EXAMPLES = int(os.environ.get("POINTSMAN_PROTOCOL_EXAMPLES", "12"))
"""Of up to 50 acts each."""
SEED = 4 if os.environ.get("CI") else None


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        workspace = Workspace(connect(redis_url))
        dying = Dying(connect(redis_url))
        yield Bench(runner, workspace, dying)
        runner.run(workspace.close())
        runner.run(dying.close())


def test_no_promise_is_broken_by_random_acts(bench: Bench) -> None:
    search(bench, examples=EXAMPLES, number=SEED, shrink=True)
    assert bench.steps > 10 * EXAMPLES
    assert bench.refused > 0  # stale holds were tried too


def test_a_missing_fence_is_found(bench: Bench) -> None:
    unfenced(bench.workspace)
    with pytest.raises(Violation) as found:
        search(bench, examples=60, number=4, shrink=False)
    assert found.value.rule in (Rule.ONE_COMMIT, Rule.ATTEMPT, Rule.VALUE)


def test_a_script_without_a_fence_cannot_lose_it(bench: Bench) -> None:
    unfenced(bench.workspace)
    with pytest.raises(ValueError, match="no fence"):
        unfenced(bench.workspace)
