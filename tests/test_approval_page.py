"""What waits for a person on the chat page, in Chromium, on a whole Pointsman with tools that have effects."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from stage_tools import Outside, whole_in_thread
from test_chat_page import ask, browser, opened, pytestmark, run_of

__all__ = ["browser", "pytestmark"]


@pytest.fixture(scope="module")
def outside() -> Outside:
    return Outside()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[str]:
    with whole_in_thread(tmp_path_factory.mktemp("whole"), outside) as found:
        yield found


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    with ExitStack() as pages:
        yield lambda fragment="", **options: pages.enter_context(
            opened(browser, f"{address}/{fragment}", **options)
        )


def test_a_person_reads_the_exact_arguments_and_approves(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    page = open_page()
    before = len(outside.sent)
    ask(page, "mail on the page")
    card = page.locator(".approval")
    expect(card.locator("h3")).to_have_text("Send the mail waits for you")
    expect(card).to_contain_text("May mail.send be called with this?")
    expect(card.locator("dd").nth(0)).to_have_text("ada@example.org")
    expect(card.locator("dd").nth(1)).to_have_text("The <b>minutes</b> are attached.")
    assert card.locator("b").count() == 0  # what somebody wrote is text
    expect(page.locator('[data-task="send"]')).to_have_class("node held")
    expect(page.locator('[data-task="aside"]')).to_have_class("node done")  # nothing else waits
    expect(page.locator(".entry .state-words")).to_have_text("2 of 3 done, 1 waits for you")
    card.get_by_role("button", name="Approve").click()
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    expect(page.locator(".decided")).to_contain_text("Approved: Send the mail")
    expect(page.locator(".approval")).to_have_count(0)
    assert len(outside.sent) == before + 1
    again = open_page(f"#run={run_of(page)}")
    expect(again.locator(".decided")).to_contain_text("Approved: Send the mail")


def test_the_keyboard_is_enough_to_edit_and_to_deny(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    page = open_page()
    before = len(outside.sent)
    ask(page, "mail with the keyboard")
    page.get_by_role("button", name="Edit").focus()
    page.keyboard.press("Enter")
    field = page.locator(".approval textarea")
    expect(field).to_be_focused()
    field.fill("{")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".approval .fault")).to_contain_text("no JSON")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    expect(page.locator(".entry .state-words")).to_contain_text("waits for you")  # not stopped
    page.get_by_role("button", name="Edit").press("Enter")
    field.fill('{"to": "bob@example.org", "text": "x\\u202ey"}')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".approval dd").nth(0)).to_have_text("bob@example.org")
    expect(page.locator(".approval dd").nth(1)).to_have_text("x⟨U+202E⟩y")
    expect(page.locator(".approval")).to_have_count(1)
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".decided")).to_contain_text("Denied: Send the mail")
    expect(page.locator(".entry .state-words")).to_have_text("Failed")
    expect(page.locator("#request")).to_be_focused()
    assert len(outside.sent) == before


def test_arguments_that_the_capability_refuses_leave_the_card_open(
    browser: Browser, address: str
) -> None:
    context = browser.new_context()
    page = context.new_page()  # not `opened`: the refusal is an error on the browser's console
    page.goto(address)
    ask(page, "mail with a wrong edit")
    page.get_by_role("button", name="Edit").click()
    page.locator(".approval textarea").fill('{"to": 5, "text": "x"}')
    page.get_by_role("button", name="Use these").click()
    expect(page.locator(".approval .fault")).to_contain_text("does not take these arguments")
    expect(page.locator(".approval textarea")).to_have_value('{"to": 5, "text": "x"}')
    page.click("#stop")
    expect(page.locator(".entry .state-words")).to_have_text("Stopped")
    context.close()


def test_after_a_stop_the_card_is_closed(open_page: Callable[..., Page], outside: Outside) -> None:
    page = open_page()
    before = len(outside.sent)
    ask(page, "mail that is stopped")
    expect(page.locator(".approval")).to_have_count(1)
    page.click("#stop")
    expect(page.locator(".approval")).to_have_count(0)
    expect(page.locator(".decided")).to_contain_text("Not decided: the run was stopped")
    expect(page.locator(".entry .state-words")).to_have_text("Stopped")
    assert len(outside.sent) == before


def test_an_unknown_effect_has_happened_and_gets_its_result(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    outside.lost_answers = 1
    page = open_page()
    ask(page, "charge on the page")
    card = page.locator(".approval")
    expect(card).to_contain_text("may or may not have taken effect")
    before = len(outside.charged)
    card.get_by_role("button", name="It happened").click()
    card.locator("textarea").fill('{"receipt": 41}')
    card.get_by_role("button", name="It happened").click()
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    expect(page.locator(".decided")).to_contain_text("It happened: Charge the card")
    expect(page.locator(".answer")).to_contain_text("41")
    assert len(outside.charged) == before


def test_an_unknown_effect_is_called_again(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    outside.lost_answers = 1
    page = open_page()
    ask(page, "charge again on the page")
    expect(page.locator(".approval")).to_have_count(1)
    before = len(outside.charged)
    page.get_by_role("button", name="Call it again").click()
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    assert len(outside.charged) == before + 1


def test_a_decision_elsewhere_shows_here(
    open_page: Callable[..., Page], address: str, outside: Outside
) -> None:
    page = open_page()
    ask(page, "mail decided elsewhere")
    expect(page.locator(".approval")).to_have_count(1)
    run = run_of(page)
    place = f"{address}/v1/runs/{run}/approvals"
    (asked,) = httpx.get(place).json()["approvals"]
    body = {"decision": "denied", "digest": asked["digest"], "by": "Ada", "note": "not today"}
    httpx.post(f"{place}/{asked['id']}", json=body).raise_for_status()
    expect(page.locator(".decided")).to_contain_text("by Ada: not today")
    expect(page.locator(".approval")).to_have_count(0)


def test_several_wait_at_once_and_the_focus_goes_from_one_to_the_next(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    page = open_page()
    before = len(outside.sent)
    ask(page, "a round from the page")
    cards = page.locator(".approval")
    expect(cards).to_have_count(3)
    expect(page.locator(".approval h3").nth(1)).to_have_text("Send to each, item 2 waits for you")
    expect(page.locator(".entry .state-words")).to_have_text("0 of 1 done, 3 wait for you")
    cards.nth(1).get_by_role("button", name="Deny").press("Enter")
    expect(cards).to_have_count(2)
    expect(cards.nth(0).get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(1)
    expect(cards.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    assert [to for to, _ in outside.sent[before:]] == ["a@example.org", "c@example.org"]
    page.click('[data-task="mails"]')
    expect(page.locator(".details")).to_contain_text("Items (2 of 3 done)")


def test_on_a_phone_the_card_fits_and_is_touched(
    open_page: Callable[..., Page], outside: Outside
) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.fill("#request", "mail on a phone")
    page.tap("#send")
    approve = page.get_by_role("button", name="Approve")
    expect(approve).to_be_in_viewport()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    box = approve.bounding_box()
    assert box is not None
    assert box["height"] >= 40
    approve.tap()
    expect(page.locator(".entry .state-words")).to_have_text("Done")


def test_the_card_is_readable_in_dark_and_light(open_page: Callable[..., Page]) -> None:
    looks = []
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        ask(page, f"mail in the {scheme}")
        card = page.locator(".approval")
        expect(card).to_be_visible()
        looks.append(
            card.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
        )
        page.click("#stop")
        expect(page.locator(".entry .state-words")).to_have_text("Stopped")
    assert len({tuple(look) for look in looks}) == 2
    assert all(look[0] != look[1] for look in looks)


def test_a_run_is_run_again_from_a_task(open_page: Callable[..., Page], outside: Outside) -> None:
    outside.broken = True
    page = open_page()
    ask(page, "grind on the page")
    expect(page.locator(".entry .state-words")).to_have_text("Failed")
    outside.broken = False
    page.click('[data-task="grind"]')
    page.get_by_role("button", name="Run again from here").click()
    expect(page.locator(".entry")).to_have_count(2)
    expect(page.locator(".entry .state-words").nth(1)).to_have_text("Done")
    expect(page.locator(".entry .answer").nth(1)).to_contain_text("GRAIN")
    page.click('[data-task="fetch"]')
    expect(page.locator(".details")).to_contain_text("kept from run_")


def test_items_of_a_loop_are_ready_with_it(open_page: Callable[..., Page]) -> None:
    page = open_page()
    ask(page, "each on the page")
    expect(page.locator(".entry .state-words")).to_have_text("Done")
    page.click('[data-task="each"]')
    expect(page.locator(".details")).to_contain_text("Items (3 of 3 done)")
    folded = page.evaluate(
        """async () => {
          const { newRun, fold } = await import("/ui/run.js");
          const run = newRun("r", "x");
          const task = { id: "t", capability: "a.b", arguments: {}, for_each: { over: [1, 2], limit: 9 } };
          fold(run, { type: "plan.proposed", plan: { tasks: [task] }, version: 1 });
          fold(run, { type: "task.expanded", task: "t", children: ["t[0]", "t[1]"], at: 1 });
          return [...run.tasks.values()].map((t) => [t.id, t.status, t.child || null]);
        }"""
    )
    assert folded == [["t", "running", None], ["t[0]", "ready", "t"], ["t[1]", "ready", "t"]]
