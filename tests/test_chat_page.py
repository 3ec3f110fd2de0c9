"""The chat page in Chromium, on the real gateway: what a person sees, presses and gets."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from stage import Script, stage_in_thread
from stage_scripts import SCRIPTS

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"Chromium is not installed at {CHROMIUM}"),
]

IMG = "<img src=x onerror=\"alert('ran')\">"
LINK = "[press](javascript:alert(1))"
EVIL_TABLE = {
    "kind": "table",
    "name": f"{IMG}.csv",
    "columns": [{"name": f"col {IMG}", "type": "text"}],
    "rows": [[f"cell {IMG}"], [f"cell {LINK}"]],
    "row_count": 2,
    "file": None,
}
EVIL = Script(
    (
        {
            "id": "read",
            "capability": "table.read",
            "arguments": {"file": f"{IMG}.csv"},
            "title": f"Title {IMG} {LINK}",
        },
    ),
    {"read": EVIL_TABLE},
    answer={
        "text": f"Said {IMG} and {LINK} and ![x](javascript:alert(2)) and [d](data:text/html,x).",
        "parts": [
            {
                "task": "read",
                "title": f"Part {IMG}",
                "kind": "table",
                "value": EVIL_TABLE,
                "note": f"Note {LINK}",
            }
        ],
        "unserved": [f"Unserved {IMG}"],
        "steps": [
            {
                "task": "read",
                "title": f"Step {IMG}",
                "status": "done",
                "expert": "echo",
                "note": IMG,
            }
        ],
    },
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("stage"), {**SCRIPTS, "evil": EVIL}) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield made
        made.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page in a context of its own; a dialog, a script error or a console error fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(10_000)
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on(
        "console",
        lambda said: faults.append(f"console: {said.text}") if said.type == "error" else None,
    )

    def dismiss(dialog: Any) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(url)
    try:
        yield page
        assert faults == []
    finally:
        context.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page at a fragment of its address; all pages are checked and closed at the end."""
    with ExitStack() as pages:
        yield lambda fragment="", **options: pages.enter_context(
            opened(browser, f"{address}/{fragment}", **options)
        )


def ask(page: Page, request: str) -> None:
    page.fill("#request", request)
    page.press("#request", "Enter")


def run_of(page: Page) -> str:
    page.wait_for_function("location.hash.startsWith('#run=')")
    return str(page.evaluate("location.hash.slice(5)"))


