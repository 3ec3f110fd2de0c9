"""The pipelined connection: answers stay in step, whatever happens to callers, scripts and the server."""

import asyncio
import gc
import hashlib
import random
import shutil
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from redis import exceptions
from redis.asyncio import Redis, Sentinel
from redis_servers import RedisServer, cluster, server

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import connect
from pointsman.router.workspace.address import Address
from pointsman.router.workspace.calls import ByClient, Calls, entries, pairs, scored
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.pipelined import Pipelined, calls
from pointsman.services.embedded import find_server

pytestmark = pytest.mark.anyio

ECHO = "return {KEYS, ARGV}"
ECHO_SHA = hashlib.sha1(ECHO.encode()).hexdigest()
AWAY = (exceptions.ConnectionError, exceptions.TimeoutError)
CONNECTIONS_TRIED = 20


@pytest.fixture
async def pipelined(redis_url: str) -> AsyncIterator[Pipelined]:
    made = Pipelined.at(redis_url)
    await made("FLUSHALL")
    yield made
    await made.close()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[RedisServer]:
    """A server on a port that a test may kill."""
    with server(find_server(), tmp_path) as made:
        yield made


Connected: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]
]


@asynccontextmanager
async def relay(
    listen: Callable[[Connected], Awaitable[asyncio.Server]],
    redis_url: str,
    *,
    limits: list[int] | None = None,
    stuck: asyncio.Event | None = None,
    chunk: int = 1 << 16,
) -> AsyncIterator[asyncio.Server]:
    """A network between us and Redis, whole connections or worse ones.

    limits: after so many bytes of answers a connection ends; each takes one, the rest are whole.
    stuck: the first connection moves nothing at all until then, and ends. chunk: bytes that move at once.
    """
    running: list[asyncio.Task[Any]] = []
    whole = 1 << 40

    async def copy(
        source: asyncio.StreamReader, target: asyncio.StreamWriter, allowed: int
    ) -> None:
        with suppress(OSError):
            while allowed > 0 and (data := await source.read(min(chunk, allowed))):
                target.write(data)
                await target.drain()
                allowed -= len(data)
        target.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append(task)
        if stuck is not None and len(running) == 1:
            await stuck.wait()
            writer.transport.abort()
            return
        back, there = await asyncio.open_unix_connection(redis_url.removeprefix("unix://"))
        limit = limits.pop(0) if limits else whole
        await asyncio.gather(copy(reader, there, whole), copy(back, writer, limit))
        for each in (there, writer):
            with suppress(OSError):
                await each.wait_closed()

    async with await listen(forward) as made:
        yield made
        await asyncio.gather(*running)


async def number_of_connections(url: str, name: str = "") -> int:
    """Connections other than the one that asks."""
    async with Redis.from_url(url, decode_responses=True) as client:
        return len(await client.client_list()) - 1


async def test_answers_are_plain(pipelined: Pipelined) -> None:
    assert await pipelined("PING") == "PONG"
    assert await pipelined("SET", "a", "1") == "OK"
    assert await pipelined("INCRBY", "a", 2) == 3
    assert await pipelined("GET", "none") is None
    assert await pipelined("HSET", "h", "x", 0.5, "y", b"z") == 2
    assert await pipelined("HGETALL", "h") == ["x", "0.5", "y", "z"]
    assert await pipelined("XADD", "s", "1-1", "e", "é") == "1-1"
    assert await pipelined("XRANGE", "s", "-", "+") == [["1-1", ["e", "é"]]]
    assert await pipelined("ZADD", "z", 1.5, "m") == 1
    assert await pipelined("ZRANGE", "z", 0, -1, "WITHSCORES") == ["m", "1.5"]
    assert await pipelined("LRANGE", "none", 0, -1) == []


async def test_a_thousand_callers_share_one_connection_and_get_their_own_answers(
    pipelined: Pipelined, redis_url: str
) -> None:
    before = await number_of_connections(redis_url)
    answers = await asyncio.gather(*(pipelined("ECHO", str(i)) for i in range(1000)))
    assert answers == [str(i) for i in range(1000)]
    assert await number_of_connections(redis_url) == before


