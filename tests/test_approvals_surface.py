"""What people see of approvals, unknown effects, dead letters and reruns: the API, the clients, the command
line, on a whole Pointsman with tools that have effects.
"""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from stage_tools import CHARGE, Outside, whole_in_thread
from test_api import events_of, fault
from test_cli import drawn_run, hears_ctrl_c, pointsman

from pointsman.client import Approval, AsyncClient, Client, Event, RequestRejected

PATIENCE = 30.0


@pytest.fixture(scope="module")
def outside() -> Outside:
    return Outside()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[str]:
    with whole_in_thread(tmp_path_factory.mktemp("whole"), outside) as found:
        yield found


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=20) as client:
        yield client


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is something."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def run(http: httpx.Client, request: str, **fields: Any) -> str:
    response = http.post("/v1/runs", json={"request": request, **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def approvals(http: httpx.Client, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(f"/v1/runs/{run}/approvals").json()["approvals"]
    return found


def pending(http: httpx.Client, run: str) -> dict[str, Any]:
    """The one request that waits."""

    def waiting() -> list[dict[str, Any]]:
        return [a for a in approvals(http, run) if a["pending"]]

    found: list[dict[str, Any]] = until(waiting)
    assert len(found) == 1
    return found[0]


def decide(http: httpx.Client, asked: dict[str, Any], decision: str, **fields: Any) -> Any:
    body = {"decision": decision, "digest": asked["digest"], "by": "Ada", **fields}
    return http.post(f"/v1/runs/{asked['run']}/approvals/{asked['id']}", json=body)


def ended(http: httpx.Client, run: str) -> dict[str, Any]:
    events_of(http, run)
    record: dict[str, Any] = http.get(f"/v1/runs/{run}").json()
    return record


# --- the API ---------------------------------------------------------------------------------------


def test_a_yes_to_the_exact_arguments_lets_the_task_run(
    http: httpx.Client, outside: Outside
) -> None:
    id = run(http, "mail yes")
    asked = pending(http, id)
    assert asked["capability"] == "mail.send"
    assert asked["arguments"] == {
        "to": "ada@example.org",
        "text": "The <b>minutes</b> are attached.",
    }
    assert asked["why"] == "marked"
    assert asked["expires"] > time.time() + 3600
    before = len(outside.sent)
    answer = decide(http, asked, "approved", note="go on")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["decision"], shown["by"], shown["note"]) == ("approved", "Ada", "go on")
    assert not shown["pending"]
    record = ended(http, id)
    assert record["status"] == "done"
    assert outside.sent[before:] == [("ada@example.org", "The <b>minutes</b> are attached.")]


def test_a_no_fails_the_task_and_calls_nothing(http: httpx.Client, outside: Outside) -> None:
    id = run(http, "mail no")
    before = len(outside.sent)
    assert decide(http, pending(http, id), "denied", note="not to her").status_code == 200
    record = ended(http, id)
    assert record["status"] == "failed"
    assert "Ada said no: not to her" in record["answer"]["text"]
    assert outside.sent[before:] == []


def test_an_edit_is_a_request_of_its_own(http: httpx.Client, outside: Outside) -> None:
    id = run(http, "mail edit")
    asked = pending(http, id)
    other = {"to": "bob@example.org", "text": "Changed."}
    edited = decide(http, asked, "edited", arguments=other).json()
    assert edited["id"] != asked["id"]
    assert (edited["edits"], edited["arguments"], edited["pending"]) == (asked["id"], other, True)
    shown = approvals(http, id)
    assert [a["id"] for a in shown] == [edited["id"], asked["id"]]  # what is pending comes first
    assert shown[1]["decision"] == "edited"
    before = len(outside.sent)
    assert decide(http, edited, "approved").status_code == 200
    assert ended(http, id)["status"] == "done"
    assert outside.sent[before:] == [("bob@example.org", "Changed.")]


def test_decisions_that_cannot_be_taken_change_nothing(http: httpx.Client) -> None:
    id = run(http, "mail refused")
    asked = pending(http, id)
    stale = decide(http, {**asked, "digest": "0" * 64}, "approved")
    assert stale.status_code == 409
    assert fault(stale)["code"] == "approval.conflict"
    assert decide(http, asked, "done", value=1).status_code == 409
    assert decide(http, asked, "perhaps").status_code == 422
    assert decide(http, asked, "edited").status_code == 422
    assert decide(http, {**asked, "id": "apr_none"}, "approved").status_code == 404
    assert decide(http, {**asked, "id": "apr_none"}, "edited", arguments={}).status_code == 404
    assert decide(http, {**asked, "run": "run_none"}, "approved").status_code == 404
    wrong = decide(http, asked, "edited", arguments={"to": 3, "text": "x"})
    assert wrong.status_code == 422
    assert "mail.send does not take these arguments" in fault(wrong)["message"]
    endless = (
        f'{{"decision":"edited","digest":"{asked["digest"]}","arguments":{{"to":"a","text":NaN}}}}'
    )
    assert http.post(f"/v1/runs/{id}/approvals/{asked['id']}", content=endless).status_code == 422
    assert pending(http, id) == asked
    assert decide(http, asked, "denied").status_code == 200
    assert decide(http, asked, "approved").status_code == 409
    ended(http, id)


def test_after_a_stop_nothing_is_pending_and_nothing_can_be_decided(
    http: httpx.Client, outside: Outside
) -> None:
    id = run(http, "mail stopped")
    asked = pending(http, id)
    before = len(outside.sent)
    assert http.post(f"/v1/runs/{id}/cancel").status_code == 202
    assert [a["pending"] for a in approvals(http, id)] == [False]
    assert decide(http, asked, "approved").status_code == 409
    assert [a["decision"] for a in approvals(http, id)] == [None]
    assert outside.sent[before:] == []


def test_a_run_that_is_stopped_while_it_waits_ends(http: httpx.Client) -> None:
    id = run(http, "mail stopped again")
    pending(http, id)
    time.sleep(0.3)  # by now its controller has let go of it
    assert http.post(f"/v1/runs/{id}/cancel").status_code == 202
    assert ended(http, id)["status"] == "cancelled"


def test_an_unknown_effect_is_listed_and_a_person_says_that_it_happened(
    http: httpx.Client, outside: Outside
) -> None:
    outside.lost_answers = 1
    id = run(http, "", plan=CHARGE)
    asked = pending(http, id)
    assert asked["why"] == "unknown-effect"
    (effect,) = http.get(f"/v1/runs/{id}/effects").json()["effects"]
    assert (effect["state"], effect["effect"]) == ("unknown", "once")
    assert (effect["key"], effect["capability"]) == (f"{id}.charge.0", "bank.charge")
    before = len(outside.charged)
    assert decide(http, asked, "done", value={"receipt": 7}).status_code == 200
    assert ended(http, id)["status"] == "done"
    assert http.get(f"/v1/runs/{id}/tasks/charge").json()["value"] == {"receipt": 7}
    (effect,) = http.get(f"/v1/runs/{id}/effects").json()["effects"]
    assert effect["state"] == "done"
    assert len(outside.charged) == before


def test_an_unknown_effect_is_called_again_when_a_person_says_so(
    http: httpx.Client, outside: Outside
) -> None:
    outside.lost_answers = 1
    id = run(http, "", plan=CHARGE)
    asked = pending(http, id)
    before = len(outside.charged)
    assert decide(http, asked, "approved").status_code == 200
    record = ended(http, id)
    assert record["status"] == "done", record["error"]
    assert outside.charged[before:] == [(12.5, f"{id}.charge.0")]


def test_effects_wait_too_where_that_is_asked_for(http: httpx.Client, outside: Outside) -> None:
    before = len(outside.charged)
    id = run(http, "charge", approve="effects")
    assert decide(http, pending(http, id), "denied").status_code == 200
    assert ended(http, id)["status"] == "failed"
    assert outside.charged[before:] == []
    free = run(http, "mail", approve="never")
    assert ended(http, free)["status"] == "done"
    assert approvals(http, free) == []


def test_several_wait_at_once_and_each_is_decided_for_itself(
    http: httpx.Client, outside: Outside
) -> None:
    id = run(http, "a round of letters")
    asked = until(lambda: len(found := approvals(http, id)) == 3 and found)
    assert {a["task"] for a in asked} == {"mails[0]", "mails[1]", "mails[2]"}
    assert len({a["digest"] for a in asked}) == 3
    by_task = {a["task"]: a for a in asked}
    before = len(outside.sent)
    swapped = {**by_task["mails[0]"], "digest": by_task["mails[1]"]["digest"]}
    assert decide(http, swapped, "approved").status_code == 409
    assert decide(http, by_task["mails[2]"], "approved").status_code == 200
    until(lambda: outside.sent[before:] == [("c@example.org", "Hello")])
    assert decide(http, by_task["mails[0]"], "denied").status_code == 200
    assert decide(http, by_task["mails[1]"], "approved").status_code == 200
    assert ended(http, id)["status"] == "done"
    value = http.get(f"/v1/runs/{id}/tasks/mails").json()["value"]
    assert value[0] is None
    assert [v and v["to"] for v in value[1:]] == ["b@example.org", "c@example.org"]
    assert sorted(to for to, _ in outside.sent[before:]) == ["b@example.org", "c@example.org"]


def test_a_dead_letter_is_kept_replayed_and_forgotten(http: httpx.Client, outside: Outside) -> None:
    outside.broken = True
    id = run(http, "grind it")
    assert ended(http, id)["status"] == "failed"
    outside.broken = False
    letters = http.get("/v1/dead-letters").json()["dead_letters"]
    (letter,) = [x for x in letters if x["run"] == id]
    assert (letter["task"], letter["capability"]) == ("grind", "mill.grind")
    assert letter["error"]["message"] == "the mill is down"
    assert letter["request"] == "grind it"
    assert f"pointsman_dead_letters {len(letters)}.0\n" in http.get("/metrics").text
    again = http.post(f"/v1/runs/{id}/rerun", json={"from_task": "grind"})
    assert again.status_code == 201
    assert again.headers["location"] == f"/v1/runs/{again.json()['id']}"
    assert again.json()["rerun_of"] == id
    record = ended(http, again.json()["id"])
    assert record["status"] == "done"
    assert "GRAIN" in record["answer"]["text"]
    place = f"/v1/dead-letters/{id}/grind"
    assert http.delete(place).status_code == 204
    gone = http.delete(place)
    assert gone.status_code == 404
    assert fault(gone)["code"] == "request.not-found"


def test_only_what_has_ended_and_has_something_left_is_run_again(http: httpx.Client) -> None:
    id = run(http, "mail rerun")
    asked = pending(http, id)
    early = http.post(f"/v1/runs/{id}/rerun")
    assert early.status_code == 409
    assert fault(early)["code"] == "workspace.run-not-over"
    decide(http, asked, "approved")
    ended(http, id)
    for body in ({}, {"from_task": "nowhere"}):
        nothing = http.post(f"/v1/runs/{id}/rerun", json=body)
        assert nothing.status_code == 422
        assert fault(nothing)["code"] == "workspace.nothing-to-rerun"
    assert http.post("/v1/runs/run_none/rerun").status_code == 404


def test_an_item_of_a_loop_is_run_again_with_its_loop(http: httpx.Client) -> None:
    id = run(http, "each")
    assert ended(http, id)["status"] == "done"
    again = http.post(f"/v1/runs/{id}/rerun", json={"from_task": "each[1]"})
    assert again.status_code == 201
    assert ended(http, again.json()["id"])["status"] == "done"


def test_the_same_key_makes_one_run(http: httpx.Client) -> None:
    key = {"Idempotency-Key": f"key-{time.time()}"}
    made = [http.post("/v1/runs", json={"request": "each"}, headers=key) for _ in range(3)]
    assert [r.status_code for r in made] == [201, 201, 201]
    (id,) = {r.json()["id"] for r in made}
    ended(http, id)
    other = {"Idempotency-Key": f"other-{time.time()}"}
    body = {"from_task": "each"}
    rerun = [http.post(f"/v1/runs/{id}/rerun", json=body, headers=other) for _ in range(2)]
    (again,) = {r.json()["id"] for r in rerun}
    assert again != id
    ended(http, again)


def test_unknown_runs_have_no_approvals_and_no_effects(http: httpx.Client) -> None:
    assert http.get("/v1/runs/run_none/approvals").status_code == 404
    assert http.get("/v1/runs/run_none/effects").status_code == 404


def test_the_routes_describe_themselves_with_their_errors(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    decide = paths["/v1/runs/{id}/approvals/{approval}"]["post"]
    assert {"200", "404", "409", "422"} <= set(decide["responses"])
    assert {"404", "409", "422"} <= set(paths["/v1/runs/{id}/rerun"]["post"]["responses"])
    assert {"/v1/dead-letters", "/v1/runs/{id}/effects"} <= set(paths)


def test_a_chat_client_is_told_which_approval_waits(http: httpx.Client) -> None:
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": "mail chat"}],
        "stream": True,
    }
    told: list[str] = []
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            about = json.loads(line[6:])["pointsman"]
            told.append(about.get("progress", ""))
            if about.get("event") == "approval.requested":
                with httpx.Client(base_url=str(http.base_url), timeout=20) as other:
                    decide(other, pending(other, about["run"]), "approved")
    assert any(t.startswith("send: waits for approval apr_") for t in told)
    assert "send: approved by Ada" in told


# --- the clients -----------------------------------------------------------------------------------


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as made:
        yield made


def waiting(client: Client, run: str) -> Approval:
    """The one request that waits."""
    (found,) = until(lambda: [a for a in client.approvals(run) if a.pending])
    assert isinstance(found, Approval)
    return found


def test_a_program_decides_as_the_events_come(client: Client, outside: Outside) -> None:
    seen: list[Event] = []

    def decide(event: Event) -> None:
        seen.append(event)
        if event.approval is None:
            return
        assert event.approval.run == event.run
        if event.approval.arguments["to"] == "ada@example.org":
            edited = client.edit(
                event.approval, {**event.approval.arguments, "to": "eve@example.org"}
            )
            assert (edited.why, edited.edits) == ("edited", event.approval.id)
        else:
            told = client.decide(event.approval, "approved", by="Ada", note="fine")
            assert (told.decision, told.by, told.note) == ("approved", "Ada", "fine")

    before = len(outside.sent)
    assert client.run("mail", on_event=decide).ok
    assert [to for to, _ in outside.sent[before:]] == ["eve@example.org"]
    types = [e.type for e in seen if e.type.startswith("approval.")]
    assert types == [
        "approval.requested",
        "approval.decided",
        "approval.requested",
        "approval.decided",
    ]
    assert [e.approval is not None for e in seen if e.type == "approval.requested"] == [True, True]


def test_what_the_clients_show_of_an_unknown_effect(client: Client, outside: Outside) -> None:
    outside.lost_answers = 1
    run = client.start("charge")
    asked = waiting(client, run.id)
    assert asked.why == "unknown-effect"
    assert "lost" in asked.question
    (effect,) = client.effects(run)
    assert (effect.state, effect.capability, effect.index) == ("unknown", "bank.charge", 0)
    client.decide(asked, "done", value={"receipt": 3})
    assert client.wait(run).parts[0].value == {"receipt": 3}
    assert client.effects(run)[0].state == "done"
    with pytest.raises(RequestRejected) as refused:
        client.decide(asked, "approved")
    assert (refused.value.status, refused.value.code) == (409, "workspace.run-over")


def test_a_dead_letter_is_replayed_by_a_program(client: Client, outside: Outside) -> None:
    outside.broken = True
    failed = client.run("grind for a program")
    outside.broken = False
    assert failed.status == "failed"
    (letter,) = [x for x in client.dead_letters() if x.run == failed.run]
    assert (letter.task, letter.error.code) == ("grind", "expert.failed")
    again = client.wait(client.rerun(letter.run, from_task=letter.task))
    assert again.ok
    kept = next(s for s in again.steps if s.task == "fetch")
    assert failed.run in kept.note  # taken over, not done anew
    client.forget(letter)
    assert letter not in client.dead_letters()
    with pytest.raises(RequestRejected):
        client.forget(letter)


@pytest.mark.anyio
async def test_the_async_client_decides_too(address: str, outside: Outside) -> None:
    before = len(outside.charged)
    async with AsyncClient(address) as client:
        async for step in client.running("charge", approve="effects"):
            if isinstance(step, Event) and step.approval is not None:
                await client.decide(step.approval, "denied", note="too much")
                last = step.approval
        (asked,) = await client.approvals(last.run)
        assert (asked.decision, asked.note, asked.pending) == ("denied", "too much", False)
        assert await client.effects(last.run) == ()
        again = await client.rerun(last.run, from_task="charge")
        async for event in client.events(again):
            if event.approval is not None:  # the same terms: it waits once more
                await client.decide(event.approval, "denied")
        assert (await client.get(again)).status == "failed"
    assert len(outside.charged) == before


# --- the command line ------------------------------------------------------------------------------


class Terminal:
    """A command whose input and whose stderr are a terminal; stdout is a pipe."""

    def __init__(self, *arguments: str) -> None:
        self._screen, other = pty.openpty()
        self.shown = ""
        self._seen = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pointsman.cli", *arguments],
            stdin=other,
            stdout=subprocess.PIPE,
            stderr=other,
            env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
            preexec_fn=hears_ctrl_c,
        )
        os.close(other)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # how the end of a terminal is told
            while piece := os.read(self._screen, 4096):
                self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace"))

    def expect(self, words: str) -> None:
        """Waits until the screen shows the words, after those that were expected before."""
        patience = time.monotonic() + PATIENCE
        while words not in self.shown[self._seen :]:
            assert time.monotonic() < patience, self.shown
            time.sleep(0.02)
        self._seen = self.shown.index(words, self._seen) + len(words)

    def type(self, line: str) -> None:
        os.write(self._screen, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """The exit code and what stands on stdout."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._reader.join()
        os.close(self._screen)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    made = Terminal(*arguments)
    try:
        yield made
    finally:
        made.close()


def test_on_a_terminal_the_exact_arguments_are_shown_and_asked_about(
    address: str, outside: Outside
) -> None:
    before = len(outside.sent)
    with terminal("run", "mail from a terminal", "--url", address) as screen:
        screen.expect("May mail.send be called with this?")
        screen.expect('to    "ada@example.org"')
        screen.expect('text  "The <b>minutes</b> are attached."')
        screen.expect("[y]es, [n]o, [e]dit, [l]ater?")
        screen.type("e")
        screen.expect("to [")
        screen.type("bob@example.org")
        screen.expect("text [")
        screen.type("")
        screen.expect('to    "bob@example.org"')
        screen.expect("[l]ater?")
        screen.type("perhaps")
        screen.expect("One of the letters")
        screen.type("y")
        code, out = screen.end()
    assert code == 0, screen.shown
    assert "characters" in out
    assert outside.sent[before:] == [("bob@example.org", "The <b>minutes</b> are attached.")]


def test_on_a_terminal_an_unknown_effect_can_have_happened(
    address: str, client: Client, outside: Outside
) -> None:
    outside.lost_answers = 1
    with terminal("run", "charge from a terminal", "--json", "--url", address) as screen:
        screen.expect("decide with: pointsman approve")  # with --json nothing is asked
        run = next(r for r in client.runs(limit=5) if r.request == "charge from a terminal")
        with terminal("approve", run.id, "--url", address) as other:
            other.expect("[h]appened")
            other.type("h")
            other.expect("Its result")
            other.type('{"receipt": 9}')
            assert other.end()[0] == 0
        code, out = screen.end()
    assert code == 0
    assert json.loads(out)["parts"][0]["value"] == {"receipt": 9}


def test_ctrl_c_at_the_question_stops_the_run_and_decides_nothing(
    address: str, client: Client, outside: Outside
) -> None:
    before = len(outside.sent)
    with terminal("run", "mail and leave", "--url", address) as screen:
        screen.expect("[l]ater?")
        screen.process.send_signal(signal.SIGINT)
        code, out = screen.end()
    assert (code, out) == (130, "")
    run = next(r for r in client.runs(limit=5) if r.request == "mail and leave")
    assert client.wait(run.id).status == "cancelled"
    assert [a.decision for a in client.approvals(run)] == [None]
    assert outside.sent[before:] == []


def test_where_several_wait_it_is_to_be_said_which_one(address: str, client: Client) -> None:
    run = client.start("a round in the shell")
    asked = until(lambda: len(found := client.approvals(run)) == 3 and found)
    ended = pointsman("approve", run.id, "--yes", "--url", address)
    assert ended.code == 2
    assert all(a.id in ended.err for a in asked)
    with terminal("approve", run.id, "--url", address) as screen:
        for answer in ("y", "n", "l"):
            screen.expect("[l]ater?")
            screen.type(answer)
        assert screen.end()[0] == 0
    found = {a.id: a.decision for a in client.approvals(run)}
    assert [found[a.id] for a in asked] == ["approved", "denied", None]
    client.cancel(run)
    assert client.wait(run).status == "cancelled"


@contextmanager
def in_pipe(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "pointsman.cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_in_a_pipe_it_is_said_how_to_decide_and_the_run_waits(
    address: str, outside: Outside
) -> None:
    before = len(outside.sent)
    with in_pipe("run", "mail in a pipe", "--url", address) as running:
        assert running.stderr is not None
        told = running.stderr.readline() + running.stderr.readline()
        found = re.search(r"pointsman approve (run_\w+) (apr_\w+)", told)
        assert found, told
        assert '"to": "ada@example.org"' in told
        run, id = found.groups()
        listed = pointsman("approvals", run, "--url", address)
        assert "May mail.send be called with this?" in listed.out
        silent = pointsman("approve", run, "--url", address)
        assert silent.code == 2
        assert "--yes" in silent.err
        change = json.dumps({"to": "carol@example.org"})
        changed = pointsman("approve", run, id, "--edit", change, "--url", address)
        assert (changed.code, "waits for a decision" in changed.err) == (0, True)
        late = pointsman("approve", run, id, "--yes", "--url", address)
        assert (late.code, f"{id} waits no more: edited" in late.err) == (1, True)
        given = pointsman("approve", run, "--yes", "--note", "fine", "--json", "--url", address)
        assert given.json["decision"] == "approved"
        assert given.json["arguments"]["to"] == "carol@example.org"
        out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert "characters" in out
    assert [to for to, _ in outside.sent[before:]] == ["carol@example.org"]
    listed = pointsman("approvals", run, "--url", address)
    assert re.search(r"✓ approved[ │]+\w+", listed.out)
    nothing = pointsman("approve", run, "--yes", "--url", address)
    assert (nothing.code, "nothing in run" in nothing.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["approve", "run_none", "--yes"], "run_none"),
        (["approve", "run_none", "--yes", "--done", "1"], "exclude each other"),
        (["approve", "run_none", "--edit", "{"], "no JSON"),
        (["approve", "run_none", "--edit", "[]"], "JSON object"),
        (["approvals", "run_none"], "run_none"),
        (["effects", "run_none"], "run_none"),
        (["rerun", "run_none"], "run_none"),
        (["dead", "run_none", "t"], "no dead letter"),
        (["dead", "--replay"], "RUN and TASK"),
        (["run", "x", "--approve", "all"], "all"),
    ],
)
def test_wrong_usage_is_told(address: str, arguments: Sequence[str], told: str) -> None:
    ended = pointsman(*arguments, POINTSMAN_URL=address)
    assert ended.code == 2
    assert told in " ".join(ended.err.split())
    assert "Traceback" not in ended.err


def test_effects_dead_letters_and_reruns_in_the_shell(
    address: str, client: Client, outside: Outside
) -> None:
    charged = pointsman("run", "charge in the shell", "--json", "--url", address)
    run = charged.json["run"]
    listed = pointsman("effects", run, "--url", address, COLUMNS="200")
    assert re.search(rf"charge[ │]+✓ done[ │]+once[ │]+bank.charge .* {run}.charge.0", listed.out)
    outside.broken = True
    failed = pointsman("run", "grind in the shell", "--json", "--url", address)
    assert failed.code == 1
    run = failed.json["run"]
    still = pointsman("rerun", run, "--json", "--url", address)
    outside.broken = False
    assert (still.code, still.json["status"]) == (1, "failed")
    assert f"{run} goes on as run_" in still.err
    assert run in pointsman("dead", "--url", address, COLUMNS="200").out
    assert (
        "the mill is down (expert.failed)" in pointsman("dead", run, "grind", "--url", address).out
    )
    replayed = pointsman("dead", run, "grind", "--replay", "--json", "--url", address)
    assert (replayed.code, replayed.json["status"]) == (0, "done")
    gone = pointsman("dead", run, "--json", "--url", address)
    assert gone.json == []
    (letter,) = [x for x in client.dead_letters() if x.run == still.json["run"]]
    assert pointsman("dead", letter.run, letter.task, "--forget", "--url", address).code == 0
    assert letter not in client.dead_letters()
    whole = pointsman("rerun", run, "--from", "fetch", "--url", address)
    assert whole.code == 0
    assert "GRAIN" in whole.out


def test_the_live_tree_shows_what_waits_for_approval() -> None:
    take = drawn_run()
    loop = {
        "id": "b",
        "title": "Each",
        "capability": "mail.send",
        "arguments": {},
        "for_each": {"over": ["x", "y"], "limit": 9},
    }
    task = {"id": "a", "title": "Send it", "capability": "mail.send", "arguments": {}}
    take("plan.proposed", plan={"tasks": [task, loop]}, estimate={})
    asked = {"approval": "apr_1"}
    assert "◆ Send it  waits for approval" in take("approval.requested", task="a", **asked)
    assert "◆ Send it" in take("approval.decided", task="a", decision="edited", by="Ada")
    assert "◔ Send it  approved by Ada" in take(
        "approval.decided", task="a", decision="approved", by="Ada"
    )
    assert "0 of 2" in take("task.expanded", task="b", children=["b[0]", "b[1]"])
    assert "0 of 2, 1 waits for approval" in take("approval.requested", task="b[0]", **asked)
    told = take("approval.decided", task="b[0]", decision="denied", by="Ada")
    assert "0 of 2" in told
    assert "1 waits" not in told
    assert "1 of 2" in take("task.failed", task="b[0]", final=True, error={"message": "no"})
