"""The plan memory where people meet it: over HTTP, from Python, on the command line, on the page."""

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from stage import Player, Script, in_thread
from test_chat_page import CHROMIUM, FLAGS, ask, opened, run_of

from pointsman.cli import main
from pointsman.client import AsyncMemory, Client, Memory, RequestRejected
from pointsman.experts.files import LocalFiles
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.traces import MemoryTerms
from pointsman.services.api.app import create_app
from pointsman.services.api.server import Server
from pointsman.services.embedded import EmbeddedRedis

TASK = {"id": "product", "capability": "math.calculate", "arguments": {"expression": "17 * 23"}}
ANSWER = {"text": "391", "parts": []}
SCRIPTS = {
    "multiply": Script((TASK,), {"product": 391}, answer=ANSWER),
    "slowly": Script((TASK,), {"product": 391}, answer=ANSWER, pace=30.0),
}
REQUEST = "multiply 17 by 23"


@contextlib.asynccontextmanager
async def remembering(folder: Path) -> AsyncIterator[str]:
    """The gateway with a memory, and a player behind it; gives its address."""
    async with EmbeddedRedis(folder / "redis") as redis:
        workspace = Workspace(connect(redis))
        workspace.traces.terms = MemoryTerms()
        app = create_app(workspace, LocalFiles(folder / "files"))
        server = Server(app, port=0)
        work = [
            asyncio.ensure_future(Player(workspace, SCRIPTS).play_all()),
            asyncio.ensure_future(server._serve()),
        ]
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield server.address
        server.should_exit = True
        await work[1]
        work[0].cancel()
        await asyncio.gather(work[0], return_exceptions=True)
        await workspace.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_thread(remembering(tmp_path_factory.mktemp("memory"))) as made:
        yield made


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as made:
        for kept in made.memory.list():
            made.memory.forget(kept.key)
        yield made


def asked(client: Client, words: str = "") -> str:
    return client.run(f"{REQUEST} {words}".strip()).run


def test_what_is_called_right_is_listed_with_its_slots(client: Client) -> None:
    run = asked(client, "apples")
    told = client.feedback(run, right=True, note="as it should be")
    assert (told.run, told.right, told.outcome) == (run, True, "remembered")
    found = client.memory.list()[0]
    assert (found.run, found.request, found.how) == (run, f"{REQUEST} apples", "confirmed")
    assert found.capabilities == ("math.calculate",)
    assert "17" not in json.dumps(found.plan)
    assert client.memory.get(found.key) == found


def test_the_last_word_counts_and_is_shown(client: Client, address: str) -> None:
    run = asked(client, "pears")
    path = f"{address}/v1/runs/{run}/feedback"
    assert httpx.get(path).json()["right"] is None
    client.feedback(run, right=True)
    assert client.feedback(run, right=False).outcome == "barred"
    assert httpx.get(path).json()["right"] is False
    assert client.memory.list() == ()


def test_a_run_that_goes_on_cannot_be_judged(client: Client) -> None:
    run = client.start("Do it slowly")
    with pytest.raises(RequestRejected) as refused:
        client.feedback(run, right=True)
    assert refused.value.status == 409
    client.cancel(run)
    client.wait(run)