async def test_callers_that_come_first_at_once_open_one_connection(redis_url: str) -> None:
    before = await number_of_connections(redis_url)
    pipelined = Pipelined.at(redis_url)
    answers = await asyncio.gather(*(pipelined("ECHO", str(i)) for i in range(100)))
    assert answers == [str(i) for i in range(100)]
    assert await number_of_connections(redis_url) == before + 1
    await pipelined.close()
    assert await number_of_connections(redis_url) == before


async def test_commands_of_one_caller_are_carried_out_in_order(pipelined: Pipelined) -> None:
    pushed = [asyncio.create_task(pipelined("RPUSH", "l", i)) for i in range(500)]
    assert await asyncio.gather(*pushed) == list(range(1, 501))
    assert await pipelined("LRANGE", "l", 0, -1) == [str(i) for i in range(500)]


async def test_errors_are_those_of_redis_py_and_only_the_callers_own(pipelined: Pipelined) -> None:
    await pipelined("SET", "text", "x")
    wrong, right = await asyncio.gather(
        pipelined("INCR", "text"), pipelined("GET", "text"), return_exceptions=True
    )
    assert right == "x"
    assert type(wrong) is exceptions.ResponseError
    assert "not an integer" in str(wrong)
    with pytest.raises(exceptions.NoScriptError):
        await pipelined("EVALSHA", "0" * 40, 0)
    await pipelined("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
    with pytest.raises(exceptions.ResponseError, match=r"^BUSYGROUP"):
        await pipelined("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
    with pytest.raises(WorkspaceUnavailable, match="Redis refused"), redis_errors("test"):
        await pipelined("NO-SUCH-COMMAND")


async def test_an_error_within_an_answer_stays_there(pipelined: Pipelined) -> None:
    one, error = await pipelined("EVAL", "return {1, redis.error_reply('MY own')}", 0)
    assert one == 1
    assert isinstance(error, exceptions.ResponseError)
    assert str(error) == "MY own"


@pytest.mark.parametrize(
    "command",
    [(), ("GET", None), ("GET", True), ("GET", ["a"]), ("GET", "\ud800"), ("MULTI",), ("BLPOP",)],
)
async def test_what_cannot_be_sent_harms_nobody(pipelined: Pipelined, command: Any) -> None:
    fine = asyncio.create_task(pipelined("ECHO", "fine"))
    with pytest.raises(exceptions.DataError):
        await pipelined(*command)
    assert await fine == "fine"
    assert await pipelined("ECHO", "in step") == "in step"


async def test_a_script_is_sent_again_where_it_is_unknown(pipelined: Pipelined) -> None:
    await pipelined("SCRIPT", "FLUSH")
    for _ in range(2):
        assert await pipelined.script(ECHO_SHA, ECHO, ["k"], ["a", 1]) == [["k"], ["a", "1"]]
    await pipelined("SCRIPT", "FLUSH")
    answers = await asyncio.gather(
        *(pipelined.script(ECHO_SHA, ECHO, ["k"], [i]) for i in range(50))
    )
    assert answers == [[["k"], [str(i)]] for i in range(50)]
    with pytest.raises(exceptions.NoScriptError):
        await pipelined("EVALSHA", "0" * 40, 0)


@given(text=st.text(), raw=st.binary())
@trying(max_examples=60)
def test_every_text_comes_back_as_it_was(redis_url: str, text: str, raw: bytes) -> None:
    async def there_and_back() -> None:
        pipelined = Pipelined.at(redis_url)
        try:
            assert await pipelined("ECHO", text) == text
            try:
                expected: str | None = raw.decode()
            except UnicodeDecodeError:
                expected = None
            if expected is not None:
                assert await pipelined("ECHO", raw) == expected
                return
            answers = await asyncio.gather(
                pipelined("ECHO", raw), pipelined("ECHO", text), return_exceptions=True
            )
            assert isinstance(answers[0], exceptions.InvalidResponse)
            assert answers[1] == text
        finally:
            await pipelined.close()

    asyncio.run(there_and_back())


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["echo", "error", "script", "slow", "array"]),
            st.sampled_from(["stays", "cancelled at once", "cancelled later"]),
        ),
        min_size=1,
        max_size=40,
    ),
    pause=st.integers(0, 5),
)
@trying(max_examples=60)
def test_callers_that_are_cancelled_leave_the_others_in_step(
    redis_url: str, calls: list[tuple[str, str]], pause: int
) -> None:
    async def ask(pipelined: Pipelined, kind: str, number: int) -> Any:
        match kind:
            case "error":
                with pytest.raises(exceptions.ResponseError, match=f"no-{number}"):
                    await pipelined("EVAL", f"return redis.error_reply('MY no-{number}')", 0)
                return number
            case "script":
                return int((await pipelined.script(ECHO_SHA, ECHO, [], [number]))[1][0])
            case "slow":
                spin = "local n = 0 for i = 1, 20000 do n = n + 1 end return ARGV[1]"
                return int(await pipelined("EVAL", spin, 0, number))
            case "array":
                found = await pipelined("EVAL", "return {ARGV[1], {1, {ARGV[1]}}}", 0, number)
                assert found == [str(number), [1, [str(number)]]]
                return number
            case _:
                return int(await pipelined("ECHO", number))

    async def storm() -> None:
        pipelined = Pipelined.at(redis_url)
        try:
            tasks = [asyncio.create_task(ask(pipelined, k, i)) for i, (k, _) in enumerate(calls)]
            await asyncio.sleep(0)
            for task, (_, fate) in zip(tasks, calls, strict=True):
                if fate == "cancelled at once":
                    task.cancel()
            for _ in range(pause):
                await asyncio.sleep(0)
            for task, (_, fate) in zip(tasks, calls, strict=True):
                if fate == "cancelled later":
                    task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for i, (answer, (_, fate)) in enumerate(zip(found, calls, strict=True)):
                assert answer == i or (
                    fate != "stays" and isinstance(answer, asyncio.CancelledError)
                )
            assert await pipelined("ECHO", "after") == "after"
        finally:
            await pipelined.close()

    asyncio.run(storm())


