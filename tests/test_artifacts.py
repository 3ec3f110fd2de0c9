"""The artifact store, on a folder and on fsspec, and the ledger on a real Redis."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import fsspec
import pytest
import zstandard
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from pointsman.router.errors import WorkspaceError, WorkspaceUnavailable
from pointsman.router.workspace import connect
from pointsman.router.workspace.artifacts import (
    KEPT,
    LIMIT,
    LIVES,
    ORPHAN_SECONDS,
    PAGE,
    ArtifactDamaged,
    ArtifactLedger,
    ArtifactMissing,
    Artifacts,
    BadArtifactReference,
    BadArtifactStore,
    Swept,
)
from pointsman.router.workspace.connection import Redis

pytestmark = pytest.mark.anyio

TEXTS = st.text(st.characters(codec=None), max_size=300) | st.builds(
    lambda unit, count: (unit * count)[:count],
    st.text(st.characters(codec=None), min_size=1, max_size=9),
    st.integers(LIMIT - 2, LIMIT + 2),
)
"""Any text, lone surrogates too, and texts about as long as the limit."""


class Shelf(LocalFileSystem):  # type: ignore[misc]
    """A filesystem whose puts do not appear whole, as far as we know: written aside, then moved."""

    protocol = "shelf"


class CloudError(Exception):
    """An error class of a cloud's own package."""


class Away(MemoryFileSystem):  # type: ignore[misc]
    protocol = "away"

    def cat_file(self, path: str, **_: object) -> bytes:
        raise CloudError(f"no way to {path}")


fsspec.register_implementation("shelf", Shelf, clobber=True)
fsspec.register_implementation("away", Away, clobber=True)