@pytest.mark.parametrize("id", ["run_nothing", "0" * 24])
def test_what_is_not_there_is_said_to_be_so(client: Client, id: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        client.memory.forget(id)
    assert refused.value.status == 404


def test_a_run_that_must_not_be_remembered_leaves_no_trace(client: Client, address: str) -> None:
    asked(client, "plums")
    body = {"request": f"{REQUEST} quinces", "remember": False}
    run = httpx.post(f"{address}/v1/runs", json=body).json()["id"]
    assert client.wait(run).status == "done"
    lines = [json.loads(line) for line in client.memory.lines()]
    assert f"{REQUEST} plums" in {line["request"] for line in lines}
    assert f"{REQUEST} quinces" not in {line["request"] for line in lines}
    with pytest.raises(RequestRejected):
        client.feedback(run, right=True)


def test_what_is_exported_is_forgotten_and_brought_in_again(client: Client) -> None:
    run = asked(client, "plums")
    client.feedback(run, right=True)
    lines = [json.loads(line) for line in client.memory.lines()]
    line = next(x for x in lines if x["run"] == run)
    assert (line["request"], line["right"]) == (f"{REQUEST} plums", True)
    assert line["plan"]["tasks"][0]["arguments"] == {"expression": "17 * 23"}
    assert client.memory.forget(run) > 0
    assert client.memory.bring([line]).notes == ((1, "it was forgotten here"),)
    other = {**line, "run": "run_elsewhere", "request": f"{REQUEST} cherries"}
    for _ in range(2):
        done = client.memory.bring([other])
        assert (done.lines, done.remembered) == (1, 1)
    assert [p.how for p in client.memory.list()] == ["imported"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"extra": 1}, "line 2: extra"),
        ({"plan": {"tasks": "none"}}, "line 2: "),
        ({"right": "yes and no"}, "line 2: right"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_number(
    client: Client, change: dict[str, object], why: str
) -> None:
    line = {"request": REQUEST, "plan": {"tasks": [TASK]}, "right": None}
    with pytest.raises(RequestRejected) as refused:
        client.memory.bring([line, {**line, **change}])
    assert why in refused.value.message


def test_both_memories_have_the_same_methods_with_the_same_parameters() -> None:
    def public(cls: type) -> dict[str, object]:
        found = inspect.getmembers(cls, inspect.isfunction)
        return {n: inspect.signature(f).parameters for n, f in found if n[0] != "_"}

    assert public(Memory) == public(AsyncMemory)
    assert set(public(Memory)) == {"bring", "forget", "get", "lines", "list"}


def run_cli(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["memory", *arguments])
    return int(ended.value.code or 0)


def test_the_command_line_lists_shows_exports_forgets_and_imports(
    client: Client, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = asked(client, "figs")
    client.feedback(run, right=True)
    url = ("--url", address)
    assert run_cli("list", "--json", *url) == 0
    (kept,) = json.loads(capsys.readouterr().out)
    assert kept["run"] == run
    assert run_cli("list", *url) == 0
    assert f"{REQUEST} figs" in capsys.readouterr().out
    assert run_cli("show", kept["key"], *url) == 0
    assert "math.calculate" in capsys.readouterr().out
    out = tmp_path / "plans.jsonl"
    assert run_cli("export", "--out", str(out), *url) == 0
    assert run in out.read_text("utf-8")
    assert run_cli("forget", run, *url) == 0
    assert client.memory.list() == ()
    capsys.readouterr()
    line = {"request": f"{REQUEST} dates", "plan": {"tasks": [TASK]}, "right": True}
    out.write_text(json.dumps(line) + "\n", "utf-8")
    assert run_cli("import", str(out), *url) == 0
    assert "1 of them are remembered" in capsys.readouterr().err
    out.write_text("no JSON\n", "utf-8")
    assert run_cli("import", str(out), *url) == 2
    assert "line 1" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"Chromium is not installed at {CHROMIUM}")
def test_the_planner_is_fitted_to_runs_that_were_called_right(
    client: Client, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = asked(client, "figs"), asked(client, "nuts")
    client.feedback(right, right=True)
    client.feedback(wrong, right=False)
    where = ["--url", address, "--home", str(tmp_path), "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["planner", "fit", *where])
    assert ended.value.code == 2
    assert "--from-runs" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["planner", "fit", "--from-runs", *where])
    assert ended.value.code == 0
    kept = (tmp_path / "planner" / "plans.jsonl").read_text("utf-8")
    assert f"{REQUEST} figs" in kept
    assert f"{REQUEST} nuts" not in kept


def test_an_answer_on_the_page_is_called_right_or_wrong_with_the_keyboard(address: str) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        with opened(browser, address) as page:
            ask(page, f"{REQUEST} melons")
            right = page.get_by_role("button", name="The plan was right")
            wrong = page.get_by_role("button", name="The plan was wrong")
            right.focus()
            page.keyboard.press("Enter")
            expect(right).to_have_attribute("aria-pressed", "true")
            expect(page.locator(".verdict .told")).to_have_text("Remembered")
            page.keyboard.press("Tab")
            expect(wrong).to_be_focused()
            page.keyboard.press("Space")
            expect(wrong).to_have_attribute("aria-pressed", "true")
            expect(right).to_have_attribute("aria-pressed", "false")
            run = run_of(page)
        with opened(
            browser, f"{address}/#run={run}", viewport={"width": 320, "height": 640}
        ) as page:
            wrong = page.get_by_role("button", name="The plan was wrong")
            expect(wrong).to_have_attribute("aria-pressed", "true")
            wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert wide is False
        browser.close()