async def test_a_big_answer_and_a_big_argument(pipelined: Pipelined) -> None:
    big = "é" * 25_000_000
    before = asyncio.create_task(pipelined("ECHO", "before"))
    set_ = asyncio.create_task(pipelined("SET", "big", big))
    after = [asyncio.create_task(pipelined("ECHO", str(i))) for i in range(50)]
    got = asyncio.create_task(pipelined("GET", "big"))
    assert await before == "before"
    assert await set_ == "OK"
    assert [await a for a in after] == [str(i) for i in range(50)]
    assert await got == big
    assert await pipelined("DEL", "big") == 1


async def test_callers_wait_while_the_server_does_not_read(lone: RedisServer) -> None:
    pipelined = Pipelined.at(lone.url)
    await pipelined("PING")
    part = "x" * 1_000_000
    asleep = asyncio.create_task(asyncio.to_thread(lone.ask, "DEBUG", "SLEEP", 0.5))
    await asyncio.sleep(0.1)
    pushed = [asyncio.create_task(pipelined("RPUSH", "l", f"{i}{part}")) for i in range(60)]
    await asyncio.sleep(0.1)
    wire = pipelined._wire
    assert wire is not None
    assert wire.full
    assert len(wire._waiting) < 60
    pushed[-1].cancel()
    answers = await asyncio.gather(*pushed, return_exceptions=True)
    assert answers[:-1] == list(range(1, 60))
    assert not wire.full
    await asleep
    await pipelined.close()