@pytest.fixture(params=["folder", "memory", "shelf"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    match request.param:
        case "folder":
            return Artifacts(tmp_path / "artifacts")
        case "memory":
            return Artifacts(f"memory://{uuid.uuid4().hex}")
        case _:
            return Artifacts(f"shelf://{tmp_path}/artifacts")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


async def stored(artifacts: Artifacts) -> list[str]:
    return sorted([reference async for reference, _ in artifacts.references()])


def files(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file()]


# --- the store ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_any_text_comes_back(place: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("artifacts")
    artifacts = Artifacts(folder if place == "folder" else f"memory://{folder.name}")

    async def there_and_back(text: str) -> None:
        reference = await artifacts.put(text)
        assert await artifacts.get(reference) == text
        assert await artifacts.put(text) == reference
        size = len(text.encode("utf-8", "surrogatepass"))
        assert reference.rpartition(":")[2] == str(size)

    with asyncio.Runner() as runner:

        @settings(max_examples=60)
        @given(text=TEXTS)
        def check(text: str) -> None:
            runner.run(there_and_back(text))

        check()


def test_what_is_above_the_limit_is_too_large() -> None:
    artifacts = Artifacts("anywhere", limit=10)
    assert not artifacts.too_large("x" * 10)
    assert artifacts.too_large("x" * 11)
    assert Artifacts("anywhere").limit == 256 * 1024


async def test_the_same_content_is_one_object(artifacts: Artifacts) -> None:
    many = await asyncio.gather(*(artifacts.put("same" * 1000) for _ in range(20)))
    other = await artifacts.put("other")
    assert len(set(many)) == 1
    assert await stored(artifacts) == sorted([many[0], other])


async def test_a_write_outlives_folders_that_come_and_go(artifacts: Artifacts) -> None:
    async def put_and_delete() -> None:
        for _ in range(30):
            await artifacts.delete(await artifacts.put("x"))

    await asyncio.gather(*(put_and_delete() for _ in range(6)))
    assert await artifacts.get(await artifacts.put("x")) == "x"


async def test_a_second_put_writes_nothing(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    await artifacts.put("x" * 1000)
    [file] = files(tmp_path)
    before = file.stat()
    await artifacts.put("x" * 1000)
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_it_is_compressed(tmp_path: Path) -> None:
    await Artifacts(tmp_path).put("a row of a table, " * 50_000)
    [file] = files(tmp_path)
    assert file.stat().st_size < 10_000


async def test_what_is_not_there_is_missing(artifacts: Artifacts) -> None:
    reference = await artifacts.put("x")
    await artifacts.delete(reference)
    await artifacts.delete(reference)
    with pytest.raises(ArtifactMissing, match=reference):
        await artifacts.get(reference)
    assert await stored(artifacts) == []


async def test_references_tell_when_they_were_written(artifacts: Artifacts) -> None:
    before = time.time()
    await artifacts.put("x")
    [(_, written)] = [found async for found in artifacts.references()]
    assert before - 2 < written < time.time() + 2


@settings(max_examples=150)
@given(
    text=st.text(max_size=200),
    where=st.integers(0, 1 << 16),
    damage=st.sampled_from(["flip", "cut", "empty", "append", "other"]),
)
def test_damage_is_told_or_harmless_and_a_put_heals_it(text: str, where: int, damage: str) -> None:
    name = uuid.uuid4().hex
    artifacts = Artifacts(f"memory://{name}")
    system = fsspec.filesystem("memory")

    async def check() -> None:
        reference = await artifacts.put(text)
        [path] = system.find(f"/{name}")
        content = bytearray(system.cat_file(path))
        match damage:
            case "flip":
                content[where % len(content)] ^= 1 << (where % 8)
            case "cut":
                del content[where % len(content) :]
            case "empty":
                content.clear()
            case "append":
                content += b"more"
            case _:
                content[:] = zstandard.compress(b"\0" * where)
        system.pipe_file(path, bytes(content))
        with suppress(ArtifactDamaged):
            assert await artifacts.get(reference) == text
        assert await artifacts.put(text) == reference
        assert await artifacts.get(reference) == text

    asyncio.run(check())
    system.rm(f"/{name}", recursive=True)


async def test_other_content_of_the_same_size_is_damage(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    reference = await artifacts.put("true")
    [file] = files(tmp_path)
    file.write_bytes(zstandard.compress(b"fals"))
    with pytest.raises(ArtifactDamaged, match="digest"):
        await artifacts.get(reference)


async def test_a_small_object_that_unpacks_large_is_not_unpacked(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    reference = await artifacts.put("x" * 100)
    [file] = files(tmp_path)
    file.write_bytes(zstandard.compress(b"x" * 50_000_000))
    with pytest.raises(ArtifactDamaged, match="50000000 bytes instead of 100"):
        await artifacts.get(reference)


DIGEST = "0f" * 32


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "artifact:sha256:",
        f"artifact:sha256:{DIGEST}",
        f"artifact:sha256:{DIGEST}:",
        f"artifact:sha256:{DIGEST}:-1",
        f"artifact:sha256:{DIGEST}:01",
        f"artifact:sha256:{DIGEST}:1\n",
        f"artifact:sha256:{DIGEST}:\u0661",
        f"artifact:sha256:{DIGEST.upper()}:1",
        f"artifact:sha256:{DIGEST}:1/../../x",
        f"artifact:sha256:../{DIGEST[3:]}:1",
        "artifact:sha256:../../../../etc/passwd:1",
        "/etc/passwd",
    ],
)
async def test_a_reference_leads_nowhere_else(reference: str, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    for act in (artifacts.get, artifacts.delete):
        with pytest.raises(BadArtifactReference):
            await act(reference)


async def test_a_life_leads_nowhere_else(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    artifacts = Artifacts(tmp_path / "artifacts")
    reference = await artifacts.put("x")
    with pytest.raises(BadArtifactReference):
        await artifacts.delete(reference, "../../../precious")
    assert precious.exists()


@given(st.text(max_size=120))
def test_no_text_but_a_reference_is_one(text: str) -> None:
    with pytest.raises(WorkspaceError):
        asyncio.run(Artifacts("/nowhere").get(text))


async def test_a_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        await Artifacts(tmp_path / "deep" / "artifacts").put("x")
    finally:
        os.umask(mask)
    made = [tmp_path / "deep" / "artifacts", *(tmp_path / "deep" / "artifacts").rglob("*")]
    modes = {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in made}
    assert modes == {(True, 0o700), (False, 0o600)}


async def test_other_files_in_the_folder_are_left_alone(tmp_path: Path, redis: Redis) -> None:
    (tmp_path / "ab" / "notes").mkdir(parents=True)
    for other in (tmp_path / "README", tmp_path / "ab" / "x", tmp_path / "ab" / "notes" / "y"):
        other.write_text("mine")
        os.utime(other, (0, 0))
    artifacts = Artifacts(tmp_path)
    await artifacts.put("x")
    assert len(await stored(artifacts)) == 1
    await ArtifactLedger(redis, artifacts).sweep(time.time())
    assert len(files(tmp_path)) == 4


async def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceUnavailable, match="artifact put"):
        await Artifacts(tmp_path / "file").put("x")


async def test_an_error_of_a_clouds_own_is_ours() -> None:
    with pytest.raises(WorkspaceUnavailable, match="away: CloudError: no way to"):
        await Artifacts("away://x").put("x")


def test_a_store_of_an_unknown_kind_is_refused_without_telling_its_password() -> None:
    with pytest.raises(BadArtifactStore) as caught:
        Artifacts("nosuch://me:secret@host/x")
    assert "nosuch" in str(caught.value)
    assert "secret" not in str(caught.value)


WRITER = """
import asyncio, sys
from pointsman.router.workspace.artifacts import Artifacts

async def write() -> None:
    artifacts = Artifacts(sys.argv[1])
    n = 0
    while True:
        await asyncio.gather(*(artifacts.put(f"{n + i} " * 100_000) for i in range(4)))
        n += 4
        print(n, flush=True)

asyncio.run(write())
"""


@pytest.mark.parametrize("after", [0.0, 0.013, 0.029])
def test_a_killed_writer_leaves_whole_objects(after: float, tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        finished = int(writer.stdout.readline())
        time.sleep(after)
        writer.send_signal(signal.SIGKILL)

    async def check() -> None:
        artifacts = Artifacts(tmp_path)
        references = await stored(artifacts)
        texts = [await artifacts.get(reference) for reference in references]
        assert {f"{n} " * 100_000 for n in range(finished)} <= set(texts)

    asyncio.run(check())


# --- the ledger ---------------------------------------------------------------------------------


def test_both_keys_of_the_ledger_are_in_one_slot_of_a_cluster() -> None:
    assert key_slot(KEPT.encode()) == key_slot(LIVES.encode())


async def test_an_artifact_is_kept_until_its_time(artifacts: Artifacts, redis: Redis) -> None:
    ledger = ArtifactLedger(redis, artifacts)
    reference = await ledger.put("x", until=100)
    assert await ledger.sweep(100) == Swept(0, 0)
    assert await ledger.get(reference) == "x"
    assert await ledger.sweep(100.01) == Swept(1, 0)
    with pytest.raises(ArtifactMissing):
        await ledger.get(reference)
    assert await redis.zcard(KEPT) == 0
    assert await redis.hkeys(LIVES) == ["ledger"]


async def test_the_longest_of_its_times_counts(artifacts: Artifacts, redis: Redis) -> None:
    ledger = ArtifactLedger(redis, artifacts)
    reference = await ledger.put("x", until=200)
    assert await ledger.put("x", until=100) == reference
    await ledger.kept_until(reference, 150)
    assert await ledger.sweep(199) == Swept(0, 0)
    await ledger.kept_until(reference, 300)
    assert await ledger.sweep(299) == Swept(0, 0)
    assert await ledger.sweep(301) == Swept(1, 0)


async def test_what_has_expired_can_be_put_again(artifacts: Artifacts, redis: Redis) -> None:
    ledger = ArtifactLedger(redis, artifacts)
    reference = await ledger.put("x", until=1)
    await ledger.sweep(2)
    assert await ledger.put("x", until=10) == reference
    assert await ledger.get(reference) == "x"


async def test_more_than_a_page_expires_in_one_sweep(redis: Redis) -> None:
    ledger = ArtifactLedger(redis, Artifacts(f"memory://{uuid.uuid4().hex}"))
    for n in range(3 * PAGE):
        await ledger.put(str(n), until=n)
    assert await ledger.expire(2.5 * PAGE) == 2.5 * PAGE
    assert await ledger.expire(2.5 * PAGE) == 0


async def test_keeping_what_the_ledger_lost_puts_it_again(
    artifacts: Artifacts, redis: Redis
) -> None:
    """Redis came back from a disk that lacks its last second."""
    ledger = ArtifactLedger(redis, artifacts)
    reference = await ledger.put("x", until=1)
    await redis.zrem(KEPT, reference)
    await redis.hdel(LIVES, reference)
    await ledger.kept_until(reference, 10**11)
    old = time.time() + 2 * ORPHAN_SECONDS
    assert await ledger.sweep(old) == Swept(0, 1)
    assert await ledger.get(reference) == "x"


async def test_keeping_what_is_nowhere_is_an_error(artifacts: Artifacts, redis: Redis) -> None:
    ledger = ArtifactLedger(redis, artifacts)
    with pytest.raises(ArtifactMissing):
        await ledger.kept_until(f"artifact:sha256:{DIGEST}:1", 10)
    with pytest.raises(BadArtifactReference):
        await ledger.kept_until("ledger", 10)
    assert await redis.zcard(KEPT) == 0


async def test_orphans_older_than_an_hour_are_deleted(artifacts: Artifacts, redis: Redis) -> None:
    ledger = ArtifactLedger(redis, artifacts)
    orphan, kept = await ledger.put("x", until=1), await ledger.put("y", until=10**11)
    await redis.zrem(KEPT, orphan)  # a sweep died between its script and the deletion
    await redis.hdel(LIVES, orphan)
    now = time.time()
    assert await ledger.sweep_orphans(now) == 0
    assert await ledger.sweep_orphans(now + ORPHAN_SECONDS + 2) == 1
    assert await stored(artifacts) == [kept]


async def test_an_unfinished_write_is_deleted_after_an_hour(tmp_path: Path, redis: Redis) -> None:
    artifacts = Artifacts(tmp_path)
    ledger = ArtifactLedger(redis, artifacts)
    reference = await ledger.put("x", until=10**11)
    [file] = files(tmp_path)
    unfinished = file.with_name(f"{file.name}.0123456789abcdef")
    unfinished.write_bytes(b"half")
    assert await ledger.get(reference) == "x"
    assert await stored(artifacts) == [reference]
    assert await ledger.sweep_orphans(time.time() + ORPHAN_SECONDS + 2) == 1
    assert files(tmp_path) == [file]


async def test_what_another_ledger_keeps_in_the_same_store_is_left_alone(
    artifacts: Artifacts, redis: Redis
) -> None:
    reference = await ArtifactLedger(redis, artifacts).put("x", until=10**11)
    alone = await artifacts.put("z")
    await redis.flushall()  # another server, as good as
    other = ArtifactLedger(redis, artifacts)
    await other.put("x", until=1)
    assert await other.sweep(time.time() + 2 * ORPHAN_SECONDS) == Swept(1, 0)
    assert await other.get(reference) == "x"
    assert await other.get(alone) == "z"


# --- races --------------------------------------------------------------------------------------

STEP: ContextVar[Callable[[], None]] = ContextVar("STEP", default=lambda: None)


def stepping(name: str) -> Callable[..., Any]:
    """The filesystem's method, with a halt before it and after it; a listing that finds nothing has none."""
    method = getattr(MemoryFileSystem, name)

    def stepped(self: MemoryFileSystem, *args: Any, **kwargs: Any) -> Any:
        if name != "find":
            STEP.get()()
        found: Any = True
        try:
            found = method(self, *args, **kwargs)
            return found
        finally:
            if found != {}:
                STEP.get()()

    return stepped


ACTS = ("pipe_file", "cat_file", "ls", "find", "rm_file")


class Stepped(MemoryFileSystem):  # type: ignore[misc]
    protocol = "memory"


for act in ACTS:
    setattr(Stepped, act, stepping(act))
fsspec.register_implementation("stepped", Stepped, clobber=True)


class Turns:
    """Lets one of several actors go on at a time, each time to where it next touches the store.

    `choices`: which of those that could go on does, turn by turn; then the first.
    """

    def __init__(self, choices: list[int]) -> None:
        self._choices = iter(choices)
        self._over = False
        self._waiting: dict[int, threading.Event] = {}
        self._halted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, actors: list[Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number, actor in enumerate(actors):
                    self._halted.clear()
                    group.create_task(self._act(number, actor))
                    await self._halted.wait()
                while self._waiting:
                    ready = sorted(self._waiting)
                    self._halted.clear()
                    self._waiting.pop(ready[next(self._choices, 0) % len(ready)]).set()
                    await self._halted.wait()
        finally:
            self._over = True
            for turn in self._waiting.values():
                turn.set()

    async def _act(self, number: int, actor: Coroutine[Any, Any, None]) -> None:
        def halt() -> None:
            if self._over:
                return
            turn = threading.Event()
            self._loop.call_soon_threadsafe(self._halt, number, turn)
            assert turn.wait(60)

        STEP.set(halt)
        try:
            await asyncio.to_thread(halt)
            await actor
        finally:
            self._halted.set()

    def _halt(self, number: int, turn: threading.Event) -> None:
        self._waiting[number] = turn
        self._halted.set()


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


HOUR = 2 * ORPHAN_SECONDS
PUT = st.tuples(st.just("put"), st.sampled_from(["x", "y"]), st.integers(0, 3))
KEEP = st.tuples(st.just("keep"), st.sampled_from(["x", "y"]), st.integers(0, 3))
SWEEP = st.tuples(st.sampled_from(["expire", "orphans", "sweep"]), st.just(""), st.integers(0, 3))
ACTOR = st.lists(PUT | KEEP | SWEEP, min_size=1, max_size=3)


async def race(redis: Redis, actors: list[list[tuple[str, str, int]]], choices: list[int]) -> None:
    """Writers and sweepers on two contents that have just expired; hours are counted from now on."""
    await redis.delete(KEPT, LIVES)
    artifacts = Artifacts("stepped://x", global_store=False, skip_instance_cache=True)
    ledger = ArtifactLedger(redis, artifacts)
    start = time.time()
    names = {text: await ledger.put(text, until=start - 1) for text in ("x", "y")}
    latest = max(
        (h for actor in actors for a, _, h in actor if a not in ("put", "keep")), default=0
    )
    promised: dict[str, int] = {}

    async def holds(text: str) -> None:
        """What is kept beyond every sweep is there."""
        if promised.get(text, -1) >= latest:
            step = STEP.set(lambda: None)
            assert await ledger.get(names[text]) == text
            STEP.reset(step)

    async def play(actor: list[tuple[str, str, int]]) -> None:
        for act, text, hours in actor:
            when = start + hours * HOUR
            match act:
                case "put" | "keep":
                    try:
                        if act == "put":
                            await ledger.put(text, until=when)
                        else:
                            await ledger.kept_until(names[text], when)
                    except ArtifactMissing:
                        continue  # it had expired before
                    promised[text] = max(promised.get(text, -1), hours)
                    await holds(text)
                case "expire":
                    await ledger.expire(when)
                case "orphans":
                    await ledger.sweep_orphans(when)
                case _:
                    await ledger.sweep(when)

    await Turns(choices).run([play(actor) for actor in actors])
    for text in names:
        await holds(text)
    # and nothing is left behind: when all has expired, a sweep empties the store
    await ledger.sweep(start + 5 * HOUR)
    await ledger.sweep(start + 5 * HOUR)
    assert await stored(artifacts) == []


def test_no_interleaving_deletes_what_is_kept_or_leaves_what_is_not(
    redis_url: str, threads: ThreadPoolExecutor
) -> None:
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(threads)
        redis = connect(redis_url)

        @settings(max_examples=150)
        @given(
            actors=st.lists(ACTOR, min_size=2, max_size=4),
            choices=st.lists(st.integers(0, 11), min_size=10, max_size=60),
        )
        def check(actors: list[list[tuple[str, str, int]]], choices: list[int]) -> None:
            runner.run(race(redis, actors, choices))

        try:
            check()
        finally:
            runner.run(redis.aclose())
