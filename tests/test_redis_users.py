"""deploy/redis/users.acl on a real Redis: each role can do its work as its user, and nothing besides; and a backup
that is taken while runs are under way brings all of them back.
"""

import asyncio
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from actors import first, over, until
from redis.exceptions import NoPermissionError
from redis_servers import RedisServer, server
from serving import RefusingPlanner

from pointsman.experts.base import Call
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.events import TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.router.workspace.artifacts import ArtifactLedger, Artifacts
from pointsman.router.workspace.fsck import fsck
from pointsman.router.workspace.layout import check_layout
from pointsman.router.workspace.tracing import sweep_traces
from pointsman.services.embedded import find_server
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

pytestmark = pytest.mark.anyio

ACL = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl"
ROLES = ("gateway", "controller", "worker")
FORBIDDEN = (
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("SHUTDOWN",),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("REPLICAOF", "NO", "ONE"),
    ("MONITOR",),
    ("DEBUG", "SLEEP", "0"),
    ("GET", "another:key"),
    ("SET", "another:key", "1"),
    ("PUBLISH", "another", "1"),
    ("EVAL", "return redis.call('GET', KEYS[1])", 1, "another:key"),
    ("EVAL", "return redis.call('FLUSHALL')", 0),
)


@capability("t.nap")
async def nap(seconds: float) -> float:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return seconds


@capability("t.send", effect="once")
async def send(call: Call, what: str) -> str:
    """Sends something."""
    return what * 400


def plan(seconds: float) -> Plan:
    a, b = TaskId("a"), TaskId("b")
    return Plan(
        (Task(a, "t.nap", {"seconds": seconds}), Task(b, "t.send", {"what": "x"}, after=(a,))),
        answer=(b,),
    )