async def kill_and_restart(lone: RedisServer) -> None:
    """Callers that never stop, some cancelled at random, while the server is killed and started."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    pipelined = Pipelined.at(lone.url)
    counted: Counter[str] = Counter()
    over = asyncio.Event()
    chance = random.Random(7)

    async def caller(name: int) -> None:
        i = 0
        while not over.is_set():
            i += 1
            call = asyncio.create_task(pipelined("ECHO", f"{name}-{i}"))
            if chance.random() < 0.1:
                await asyncio.sleep(0)
                call.cancel()
            try:
                assert await call == f"{name}-{i}"
                counted["answered"] += 1
            except asyncio.CancelledError:
                counted["cancelled"] += 1
            except AWAY:
                counted["failed"] += 1
                await asyncio.sleep(0.001)

    callers = [asyncio.create_task(caller(n)) for n in range(50)]
    for _ in range(3):
        await asyncio.sleep(0.1)
        lone.kill()
        await asyncio.sleep(0.05)
        await asyncio.to_thread(lone.start)
    await asyncio.sleep(0.1)
    over.set()
    await asyncio.gather(*callers)
    assert await pipelined("ECHO", "after") == "after"
    await pipelined.close()
    del callers
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
    assert counted["answered"] > 0
    assert counted["failed"] >= 50
    assert counted["cancelled"] > 0


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_every_call_answers_or_fails_when_the_server_is_killed(
    lone: RedisServer, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run(asyncio.wait_for(kill_and_restart(lone), 60))
    assert not caplog.records


async def test_no_call_is_sent_twice_when_the_connection_breaks(lone: RedisServer) -> None:
    pipelined = Pipelined.at(lone.url)
    await pipelined("SET", "n", 0)
    lone.ask("CLIENT", "PAUSE", 60_000, "WRITE")
    counts = [asyncio.create_task(pipelined("INCR", "n")) for _ in range(100)]
    await asyncio.sleep(0.05)
    assert lone.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") == 1
    found = await asyncio.gather(*counts, return_exceptions=True)
    assert {type(x) for x in found} == {exceptions.ConnectionError}
    lone.ask("CLIENT", "UNPAUSE")
    assert await pipelined("GET", "n") == "0"
    await pipelined.close()


@given(cuts=st.lists(st.integers(0, 700), min_size=1, max_size=4), chunk=st.integers(1, 64))
@trying(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_connection_that_is_cut_anywhere(
    redis_url: str, tmp_path: Path, cuts: list[int], chunk: int
) -> None:
    """Answers arrive in chunks; after so many bytes the connection ends. What is answered is right."""
    left = list(cuts)
    path = str(tmp_path / "cut.sock")

    async def ask(pipelined: Pipelined, i: int) -> str:
        answer = await pipelined("EVAL", "return {ARGV[1], {1, ARGV[1]}}", 0, f"é{i}")
        assert answer == [f"é{i}", [1, f"é{i}"]]
        return "right"

    async def through() -> None:
        listen = partial(asyncio.start_unix_server, path=path)
        async with relay(listen, redis_url, limits=left, chunk=chunk):
            pipelined = Pipelined.at(f"unix://{path}")
            for _ in cuts:
                asked = [ask(pipelined, i) for i in range(20)]
                found = await asyncio.gather(*asked, return_exceptions=True)
                right = next((i for i, x in enumerate(found) if x != "right"), 20)
                assert all(type(x) is exceptions.ConnectionError for x in found[right:])
            while left:
                with suppress(exceptions.ConnectionError):
                    await asyncio.gather(*(ask(pipelined, i) for i in range(20)))
            await pipelined.close()

    asyncio.run(through())


async def test_who_waited_to_write_uses_the_next_connection(redis_url: str, tmp_path: Path) -> None:
    """What was never written can be written after the connection is lost: nothing is done twice."""
    stuck = asyncio.Event()
    path = str(tmp_path / "stuck.sock")
    async with relay(partial(asyncio.start_unix_server, path=path), redis_url, stuck=stuck):
        pipelined = Pipelined.at(f"unix://{path}")
        pushed = [asyncio.create_task(pipelined("RPUSH", "l", "x" * 4_000_000)) for _ in range(9)]
        await asyncio.sleep(0.1)
        wire = pipelined._wire
        assert wire is not None
        sent = len(wire._waiting)
        assert 0 < sent < 9
        stuck.set()
        found = await asyncio.gather(*pushed, return_exceptions=True)
        assert {type(x) for x in found[:sent]} == {exceptions.ConnectionError}
        assert found[sent:] == list(range(1, 10 - sent))
        assert await pipelined("DEL", "l") == 1
        await pipelined.close()


async def test_no_server_is_said_at_once_and_to_everybody(tmp_path: Path) -> None:
    pipelined = Pipelined.at(f"unix://{tmp_path}/none.sock")
    found = await asyncio.gather(*(pipelined("PING") for _ in range(20)), return_exceptions=True)
    assert all(type(x) is exceptions.ConnectionError for x in found)
    assert "none.sock" in str(found[0])
    with pytest.raises(WorkspaceUnavailable, match="does not answer"), redis_errors("test"):
        await pipelined("PING")
    await pipelined.close()


async def test_a_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    """Connecting to it is no proof of life: the call times out and the next one tries anew."""
    path = str(tmp_path / "mute.sock")
    seen: list[asyncio.StreamWriter] = []

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)

    async with await asyncio.start_unix_server(mute, path):
        pipelined = Pipelined.at(f"unix://{path}?socket_timeout=0.2")
        for _ in range(2):
            found = await asyncio.gather(
                *(pipelined("ECHO", i) for i in range(5)), return_exceptions=True
            )
            assert all(type(x) is exceptions.TimeoutError for x in found)
        secret = Pipelined.at(f"unix://:secret@{path}?socket_connect_timeout=0.2")
        with pytest.raises(exceptions.TimeoutError, match=r"no connection within 0\.2 s"):
            await secret("PING")
        await secret.close()
        await pipelined.close()
        assert len(seen) == 3
        for writer in seen:
            writer.close()


async def test_an_answer_that_does_not_come_ends_the_connection(lone: RedisServer) -> None:
    pipelined = Pipelined.at(f"{lone.url}?socket_timeout=0.3")
    await pipelined("SET", "a", "before")
    asleep = asyncio.create_task(asyncio.to_thread(lone.ask, "DEBUG", "SLEEP", 1.5))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(pipelined("SET", "a", "late"))
    given_up = asyncio.create_task(pipelined("SET", "a", "late"))
    await asyncio.sleep(0.25)
    behind = asyncio.create_task(pipelined("GET", "a"))
    given_up.cancel()
    with pytest.raises(exceptions.TimeoutError, match=r"no answer within 0\.3 s"):
        await late
    with pytest.raises(AWAY):
        await behind
    await asleep
    assert await pipelined("ECHO", "in step") == "in step"
    await pipelined.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_answer_that_came_while_we_stood_still_counts(redis_url: str, run: Any) -> None:
    async def blocked() -> None:
        pipelined = Pipelined.at(f"{redis_url}?socket_timeout=0.2")
        await pipelined("PING")
        call = asyncio.create_task(pipelined("ECHO", "there"))
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is what stands still
        assert await call == "there"
        await pipelined.close()

    run(blocked())


async def test_an_answer_nobody_asked_for_ends_the_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "odd.sock")
    answers = [b"+A\r\n+B\r\n", b"?nonsense\r\n", b"+OK\r\n"]

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answers.pop(0))
        with suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(odd, path):
        pipelined = Pipelined.at(f"unix://{path}")
        assert await pipelined("GET", "a") == "A"
        with pytest.raises(exceptions.ConnectionError, match="make no sense"):
            await pipelined("GET", "a")
        assert await pipelined("GET", "a") == "OK"
        await pipelined.close()


async def test_who_we_are_is_said_first(lone: RedisServer) -> None:
    lone.ask("ACL", "SETUSER", "pete", "on", ">p@ss w", "~*", "+@all")
    lone.ask("CONFIG", "SET", "requirepass", "secret")
    at = lone.url.removeprefix("redis://")
    for who in ("pete:p%40ss%20w@", ":secret@", "default:secret@"):
        pipelined = Pipelined.at(f"redis://{who}{at}/3")
        assert await pipelined("SET", "here", who) == "OK"
        assert " db=3 " in await pipelined("CLIENT", "LIST")
        await pipelined.close()
    wrong = Pipelined.at(f"redis://:wrong@{at}")
    for _ in range(2):
        with pytest.raises(exceptions.AuthenticationError, match=f"{at}: .*password"):
            await wrong("PING")
    with pytest.raises(WorkspaceUnavailable, match="password"), redis_errors("test"):
        await wrong("PING")
    await wrong.close()
    nobody = Pipelined.at(lone.url)
    with pytest.raises(exceptions.AuthenticationError, match="required"):
        await nobody("PING")
    await nobody.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_tls(redis_url: str, tmp_path: Path, run: Any) -> None:
    """Through a proxy that speaks TLS; a certificate that nobody vouches for is refused."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-nodes"]
    files = ["-keyout", str(key), "-out", str(cert), "-days", "2"]
    subprocess.run([*made, *named, *files], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def through() -> None:
        listen = partial(asyncio.start_server, host="127.0.0.1", port=0, ssl=context)
        async with relay(listen, redis_url) as proxy:
            at = f"rediss://localhost:{proxy.sockets[0].getsockname()[1]}"
            pipelined = Pipelined.at(f"{at}?ssl_ca_certs={cert}")
            answers = await asyncio.gather(*(pipelined("ECHO", str(i)) for i in range(100)))
            assert answers == [str(i) for i in range(100)]
            assert await pipelined("ECHO", "x" * 5_000_000) == "x" * 5_000_000
            await pipelined.close()
            stranger = Pipelined.at(at)
            with pytest.raises(exceptions.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger("PING")
            await stranger.close()

    run(through())


def test_a_client_says_where_and_who() -> None:
    pool = connect("rediss://ann:b%20c@example.org:7000/2?socket_timeout=7").connection_pool  # type: ignore[union-attr]
    address = Address.of(pool)
    assert (address.host, address.port, address.db) == ("example.org", 7000, 2)
    assert (address.answer_seconds, address.connect_seconds) == (7, 5)
    assert address.tls is not None
    assert address.tls.check_hostname
    assert address.credentials is not None
    assert address.credentials.get_credentials() == ("ann", "b c")
    assert address.keepalive
    assert "b c" not in repr(address)
    assert str(Pipelined.at("unix:///tmp/x.sock").address) == "/tmp/x.sock"
    with pytest.raises(ValueError, match="schemes"):
        Pipelined.at("http://localhost")


def test_a_client_that_finds_its_server_by_itself_is_used_as_it_is() -> None:
    client = Sentinel([("localhost", 1)]).master_for("main")
    with pytest.raises(ValueError, match="no plain connection"):
        Pipelined.of(client)
    assert isinstance(calls(client), ByClient)


async def test_an_idle_connection_is_tried_before_it_is_used(lone: RedisServer) -> None:
    pipelined = Pipelined.at(lone.url)
    first = await pipelined("CLIENT", "ID")
    wire = pipelined._wire
    assert wire is not None
    wire._heard -= 1000.0
    assert await pipelined("CLIENT", "ID") == first
    assert pipelined._wire is wire
    wire._heard -= 1000.0
    wire._waiting.clear()
    lone.kill()
    await asyncio.to_thread(lone.start)
    assert await pipelined("ECHO", "back") == "back"
    await pipelined.close()


def test_another_event_loop_connects_anew(redis_url: str) -> None:
    pipelined = Pipelined.at(redis_url)

    async def use() -> int:
        return int(await pipelined("CLIENT", "ID"))

    with asyncio.Runner() as first, asyncio.Runner() as second:
        one = first.run(use())
        assert first.run(use()) == one
        two = second.run(use())
        assert two != one
        first.run(asyncio.sleep(0))  # lets go of the old one
        three = first.run(use())
        assert three not in (one, two)
        second.run(asyncio.sleep(0))
        first.run(pipelined.close())
    gc.collect()


async def test_close_is_final_and_fails_who_waits(redis_url: str) -> None:
    pipelined = Pipelined.at(redis_url)
    connecting = asyncio.create_task(pipelined("PING"))
    await asyncio.sleep(0)
    await pipelined.close()
    with pytest.raises(exceptions.ConnectionError):
        await connecting
    with pytest.raises(exceptions.ConnectionError, match="was closed"):
        await pipelined("PING")
    await pipelined.close()
    other = Pipelined.at(redis_url)
    await other("PING")
    spin = "local n = 0 for i = 1, 3000000 do n = n + 1 end return n"
    waiting = asyncio.create_task(other("EVAL", spin, 0))
    await asyncio.sleep(0)
    await other.close()
    with pytest.raises(exceptions.ConnectionError, match="was closed"):
        await waiting


async def test_a_caller_that_is_cancelled_while_it_connects_stops_nobody(redis_url: str) -> None:
    for turns in range(CONNECTIONS_TRIED):
        pipelined = Pipelined.at(redis_url)
        first = asyncio.create_task(pipelined("ECHO", "first"))
        second = asyncio.create_task(pipelined("ECHO", "second"))
        for _ in range(turns % 7):
            await asyncio.sleep(0)
        first.cancel()
        assert await second == "second"
        with suppress(asyncio.CancelledError):
            await first
        await pipelined.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(find_server(), tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.mark.parametrize("kind", ["one server", "redis-py", "cluster"])
async def test_the_same_calls_give_the_same_answers(
    redis_url: str, nodes: list[RedisServer], kind: str
) -> None:
    client = connect(f"{nodes[0].url}?cluster=true" if kind == "cluster" else redis_url)
    made: Calls = ByClient(client) if kind == "redis-py" else calls(client)
    assert isinstance(made, Pipelined) == (kind == "one server")
    for run in ("a", "b", "c", "d"):  # on different nodes of the cluster
        key = f"{{{run}}}:x"
        await made("DEL", key)
        assert pairs(await made("HGETALL", key)) == {}
        assert await made("HSET", key, "f", 1, "g", "é") == 2
        assert pairs(await made("HGETALL", key)) == {"f": "1", "g": "é"}
        assert await made("HMGET", key, "f", "none") == ["1", None]
        await made("DEL", key)
        assert entries(await made("XRANGE", key, "-", "+")) == []
        assert await made("XADD", key, "1-1", "e", "{}", "o", "2") == "1-1"
        assert await made("XADD", key, "1-2", "e", "") == "1-2"
        expected = [("1-1", {"e": "{}", "o": "2"}), ("1-2", {"e": ""})]
        assert entries(await made("XRANGE", key, "-", "+", "COUNT", 500)) == expected
        assert entries(await made("XREVRANGE", key, "+", "-", "COUNT", 1)) == expected[1:]
        await made("DEL", key)
        assert scored(await made("ZRANGE", key, 0, -1, "WITHSCORES")) == []
        assert await made("ZADD", key, 1.25, "m", 3, "n") == 2
        expected_scores = [("m", 1.25), ("n", 3.0)]
        assert scored(await made("ZRANGE", key, 0, -1, "WITHSCORES")) == expected_scores
        assert scored(await made("ZRANGEBYSCORE", key, 2, 4, "WITHSCORES")) == expected_scores[1:]
        assert float(await made("ZSCORE", key, "m")) == 1.25
        assert await made("ZRANGEBYSCORE", key, "-inf", "+inf") == ["m", "n"]
        assert await made.script(ECHO_SHA, ECHO, [key], [run, 1]) == [[key], [run, "1"]]
        assert await made.script(ECHO_SHA, ECHO, [key], [run, 1]) == [[key], [run, "1"]]
        with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
            await made("GET", key)
    await made.close()
    await client.aclose()
