"""The number of the layout in Redis: written, heeded, and brought up to date."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping

import pytest

from pointsman.router.errors import MigrationUnderWay, OtherLayout
from pointsman.router.workspace import RunSpec, Workspace, connect, layout
from pointsman.router.workspace.calls import Calls
from pointsman.router.workspace.keys import LAYOUT_KEY, MIGRATING
from pointsman.router.workspace.layout import LAYOUT, check_layout, migrate

pytestmark = pytest.mark.anyio


def test_every_layout_has_a_way_to_the_next() -> None:
    assert sorted(layout.STEPS) == list(range(LAYOUT))


async def test_an_empty_redis_gets_the_number_once(workspace: Workspace, redis_url: str) -> None:
    redis = connect(redis_url)
    await check_layout(redis)
    assert await redis.get(LAYOUT_KEY) == str(LAYOUT)
    await workspace.create_run(RunSpec("x"))
    await check_layout(redis)
    await redis.aclose()


@pytest.mark.parametrize("number", [LAYOUT - 1, LAYOUT + 1])
async def test_another_layout_is_refused_with_what_to_do(
    workspace: Workspace, redis_url: str, number: int
) -> None:
    redis = connect(redis_url)
    await redis.set(LAYOUT_KEY, number)
    with pytest.raises(OtherLayout) as raised:
        await check_layout(redis)
    assert f"layout {number}" in raised.value.message
    assert ("pointsman migrate" in raised.value.message) == (number < LAYOUT)
    await redis.aclose()


async def test_runs_of_before_there_was_a_number_are_migrated_and_stay(
    workspace: Workspace, redis_url: str
) -> None:
    run = await workspace.create_run(RunSpec("x"))
    redis = connect(redis_url)
    with pytest.raises(OtherLayout):
        await check_layout(redis)
    assert await migrate(redis) == (0, LAYOUT)
    await check_layout(redis)
    assert (await workspace.run(run)).request == "x"
    assert await migrate(redis) == (LAYOUT, LAYOUT)
    await redis.aclose()


async def test_a_migration_goes_on_where_it_was_broken_off(
    workspace: Workspace, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    broken = [True]

    def step(number: int) -> layout.Step:
        async def carried_out(_: Calls) -> None:
            done.append(number)
            if number == LAYOUT + 1 and broken.pop() is True:
                raise RuntimeError("broken off")

        return carried_out

    steps: Mapping[int, layout.Step] = {n: step(n) for n in range(LAYOUT + 2)}
    redis = connect(redis_url)
    await check_layout(redis)
    monkeypatch.setattr(layout, "STEPS", steps)
    monkeypatch.setattr(layout, "LAYOUT", LAYOUT + 2)
    with pytest.raises(RuntimeError):
        await migrate(redis)
    with pytest.raises(OtherLayout):
        await check_layout(redis)
    broken.append(False)
    assert await migrate(redis) == (LAYOUT + 1, LAYOUT + 2)
    assert done == [LAYOUT, LAYOUT + 1, LAYOUT + 1]
    await redis.set(LAYOUT_KEY, LAYOUT)
    await redis.set(MIGRATING, LAYOUT)
    with pytest.raises(MigrationUnderWay):
        await migrate(redis)
    await redis.delete(MIGRATING)
    await redis.aclose()


async def test_a_server_refuses_to_start_on_a_newer_layout(
    workspace: Workspace, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    redis = connect(redis_url)
    await redis.set(LAYOUT_KEY, LAYOUT + 1)
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "pointsman.cli", "serve", "--role", "gateway", "--port", "0"]
    ended = await asyncio.to_thread(
        subprocess.run,
        [*command, "--redis-url", redis_url, "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert f"layout {LAYOUT + 1}" in ended.stderr
    await redis.aclose()