@pytest.fixture
def users(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with the users of the file; a user's password is its name."""
    text = ACL.read_text()
    for user in re.findall(r"#([A-Z]+)_SHA256", text):
        digest = hashlib.sha256(user.lower().encode()).hexdigest()
        text = text.replace(f"#{user}_SHA256", f"#{digest}")
    lines = [line for line in text.splitlines() if line.startswith("user ")]
    with server(find_server(), tmp_path / "redis") as made:
        admin = redis_py.Redis(port=made.port)
        for line in lines:
            _, name, *rules = line.split()
            if name != "default":
                admin.execute_command("ACL", "SETUSER", name, *rules)
        admin.close()
        yield made


def url(of: RedisServer, user: str) -> str:
    return f"redis://{user}:{user}@127.0.0.1:{of.port}"


async def test_each_role_does_its_work_as_its_own_user(users: RedisServer, tmp_path: Path) -> None:
    made: dict[str, Workspace] = {}
    for role in ROLES:
        redis = connect(url(users, role))
        await check_layout(redis)
        ledger = ArtifactLedger(redis, Artifacts(str(tmp_path / "artifacts"), limit=256))
        made[role] = Workspace(redis, artifacts=ledger)
        await ledger.expire(0.0)
    at = url(users, "controller")
    saver = RedisSaver(connect(at, decode_responses=False), prefix="pm:graph")
    graph = ControllerGraph(made["controller"], RefusingPlanner(), saver)
    controller = Controller(made["controller"], graph)
    expert = ToolExpert("e", "does", [nap, send], concurrency=4)
    worker = Worker(made["worker"], LocalFiles(tmp_path), [expert])
    await worker.announce()
    tasks = [asyncio.create_task(one.serve()) for one in (controller, worker)]
    door = made["gateway"]
    run = await door.create_run(RunSpec("x", plan=plan(0.1)), key="k")
    ended = await over(door, run)
    assert ended.status == "done", (ended.error, refused(users))
    assert await door.slots(run, ["b"]) == {"b": "x" * 400}, "a value in the artifact store"
    stopped = await door.create_run(RunSpec("x", plan=plan(20.0)))
    await first(door, stopped, TaskStarted)
    await door.cancel(stopped, "enough")
    assert (await over(door, stopped)).status == "cancelled"
    assert len(await door.runs(limit=10, before=None)) >= 2
    await door.dead_letters()
    await sweep_traces(made["controller"], 4e9)
    controller.drain()
    worker.drain()
    await asyncio.gather(*tasks)
    await saver.aclose()
    for workspace in made.values():
        await workspace.close()
    assert refused(users) == []


def refused(of: RedisServer) -> list[str]:
    """What was asked for and not allowed, as the server's own log has it."""
    with redis_py.Redis(port=of.port, decode_responses=True) as admin:
        log: Any = admin.acl_log()
    return [f"{one['username']}: {one['object']} ({one['reason']})" for one in log]


@pytest.mark.parametrize("user", ROLES)
def test_nobody_can_do_more(users: RedisServer, user: str) -> None:
    with redis_py.Redis.from_url(url(users, user)) as client:
        assert client.ping()
        for command in FORBIDDEN:
            with pytest.raises((NoPermissionError, redis_py.ResponseError)) as raised:
                client.execute_command(*command)
            told = str(raised.value).lower()
            assert "permission" in told or "noperm" in told or "can't" in told, (command, told)


def test_the_scaler_counts_what_waits_and_sees_nothing_else(users: RedisServer) -> None:
    script = "local t = redis.call('type', KEYS[1]).ok return redis.call('zcard', KEYS[1])"
    with redis_py.Redis.from_url(url(users, "scaler")) as client:
        assert client.eval(script, 1, "pm:{admission}:queue") == 0
        with pytest.raises((NoPermissionError, redis_py.ResponseError)):
            client.eval(script, 1, "pm:runs")


def test_the_file_has_no_password_and_closes_the_default_user() -> None:
    lines = [line for line in ACL.read_text().splitlines() if line.startswith("user ")]
    assert "user default off" in lines
    for line in lines:
        assert " >" not in line
        assert "nopass" not in line
        assert line.endswith("off") or re.search(r" #[A-Z]+_SHA256 ", line)


async def test_a_backup_taken_meanwhile_brings_every_run_back(tmp_path: Path) -> None:
    """As docs/deploy.md says: BGSAVE, copy, start on the copy, switch the append-only file on again."""
    with server(find_server(), tmp_path / "one") as old:
        workspace = Workspace(connect(old.url))
        worker = Worker(workspace, LocalFiles(tmp_path), [ToolExpert("e", "does", [nap, send])])
        await worker.announce()
        ended = [await workspace.create_run(RunSpec(f"r{n}", plan=plan(0.0))) for n in range(5)]
        waiting = await workspace.create_run(RunSpec("later", plan=plan(0.0)))
        old.ask("BGSAVE")

        async def saved() -> bool:
            return old.ask("INFO", "persistence")["rdb_bgsave_in_progress"] == 0

        await until(saved)
        lost = await workspace.create_run(RunSpec("after the backup"))
        await workspace.close()
        copy = tmp_path / "backup.rdb"
        shutil.copy(tmp_path / "one" / "dump.rdb", copy)
    folder = tmp_path / "two"
    folder.mkdir()
    shutil.copy(copy, folder / "dump.rdb")
    restore(find_server(), folder)
    new = RedisServer(find_server(), folder)
    try:
        new.start()
        workspace = Workspace(connect(new.url))
        there = {r.id for r in await workspace.runs(limit=50, before=None)}
        assert there == {*ended, waiting}
        assert lost not in there, "it was made after the backup"
        assert [f for f in await fsck(workspace) if f.severity == "error"] == []
        await workspace.close()
        new.kill()
        new.start()
        workspace = Workspace(connect(new.url))
        assert {r.id for r in await workspace.runs(limit=50, before=None)} == there
        await workspace.close()
    finally:
        new.stop()


def restore(binary: Path, folder: Path) -> None:
    """Starts a server on the snapshot, lets it write the append-only file, and stops it."""
    made = RedisServer(binary, folder)
    command = [str(binary), "--port", str(made.port), "--dir", str(folder), "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        made._process = process
        made._until(lambda: made.ask("PING") is True)
        made.ask("CONFIG", "SET", "appendonly", "yes")
        made._until(lambda: made.ask("INFO", "persistence")["aof_rewrite_in_progress"] == 0)
        made._until(lambda: made.ask("INFO", "persistence")["aof_enabled"] == 1)
        process.terminate()
