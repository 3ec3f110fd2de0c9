"""`pointsman fsck` on a live server: well, damaged, away."""

import asyncio
import json
from pathlib import Path

import pytest

from pointsman.cli import main
from pointsman.router.workspace import RunSpec, Workspace, connect


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["fsck", *arguments])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


async def _one_run(url: str, *, broken: bool) -> str:
    redis = connect(url)
    await redis.flushall()
    workspace = Workspace(redis)
    run = await workspace.create_run(RunSpec("x"))
    if broken:
        await redis.hset(f"pm:{{{run}}}:slots", "nobody", "1")
        await redis.hset(f"pm:{{{run}}}:status", "nobody", "done")
    await workspace.close()
    return run


def test_a_sound_server_passes(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = asyncio.run(_one_run(redis_url, broken=False))
    assert ran(capsys, "--redis-url", redis_url)[0] == 0
    code, out, _ = ran(capsys, run, "--redis-url", redis_url, "--json")
    assert (code, json.loads(out)) == (0, [])


def test_what_is_broken_is_told_and_fails(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = asyncio.run(_one_run(redis_url, broken=True))
    code, out, _ = ran(capsys, "--redis-url", redis_url, "--json")
    assert code == 1
    assert {(f["run"], f["task"]) for f in json.loads(out)} == {(run, "nobody")}
    code, out, err = ran(capsys, "--redis-url", redis_url)
    assert code == 1
    assert run in out
    assert "error" in err


def test_a_server_that_does_not_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POINTSMAN_REDIS_URL", raising=False)
    code, out, err = ran(capsys, "--home", str(tmp_path))
    assert (code, out) == (1, "")
    assert "pointsman serve" in err