def test_a_file_is_asked_about_and_the_table_of_the_answer_downloaded(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    page.set_input_files(
        "#file-input",
        {"name": "reviews.csv", "mimeType": "text/csv", "buffer": b"text,score\nbad,1\ngood,5\n"},
    )
    expect(page.locator("#chips .chip .size")).to_have_text("2 rows, 2 columns")
    page.fill("#request", "Group the complaints by topic")
    pressed = time.monotonic()
    page.press("#request", "Enter")
    page.wait_for_selector(".node")
    print(f"Enter to the first task on the screen: {time.monotonic() - pressed:.3f} s")  # noqa: T201 - a figure for the reader, not a bound
    expect(page.locator('[data-task="read"]')).to_have_class("node running")
    expect(page.locator('[data-task="chart"]')).to_have_class("node waiting")
    expect(page.locator(".node.done")).to_have_count(6)
    expect(page.locator(".answer .sheet")).to_have_count(2)
    expect(page.locator(".answer td").first).to_have_text("battery life")
    expect(page.locator(".remarks.unserved")).to_contain_text("no expert that sends mail")
    with page.expect_download() as saved:
        page.locator(".answer .saves a", has_text="CSV").first.click()
    text = Path(saved.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["topic", "count", "share", "examples"]
    assert [row[0] for row in rows[1:]] == ["battery life", "broken on arrival", "sound quality"]
    page.click('[data-task="negative"]')
    expect(page.locator(".details")).to_contain_text("best quality of 2 that are live")
    expect(page.locator(".details .rivals")).to_contain_text("remote")


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_a_run_is_stopped(open_page: Callable[..., Page], way: str) -> None:
    page = open_page()
    ask(page, "Do it slowly")
    expect(page.locator('[data-task="read"]')).to_have_class("node running")
    if way == "button":
        page.click("#stop")
    else:
        page.keyboard.press("Escape")
    expect(page.locator(".entry .state-words")).to_have_text("Stopped")
    expect(page.locator('[data-task="chart"]')).to_have_class("node cancelled")
    expect(page.locator("#stop")).to_be_hidden()
    run = page.request.get(page.url.split("/#")[0] + f"/v1/runs/{run_of(page)}").json()
    assert run["status"] == "cancelled"


def test_the_keyboard_is_enough(open_page: Callable[..., Page]) -> None:
    page = open_page()
    expect(page.locator("#request")).to_be_focused()
    page.keyboard.type("Group the complaints")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("by topic")
    expect(page.locator("#request")).to_have_value("Group the complaints\nby topic")
    page.keyboard.press("Tab")
    expect(page.locator("#attach")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".node.done")).to_have_count(6)
    expect(page.locator("#request")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.task"):
            break
    expect(page.locator('[data-task="read"]')).to_be_focused()
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.task")
    assert second in {"sentiment", "phrases"}
    page.keyboard.press("ArrowUp")
    expect(page.locator('[data-task="read"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".details h3")).to_have_text("Read reviews.csv")
    page.keyboard.press("Escape")
    expect(page.locator(".details")).to_be_hidden()


def test_a_reload_brings_the_run_back(open_page: Callable[..., Page]) -> None:
    page = open_page()
    ask(page, "This breaks")
    expect(page.locator(".entry .state-words")).to_have_text("Failed")
    run = run_of(page)
    seen = page.locator(".entry .answer").inner_text()
    again = open_page(f"#run={run}")
    expect(again.locator(".entry .written")).to_have_text("This breaks")
    expect(again.locator(".entry .state-words")).to_have_text("Failed")
    expect(again.locator(".node.failed")).to_have_count(1)
    expect(again.locator(".node.skipped")).to_have_count(2)
    expect(again.locator(".answer .sheet")).to_have_count(1)
    assert again.locator(".entry .answer").inner_text() == seen


def test_on_a_phone_nothing_is_cut_and_the_plan_is_a_drawer(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    page.fill("#request", "Group the complaints by topic")
    page.tap("#send")
    expect(page.locator(".answer .sheet")).to_have_count(2)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    expect(page.locator("#plan")).to_be_hidden()
    page.tap("#plan-toggle")
    expect(page.locator("#plan")).to_be_visible()
    expect(page.locator('[data-task="read"]')).to_be_in_viewport()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    page.keyboard.press("Escape")
    expect(page.locator("#plan")).to_be_hidden()
    expect(page.locator("#plan-toggle")).to_be_focused()


def test_dark_and_light_follow_the_system_until_one_is_chosen(
    open_page: Callable[..., Page],
) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = open_page(color_scheme="light")
    dark = open_page(color_scheme="dark")
    bright, dim = light.evaluate(paper), dark.evaluate(paper)
    assert bright != dim
    dark.click("#theme")
    assert dark.evaluate(paper) == bright
    dark.reload()
    assert dark.evaluate(paper) == bright


def test_nothing_that_was_written_runs_or_links_to_a_script(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    page.set_input_files(
        "#file-input",
        {
            "name": "<img src=x onerror=alert(3)>.csv",
            "mimeType": "text/csv",
            "buffer": f"name\n{IMG}\n".encode(),
        },
    )
    expect(page.locator("#chips .chip .size")).to_have_text("1 row, 1 column")
    ask(page, f"evil {IMG} {LINK}")
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    expect(page.locator(".answer td").first).to_contain_text("<img src=x")
    expect(page.locator(".entry .written").first).to_contain_text("<img src=x")
    expect(page.locator(".answer .prose").first).to_contain_text(LINK)
    page.click('[data-task="read"]')
    expect(page.locator(".details h3")).to_contain_text("<img src=x")
    expect(page.locator(".details td").first).to_contain_text("<img src=x")
    page.click("#runs-toggle")
    expect(page.locator("#runs .words").first).to_contain_text("<img src=x")
    assert page.locator("img").count() == 0
    targets = page.eval_on_selector_all("a", "all => all.map(a => a.href)")
    assert targets
    assert [t for t in targets if not t.startswith("http")] == []


@contextmanager
def whole_server(folder: Path) -> Iterator[str]:
    """`pointsman serve` with all its parts and a home of its own; gives its address."""
    told = folder / "address.json"
    command = [
        sys.executable,
        "-m",
        "pointsman.cli",
        "serve",
        "--port",
        "0",
        "--announce",
        str(told),
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            env={**os.environ, "POINTSMAN_HOME": str(folder / "home")},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            until = time.monotonic() + 60
            while not told.exists() and server.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            assert told.exists(), (folder / "log").read_text()
            yield str(json.loads(told.read_text())["url"])
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def test_a_request_in_plain_words_is_answered_by_the_whole_of_it(
    browser: Browser, tmp_path: Path
) -> None:
    with whole_server(tmp_path) as address, opened(browser, address) as page:
        ask(page, "convert 3.5 acres to square metres and multiply by 12")
        expect(page.locator(".entry .state-words")).to_have_text("Done", timeout=30_000)
        expect(page.locator(".node.done")).to_have_count(2)
        answer = page.locator(".entry .answer").inner_text()
        assert "169,967.9697408 square metres" in answer  # exact: not rounded while it is short
