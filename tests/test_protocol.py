"""The protocol under random acts: no promise is broken, and a missing fence is found."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks are no part of what is installed

from benchmarks.protocol import bench_at, search
from benchmarks.protocol.guards import FENCE, GUARDS, unguarded
from benchmarks.protocol.model import Rule
from benchmarks.protocol.stage import Bench
from benchmarks.protocol.witness import Violation

EXAMPLES = int(os.environ.get("POINTSMAN_PROTOCOL_EXAMPLES", "12"))
"""Of up to 50 acts each."""
SEED = 4 if os.environ.get("CI") else None


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with bench_at(redis_url) as made:
        yield made


def test_no_promise_is_broken_by_random_acts(bench: Bench) -> None:
    search(bench, examples=EXAMPLES, number=SEED, shrink=True)
    assert bench.steps > 10 * EXAMPLES
    assert bench.refused > 0  # stale holds were tried too


def test_a_missing_fence_is_found(bench: Bench) -> None:
    unguarded(bench.workspace, FENCE)
    with pytest.raises(Violation) as found:
        search(bench, examples=60, number=4, shrink=False)
    assert found.value.rule in (Rule.ONE_COMMIT, Rule.ATTEMPT, Rule.VALUE)


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_is_in_the_scripts_and_comes_out(bench: Bench, name: str) -> None:
    unguarded(bench.workspace, name)
    with pytest.raises(ValueError, match="has no such guard"):
        unguarded(bench.workspace, name)
