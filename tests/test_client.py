"""The client against the real gateway, and against connections that break."""

import asyncio
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import stage_in_thread
from stage_scripts import SCRIPTS

import pointsman.client
from pointsman.client import (
    Answer,
    AsyncClient,
    BadReply,
    Budget,
    Client,
    ClientClosed,
    DeadlinePassed,
    Event,
    FileUnreadable,
    IncompleteTable,
    Part,
    PointsmanClientError,
    RequestRejected,
    Run,
    ServerUnreachable,
    aio,
    errors,
)
from pointsman.client.local import default_home
from pointsman.client.sources import BATCH_FILES
from pointsman.client.wire import parse
from pointsman.services.settings import Settings

PATIENCE = 20.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("stage"), SCRIPTS) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as made:
        yield made


def settled(client: Client, id: str) -> Run:
    """The run once it is over."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        run = client.get(id)
        if run.over:
            return run
        time.sleep(0.05)
    raise AssertionError(f"run {id} is not over")


# --- the surface -----------------------------------------------------------------------------------


def public(cls: type) -> dict[str, inspect.Signature]:
    names = [n for n in vars(cls) if not n.startswith("_")]
    return {n: inspect.signature(getattr(cls, n)) for n in names}


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    sync, asynchronous = public(Client), public(AsyncClient)
    assert sync
    assert set(sync) == set(asynchronous)
    for name, signature in sync.items():
        assert signature.parameters == asynchronous[name].parameters, name
    assert inspect.signature(Client).parameters == inspect.signature(AsyncClient).parameters


def test_the_surface_is_sorted_and_everything_in_it_exists() -> None:
    names = pointsman.client.__all__
    assert names == sorted(names)
    assert all(hasattr(pointsman.client, name) for name in names)


def test_the_tree_of_errors_is_told_whole() -> None:
    told = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, PointsmanClientError)
    }
    assert told == defined - {"PointsmanClientError"}
    assert defined <= set(pointsman.client.__all__)


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = "import sys, pointsman.client; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in told.stdout.split()}
    assert not loaded & {
        "torch",
        "numpy",
        "pydantic",
        "fastapi",
        "redis",
        "duckdb",
        "rich",
        "typer",
    }


def test_the_home_is_the_one_that_the_server_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("POINTSMAN_HOME", "/a/b"), ("XDG_DATA_HOME", "/c"), ("HOME", "/d")]:
        for other in ("POINTSMAN_HOME", "XDG_DATA_HOME"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, value)
        assert default_home() == Settings().home


# --- runs ------------------------------------------------------------------------------------------


def test_a_run_gives_its_answer_with_typed_parts(client: Client) -> None:
    seen: list[Event] = []
    answer = client.run("complaints", files=[("reviews.csv", b"text\nbad")], on_event=seen.append)
    assert answer.status == "done"
    assert answer.ok
    assert answer.text.startswith("**Complaints by topic**")
    topics = answer.parts[0]
    assert topics.columns == ("topic", "count", "share", "examples")
    assert topics.records[0]["count"] == topics.rows[0][1] == 14
    assert topics.to_csv().splitlines()[0] == "topic,count,share,examples"
    assert {s.status for s in answer.steps} == {"done"}
    assert all(s.expert == "echo" and s.reason for s in answer.steps)
    assert (seen[0].type, seen[-1].type) == ("run.created", "run.ended")
    assert [e.id for e in seen] == sorted(
        {e.id for e in seen}, key=lambda i: [*map(int, i.split("-"))]
    )
    assert client.get(answer.run).files[0].name == "reviews.csv"


def test_a_refusal_and_a_failure_are_answers(client: Client) -> None:
    refused = client.run("cannot")
    assert refused.status == "refused"
    assert "flights" in refused.text
    failed = client.run("breaks")
    assert failed.status == "failed"
    assert not failed.ok
    assert failed.error is not None
    assert failed.error.code == "expert.bad-arguments"


def test_the_plan_has_its_tasks_and_what_they_wait_for(client: Client) -> None:
    plan = client.plan("complaints")
    tasks = {t.id: t for t in plan.tasks}
    assert tasks["read"].inputs == ()
    assert tasks["chart"].inputs == ("topics", "phrases")
    assert plan.seconds == 1.4
    assert plan.considered[0]["name"] == "table.filter"
    assert client.mermaid(plan.run).startswith("flowchart")


def test_a_plan_that_cannot_be_made_says_why(client: Client) -> None:
    plan = client.plan("cannot")
    assert plan.tasks == ()
    assert plan.refusal is not None
    assert "flights" in plan.refusal


def test_a_started_run_is_watched_listed_and_waited_for(client: Client) -> None:
    run = client.start("calculate", thread="sums")
    assert client.wait(run).text == "6 × 7 = **42**"
    assert client.wait(run.id).run == run.id  # also when it is over
    listed = client.runs(limit=1, thread="sums")
    assert [r.id for r in listed] == [run.id]
    assert listed[0].over
    first = next(iter(client.events(run)))
    rest = list(client.events(run, after=first.id))
    assert first.id not in [e.id for e in rest]
    assert rest[-1].type == "run.ended"


def test_leaving_a_run_early_cancels_it(client: Client) -> None:
    with closing(client.running("slowly")) as steps:
        for step in steps:
            if isinstance(step, Event) and step.type == "task.started":
                break
    assert settled(client, client.runs(limit=1)[0].id).status == "cancelled"


def test_cancelling_is_told_by_the_events(client: Client) -> None:
    run = client.start("slowly")
    client.cancel(run, reason="changed my mind")
    types = [e.type for e in client.events(run)]
    assert "run.cancelling" in types
    assert client.get(run).status == "cancelled"
    with pytest.raises(RequestRejected, match="is over") as caught:
        client.cancel(run)
    assert caught.value.status == 409
    assert caught.value.code == "workspace.run-over"


def test_a_run_past_its_deadline_is_cancelled(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "GRACE", 0.5)
    with pytest.raises(DeadlinePassed, match=r"0\.3 s") as caught:
        client.run("slowly", deadline=0.3)
    assert settled(client, caught.value.run).status == "cancelled"


def test_the_async_client_runs_several_at_once(address: str) -> None:
    async def main() -> list[str]:
        async with AsyncClient(address) as client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.run("calculate")) for _ in range(5)]
        return [t.result().text for t in tasks]

    assert asyncio.run(main()) == ["6 × 7 = **42**"] * 5


def test_a_cancelled_task_cancels_its_run(address: str, client: Client) -> None:
    async def main() -> str:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def seen(event: Event) -> None:
            if event.type == "task.started" and not started.done():
                started.set_result(None)

        async with AsyncClient(address) as asking:
            task = asyncio.create_task(asking.run("slowly", on_event=seen))
            await started
            id = (await asking.runs(limit=1))[0].id
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            return id

    assert settled(client, asyncio.run(main())).status == "cancelled"


def test_what_the_server_refuses_is_told_in_its_words(client: Client) -> None:
    with pytest.raises(RequestRejected) as caught:
        client.run("  ")
    assert (caught.value.status, caught.value.code) == (422, "request.empty")
    with pytest.raises(RequestRejected, match="no run 'run_none'"):
        client.get("run_none")
    with pytest.raises(RequestRejected, match="budget"):
        client.run("calculate", budget=Budget(cost=-1))


# --- files -----------------------------------------------------------------------------------------


def test_a_folder_is_sent_with_all_its_files_but_the_hidden(client: Client, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (notes / "deep").mkdir(parents=True)
    (notes / ".git").mkdir()
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden", ".git/config"):
        (notes / name).write_text(name)
    found = client.upload(notes)
    assert [f.name for f in found] == ["notes/a.txt", "notes/b.txt", "notes/deep/c.txt"]
    assert [client.content(f).decode() for f in found] == ["a.txt", "b.txt", "deep/c.txt"]


def test_many_files_keep_their_order(client: Client) -> None:
    names = [f"n{i:03}.txt" for i in range(BATCH_FILES + 30)]
    folderless = client.upload(*[(name, name.encode()) for name in names])
    assert [f.name for f in folderless] == names


def test_a_folder_larger_than_a_batch_keeps_its_order(client: Client, tmp_path: Path) -> None:
    for i in range(BATCH_FILES * 2 + 5):
        (tmp_path / f"{i:04}.txt").write_text(str(i))
    found = client.upload(tmp_path)
    assert [int(Path(f.name).stem) for f in found] == list(range(BATCH_FILES * 2 + 5))


def test_a_file_that_is_there_already_is_not_sent_again(client: Client) -> None:
    (held,) = client.upload(("a.txt", b"hello"))
    run = client.start("calculate", files=[held, ("b.txt", b"x")])
    assert [f.name for f in run.files] == ["a.txt", "b.txt"]
    assert client.get(run).files[0] == held


@pytest.mark.parametrize("missing", ["nowhere.csv", "empty"])
def test_what_cannot_be_read_is_told_before_anything_runs(
    client: Client, tmp_path: Path, missing: str
) -> None:
    (tmp_path / "empty").mkdir()
    before = len(client.runs(limit=200))
    with pytest.raises(FileUnreadable, match=missing):
        client.run("calculate", files=[tmp_path / missing])
    assert len(client.runs(limit=200)) == before


def test_one_path_in_place_of_a_list_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="list of files"):
        client.run("calculate", files="reviews.csv")


def test_a_result_is_downloaded_in_the_form_that_is_asked_for(client: Client) -> None:
    answer = client.run("complaints")
    rows = json.loads(client.download(answer.run, "topics", "json"))
    assert rows[0]["topic"] == answer.parts[0].rows[0][0]
    csv = client.download(answer.run, "topics").decode("utf-8-sig")
    assert csv == answer.parts[0].to_csv()


def test_a_table_that_is_not_whole_is_not_taken_for_whole() -> None:
    value = {
        "kind": "table",
        "columns": [{"name": "n", "type": "integer"}],
        "rows": [[1], [2]],
        "row_count": 5000,
        "file": "f1",
    }
    part = Part("big", "numbers", "table", value)  # type: ignore[arg-type]
    assert not part.complete
    with pytest.raises(IncompleteTable, match=r"5,000 rows.*download"):
        part.to_csv()


# --- connections -----------------------------------------------------------------------------------


class Cutting:
    """A relay to the server that cuts the first `cuts` streams of events after `size` bytes."""

    def __init__(self, target: str, *, cuts: int, size: int) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self.target = (host, int(port))
        self.cuts, self.size = cuts, size
        self.streams: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(near,), daemon=True).start()

    def relay(self, near: socket.socket) -> None:
        with near, socket.create_connection(self.target) as far:
            request = near.recv(1 << 16)
            far.sendall(request)
            is_stream = b"/events" in request.split(b"\r\n")[0]
            if is_stream:
                self.streams.append(request)
            left = self.size if is_stream and len(self.streams) <= self.cuts else None
            # what follows on a kept connection goes through as it is
            upstream = threading.Thread(target=pump, args=(near, far, None), daemon=True)
            upstream.start()
            pump(far, near, left)
            for end in (near, far):
                with suppress_os():
                    end.shutdown(socket.SHUT_RDWR)
            upstream.join(5)


@contextmanager
def suppress_os() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def pump(source: socket.socket, sink: socket.socket, left: int | None) -> None:
    with suppress_os():
        while piece := source.recv(4096):
            if left is not None:
                piece, left = piece[:left], left - len(piece)
            sink.sendall(piece)
            if left is not None and left <= 0:
                return


@contextmanager
def cutting(target: str, *, cuts: int, size: int) -> Iterator[Cutting]:
    relay = Cutting(target, cuts=cuts, size=size)
    thread = threading.Thread(target=relay.serve)
    thread.start()
    try:
        yield relay
    finally:
        with suppress_os():
            relay.listener.shutdown(socket.SHUT_RDWR)
        relay.listener.close()
        thread.join(5)


def test_a_broken_stream_is_taken_up_where_it_broke(address: str, client: Client) -> None:
    run = client.start("complaints")
    with cutting(address, cuts=3, size=1500) as relay, Client(relay.address) as over_relay:
        seen = list(over_relay.events(run))
    assert seen == list(client.events(run))
    assert len(relay.streams) > 3
    assert all(b"ast-event-id" in r.lower() for r in relay.streams[1:])


def test_a_stream_that_always_breaks_is_given_up(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "STREAM_FAILURES", 3)
    run = client.start("calculate")
    with (
        cutting(address, cuts=99, size=20) as relay,
        Client(relay.address) as over_relay,
        pytest.raises(ServerUnreachable),
    ):
        list(over_relay.events(run))


def test_no_server_at_the_address_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(ServerUnreachable, match=str(port)),
    ):
        client.capabilities()


def test_an_address_that_is_none_is_told() -> None:
    with Client("http://[") as client, pytest.raises(ServerUnreachable, match="address"):
        client.capabilities()


def test_another_kind_of_server_is_recognised(tmp_path: Path) -> None:
    import http.server

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with (
                Client(f"http://127.0.0.1:{server.server_port}") as client,
                pytest.raises(BadReply, match="404"),
            ):
                client.capabilities()
        finally:
            server.shutdown()
            thread.join()


def test_the_server_that_runs_here_is_found(address: str, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": address, "pid": 1, "started": 0}))
    with Client(home=tmp_path, start=False) as client:
        assert client.address() == address
        assert client.run("calculate").ok


@pytest.mark.parametrize("left_behind", [None, "not json", '{"url": "http://127.0.0.1:9"}'])
def test_without_a_server_nothing_is_started_against_the_will(
    tmp_path: Path, left_behind: str | None
) -> None:
    if left_behind is not None:
        (tmp_path / "server.json").write_text(left_behind)
    with (
        Client(home=tmp_path, start=False) as client,
        pytest.raises(ServerUnreachable, match="pointsman serve"),
    ):
        client.run("calculate")


def test_the_address_comes_from_the_environment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSMAN_URL", address + "/")
    with Client() as client:
        assert client.address() == address


def test_a_closed_client_says_so(address: str) -> None:
    client = Client(address)
    client.capabilities()
    client.close()
    client.close()
    with pytest.raises(ClientClosed):
        client.capabilities()


# --- the event stream ------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)


@given(st.lists(st.tuples(st.integers(1, 9), WORDS), max_size=5), st.booleans())
def test_events_are_read_as_they_were_written(
    written: list[tuple[int, str]], with_pings: bool
) -> None:
    lines: list[str] = []
    for place, text in written:
        body = json.dumps({"type": "answer.delta", "at": 1.5, "text": text}, ensure_ascii=True)
        lines += [": ping", ""] if with_pings else []
        lines += [f"id: {place}-0", "event: answer.delta", f"data: {body}", ""]
    lines += ["id: 99-0", "data: {"]  # cut off in the middle

    async def source() -> AsyncIterator[str]:
        for line in lines:
            yield line

    async def main() -> list[Event]:
        return [event async for event in parse(source())]

    found = asyncio.run(main())
    assert [(e.id, e.fields["text"]) for e in found] == [(f"{p}-0", t) for p, t in written]


# --- a server of its own ---------------------------------------------------------------------------

KILLED = """
import sys, time
from pointsman.client import Client
client = Client(home=sys.argv[1])
print(client.address(), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(home=tmp_path_factory.mktemp("home")) as made:
        yield made


def answers_at(address: str) -> bool:
    host, _, port = address.removeprefix("http://").partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except OSError:
        return False


def gone(address: str) -> bool:
    until = time.monotonic() + PATIENCE
    while answers_at(address):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def test_a_server_of_its_own_does_the_work(own: Client) -> None:
    answer = own.run("What is 6 times 7?", deadline=60)
    assert answer.status == "done", answer
    assert "42" in answer.text
    assert answer.steps[0].expert
    assert answer.steps[0].reason


def test_a_dry_run_does_nothing(own: Client) -> None:
    plan = own.plan("What is 6 times 7?")
    assert plan.refusal is None
    assert [t.capability for t in plan.tasks] == ["math.calculate"]
    assert plan.seconds > 0
    types = {e.type for e in own.events(plan.run)}
    assert "task.started" not in types


def test_a_second_client_uses_the_server_of_the_first(own: Client) -> None:
    home = own._client._local.home
    with Client(home=home) as second:
        assert second.address() == own.address()
        assert second.run("What is 2 plus 3?", deadline=60).ok
    assert answers_at(own.address())  # and leaves it alone


def test_closing_ends_the_server_and_its_runs_are_kept(tmp_path: Path) -> None:
    with Client(home=tmp_path) as client:
        address = client.address()
        answer = client.run("What is 6 times 7?", deadline=60)
    assert not answers_at(address)
    assert not (tmp_path / "server.json").exists()
    with Client(home=tmp_path) as client:
        again = client.get(answer.run).answer
    assert isinstance(again, Answer)
    assert again.text == answer.text


def test_the_server_dies_with_a_killed_program(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            address = program.stdout.readline().strip()
            assert answers_at(address)
        finally:
            program.kill()
    assert gone(address)
    assert not redis_of(tmp_path)


def redis_of(home: Path) -> bool:
    """Whether a Redis still listens in the home."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(os.fspath(home / "redis" / "redis.sock"))
            except OSError:
                return False
        time.sleep(0.1)
    return True


def test_clients_that_start_at_the_same_time_share_a_server(tmp_path: Path) -> None:
    async def main() -> tuple[str, str]:
        async with AsyncClient(home=tmp_path) as one, AsyncClient(home=tmp_path) as other:
            first, second = await asyncio.gather(one.address(), other.address())
            return first, second

    first, second = asyncio.run(main())
    assert first == second
    assert gone(first)


def test_a_server_of_its_own_that_died_is_started_again(tmp_path: Path) -> None:
    with Client(home=tmp_path) as client:
        first = client.address()
        answer = client.run("What is 6 times 7?", deadline=60)
        child = client._client._local._child
        assert child is not None
        child.kill()
        child.wait()
        assert client.get(answer.run).status == "done"
        assert client.address() != first


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis").write_text("a file where a folder should be")
    with Client(home=tmp_path) as client, pytest.raises(PointsmanClientError, match="redis"):
        client.capabilities()


# --- the documentation -----------------------------------------------------------------------------

DOCS = Path(__file__).parent.parent / "docs"


def examples() -> list[str]:
    pages = (DOCS / "sdk.md", DOCS.parent / "README.md")
    texts = [page.read_text("utf-8") for page in pages]
    return [e for text in texts for e in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_examples_of_the_documentation_run(own: Client, tmp_path: Path, number: int) -> None:
    (tmp_path / "reviews.csv").write_text("product,rating\nlamp,4\nchair,2\nlamp,5\n")
    (tmp_path / "examples").symlink_to(DOCS.parent / "examples")
    done = subprocess.run(
        [sys.executable, "-c", examples()[number]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "POINTSMAN_URL": own.address()},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not re.search(r"\b(failed|refused)\b", done.stdout), done.stdout


def test_every_method_and_every_error_is_documented() -> None:
    text = (DOCS / "sdk.md").read_text("utf-8")
    for name in [*public(Client), *(n for n in dir(errors) if n[0].isupper() and n[0] != "_")]:
        assert re.search(rf"`{name}\b", text), name
