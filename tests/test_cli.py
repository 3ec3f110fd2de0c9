"""The command line, as its users meet it: processes, what they print, and how they end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from stage import stage_in_thread
from stage_scripts import SCRIPTS

from pointsman.cli import answers, app
from pointsman.cli.output import CONTROL, clean, dollars, seconds, unsent_files
from pointsman.cli.runview import RunView, task_tree, why_lines
from pointsman.cli.saving import safe_name
from pointsman.client import Answer, Client, Event, Part, PlanTask, Step

PATIENCE = 60.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("stage"), SCRIPTS) as found:
        yield found


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def pointsman(*arguments: str, folder: Path | None = None, **environment: str) -> Ended:
    """A command, to its end, with pipes in place of a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "pointsman.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", **environment},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


# --- run -------------------------------------------------------------------------------------------


def test_a_run_in_a_pipe_is_plain_text_with_whole_tables_and_reasons(address: str) -> None:
    ended = pointsman("run", "complaints", "--url", address)
    assert ended.code == 0, ended.err
    assert not CONTROL.search(ended.out)
    assert "**" not in ended.out
    assert "text 39" in ended.out  # all 40 rows, of which the text itself has fewer
    assert re.search(r"battery life +14", ended.out)
    assert "Why:\n" in ended.out
    assert "best quality of 2 that are live" in ended.out
    assert ended.err == ""


def test_rows_are_limited_where_it_is_said(address: str) -> None:
    ended = pointsman("run", "complaints", "--rows", "5", "--url", address)
    assert "text 04" in ended.out
    assert "text 05" not in ended.out
    assert "35 more rows" in ended.out


def test_json_is_one_document_and_nothing_else(address: str) -> None:
    ended = pointsman("run", "complaints", "--json", "--url", address)
    assert ended.code == 0
    assert ended.json["status"] == "done"
    assert ended.json["parts"][0]["value"]["row_count"] == 3
    assert {s["expert"] for s in ended.json["steps"]} == {"echo"}
    assert ended.err == ""


@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [("calculate", 0, "done"), ("breaks", 1, "failed"), ("cannot", 3, "refused")],
)
def test_the_exit_code_tells_what_it_came_to(
    address: str, request_: str, code: int, status: str
) -> None:
    ended = pointsman("run", request_, "--json", "--url", address)
    assert (ended.code, ended.json["status"]) == (code, status)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run"], 2, "request"),
        (["run", "x", "--prefer", "beauty"], 2, "beauty"),
        (["run", "  "], 2, "no words"),
        (["run", "x", "--file", "nowhere.csv"], 2, "nowhere.csv"),
        (["watch", "run_none"], 2, "run_none"),
        (["cancel", "run_none"], 2, "run_none"),
        (["capabilities", "table.fliter"], 2, "table.fliter"),
        (["run", "x", "--url", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
        (["run", "x", "--url", "nonsense"], 1, "an address looks like"),
    ],
)
def test_errors_are_one_clear_line(
    address: str, arguments: Sequence[str], code: int, told: str
) -> None:
    ended = pointsman(*arguments, POINTSMAN_URL=address)
    assert ended.code == code
    assert ended.out == ""
    assert told in ended.err
    assert "Traceback" not in ended.err
    ours = [line for line in ended.err.splitlines() if line.startswith("pointsman:")]
    assert len(ours) == 1 or "Usage:" in ended.err


def test_debug_shows_where_an_error_comes_from() -> None:
    ended = pointsman("run", "x", "--debug", "--url", "nonsense")
    assert ended.code == 1
    assert "Traceback" in ended.err


def test_an_error_with_json_is_a_document_too(address: str) -> None:
    ended = pointsman("run", "  ", "--json", "--url", address)
    assert ended.code == 2
    assert ended.json["error"]["code"] == "request.empty"


def test_files_are_not_taken_silently_but_hinted_at(address: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text\nbad\n")
    ended = pointsman("run", "cannot read reviews.csv.", "--url", address, folder=tmp_path)
    assert ended.code == 3
    assert "--file reviews.csv" in ended.err
    given = pointsman(
        "run", "calculate reviews.csv", "-f", "reviews.csv", "--url", address, folder=tmp_path
    )
    assert given.err == ""
    with Client(address) as client:
        assert [f.name for f in client.runs(limit=1)[0].files] == ["reviews.csv"]


def test_results_are_saved_as_files_and_none_is_overwritten(address: str, tmp_path: Path) -> None:
    for _ in range(2):
        ended = pointsman("run", "complaints", "--save", str(tmp_path), "--json", "--url", address)
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert len(kept) == 6
    assert sorted(Path(p).name for p in ended.json["saved"]) == [k for k in kept if "-2." in k]
    table = next(p for p in tmp_path.iterdir() if "negative" in p.name).read_text("utf-8-sig")
    assert len(table.splitlines()) == 41


def hears_ctrl_c() -> None:
    """Tests that run in the background of a shell inherit that SIGINT is ignored; a person's shell does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_cancels_the_run(address: str) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-m", "pointsman.cli", "run", "slowly", "--url", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hears_ctrl_c,
        ) as running,
        Client(address) as client,
    ):
        id = next_run(client, "slowly")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 130
        assert out == ""
        assert "stopped" in err
        assert "Traceback" not in err
        assert "run.cancelling" in first_events(client, id, "run.cancelling")


def next_run(client: Client, request: str) -> str:
    """The id of the run with this request that was made last, once its tasks run."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = [r for r in client.runs(limit=3) if r.request == request and not r.over]
        if found and first_events(client, found[0].id, "task.started"):
            return found[0].id
        time.sleep(0.1)
    raise AssertionError(f"no run {request!r} was started")


def first_events(client: Client, id: str, last: str) -> list[str]:
    seen = []
    for event in client.events(id):
        seen.append(event.type)
        if event.type == last:
            break
    return seen


# --- the other commands ----------------------------------------------------------------------------


def test_the_plan_is_a_tree_a_chart_or_a_document(address: str) -> None:
    tree = pointsman("plan", "complaints", "--url", address).out.splitlines()
    assert tree[0] == "○ Read reviews.csv  table.read"
    assert tree[1].startswith("├── ○ Tell the sentiment")
    assert "about 1.4 s" in tree[-1]
    assert pointsman("plan", "complaints", "--mermaid", "--url", address).out.startswith(
        "flowchart"
    )
    document = pointsman("plan", "complaints", "--json", "--url", address).json
    assert document["tasks"][0]["id"] == "read"
    refused = pointsman("plan", "cannot", "--url", address)
    assert refused.code == 3
    assert "flights" in refused.out


def test_runs_are_listed_and_can_be_watched_again(address: str) -> None:
    made = pointsman("run", "calculate", "--json", "--thread", "again", "--url", address).json
    listed = pointsman("runs", "--thread", "again", "--url", address)
    assert made["run"] in listed.out
    assert "calculate" in listed.out
    watched = pointsman("watch", made["run"], "--url", address)
    assert watched.code == 0
    assert "42" in watched.out
    over = pointsman("cancel", made["run"], "--url", address)
    assert over.code == 2
    assert "is over" in over.err


def test_capabilities_are_listed_and_explained(address: str) -> None:
    listed = pointsman("capabilities", "--url", address).out
    assert re.search(r"table\.filter +│ filter rows +│ echo", listed)
    one = pointsman("capabilities", "table.filter", "--url", address).out
    assert "please filter rows" in one
    assert "JSON Schema" in one
    documents = pointsman("capabilities", "--json", "--url", address).json
    assert {d["name"] for d in documents} >= {"table.filter", "chart.draw"}


@pytest.mark.parametrize(
    "command",
    sorted(c.callback.__name__ for c in app.registered_commands if c.callback is not None),
)
def test_every_command_explains_itself(command: str) -> None:
    ended = pointsman(command, "--help")
    assert ended.code == 0
    assert f"pointsman {command}" in ended.out
    assert "--while-stdin" not in ended.out


def test_every_command_and_option_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "cli.md").read_text("utf-8")
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        assert f"`{name}" in text, name
        options = re.findall(r"(--[a-z-]+)", pointsman(name, "--help", COLUMNS="200").out)
        for option in {*options} - {"--help", "--trial"}:
            assert option in text, f"{name} {option}"


def test_help_is_fast_because_nothing_heavy_is_loaded() -> None:
    code = "import sys, pointsman.cli; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in told.stdout.split()}
    assert not loaded & {"torch", "numpy", "pydantic", "fastapi", "redis", "duckdb"}


def test_doctor_says_for_each_thing_how_it_is(tmp_path: Path) -> None:
    ended = pointsman("doctor", "--no-trial", "--json", "--home", str(tmp_path), POINTSMAN_PORT="0")
    assert ended.code == 0, ended.out
    checks = {c["name"]: c for c in ended.json["checks"]}
    assert set(checks) == {
        "Python",
        "Packages",
        "Redis",
        "Encoder",
        "Home",
        "Disk",
        "Port",
        "Model",
    }
    assert re.match(r"\d+\.\d+", checks["Redis"]["detail"])


def test_doctor_finds_what_is_wrong_and_never_shows_a_key(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    ended = pointsman(
        "doctor",
        "--no-trial",
        "--home",
        str(tmp_path / "home"),
        POINTSMAN_REDIS_URL="redis://127.0.0.1:9",
        OPENAI_API_KEY="sk-secret-of-mine",
    )
    assert ended.code == 1
    assert "✗ Home" in ended.out
    assert "→ choose another folder" in ended.out
    assert "✗ Redis" in ended.out
    assert "a key is set" in ended.out
    assert "secret" not in ended.out + ended.err


def test_a_wrong_setting_is_told_by_its_name() -> None:
    ended = pointsman("serve", POINTSMAN_PORT="many")
    assert ended.code == 2
    assert ended.err.startswith("pointsman: setting port: ")


def test_a_server_of_one_part_announces_itself_and_stops_when_told(tmp_path: Path) -> None:
    announced = tmp_path / "announced.json"
    command = ["serve", "--only", "gateway", "--port", "0", "--home", str(tmp_path / "home")]
    with subprocess.Popen(
        [sys.executable, "-m", "pointsman.cli", *command, "--announce", str(announced)],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        told = server.stderr.readline()
        url = json.loads(announced.read_text())["url"]
        assert url in told
        with Client(url) as client:
            assert client.runs() == ()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert not announced.exists()


def test_a_server_that_is_started_by_a_program_ends_with_its_input(tmp_path: Path) -> None:
    command = [
        "serve",
        "--only",
        "gateway",
        "--port",
        "0",
        "--home",
        str(tmp_path),
        "--while-stdin",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "pointsman.cli", *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        assert "serves at" in server.stderr.readline()
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(PATIENCE) == 0


def test_the_whole_from_an_empty_home(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("region,amount\nnorth,10\nsouth,5\nnorth,7\n")
    ended = pointsman(
        "run",
        "What is the total amount by region?",
        "--file",
        "sales.csv",
        "--json",
        "--home",
        str(tmp_path / "home"),
        folder=tmp_path,
    )
    assert ended.code == 0, ended.err
    table = ended.json["parts"][0]["value"]
    assert ["north", 17] in [row[:2] for row in table["rows"]]
    assert not (tmp_path / "home" / "server.json").exists()


# --- drawing ---------------------------------------------------------------------------------------


def answer_of(text: str, *parts: Part) -> Answer:
    return Answer("run_1", "done", text, parts)


def table_part(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], count: int | None = None
) -> Part:
    value = {
        "kind": "table",
        "columns": [{"name": c, "type": "text"} for c in columns],
        "rows": [list(r) for r in rows],
        "row_count": len(rows) if count is None else count,
    }
    return Part("t", "the rows", "table", value)  # type: ignore[arg-type]


def drawn(answer: Answer, limit: int = 50) -> str:
    out = Console(width=80, record=True, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with out.file:
        answers.draw(answer, out, limit=limit)
        return out.export_text()


def test_a_table_cut_short_in_the_text_is_shown_whole() -> None:
    part = table_part(["a_b", "n"], [[f"row {i}", i] for i in range(30)])
    text = "| a\\_b | n |\n| --- | --- |\n| row 0 | 0 |\n\n… and 29 more rows.\n\nAs it is."
    for shown in (answers.plain(answer_of(text, part), limit=0), drawn(answer_of(text, part))):
        assert "row 29" in shown
        assert "more rows" not in shown
        assert "a_b" in shown
        assert "As it is." in shown
        assert shown.count("row 0") == 1


def test_a_table_that_only_its_part_has_is_shown_too() -> None:
    part = table_part(["x"], [["one"], ["two"]])
    for shown in (
        answers.plain(answer_of("In words.", part), limit=0),
        drawn(answer_of("In words.", part)),
    ):
        assert "In words." in shown
        assert "two" in shown


def test_rows_that_did_not_come_along_are_counted() -> None:
    part = table_part(["x"], [["one"], ["two"]], count=5_000)
    shown = answers.plain(answer_of("", part), limit=0)
    assert "4,998 more rows; --save DIR" in shown


def test_a_table_of_the_text_alone_is_kept() -> None:
    shown = answers.plain(answer_of("| a | b |\n|---|---|\n| 1 | x\\|y |"), limit=0)
    assert re.search(r"1 +x\|y", shown)


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_a_terminal_obeys_is_printed(text: str, title: str, content: str) -> None:
    part = table_part([title, "n"], [[content, 1], [text, 2]])
    shown = answers.plain(answer_of(f"{text}\x1b[2J\x9b31m", part), limit=0)
    assert not CONTROL.search(shown)
    assert not CONTROL.search(drawn(answer_of(f"{text}\x1b]8;;x\x07", part)))


def test_pictures_and_links_are_told_in_words() -> None:
    text = (
        "![bars by month](/v1/files/f1/content)\n\n[out\\_put.csv](/v1/files/f2/content) is there"
    )
    shown = answers.plain(answer_of(text), limit=0)
    assert shown == "[picture: bars by month]\n\nout_put.csv is there\n"


def test_markup_goes_and_what_only_looks_like_it_stays() -> None:
    text = "**14,250** for snake\\_case and 2 \\* 3, _as told_, file_name_here"
    assert answers.unmarked(text) == "14,250 for snake_case and 2 * 3, as told, file_name_here"


def test_a_plan_with_several_inputs_names_the_others() -> None:
    tasks = [
        PlanTask("a", "A", "x", {}),
        PlanTask("b", "B", "x", {}, ("a",)),
        PlanTask("c", "C", "x", {}, ("a", "b")),
        PlanTask("d", "D", "x", {}, ("nowhere",)),
    ]
    out = Console(width=60, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with out.file:
        out.print(task_tree(tasks, [Text(t.title) for t in tasks]))
        lines = [line.rstrip() for line in out.export_text().splitlines()]
    assert lines == ["A", "└── B", "    └── C  (with: A)", "D"]


def drawn_run() -> Callable[..., str]:
    """A view of a run: takes the type and the fields of an event, gives what is drawn then."""
    view = RunView()

    def take(type: str, **fields: Any) -> str:
        view.take(Event("1-0", type, time.time(), fields))
        out = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        with out.file:
            out.print(view)
            return out.export_text()

    return take


def test_the_live_tree_follows_the_events() -> None:
    take = drawn_run()
    assert "Planning" in take("phase.entered", phase="plan")
    task = {"id": "a", "title": "Add up", "capability": "math.calculate", "arguments": {}}
    loop = {**task, "id": "b", "title": "Each", "for_each": {"over": {"$task": "a"}, "limit": 9}}
    assert "○ Add up" in take("plan.proposed", plan={"tasks": [task, loop]}, estimate={})
    assert "◔ Add up  sums" in take("task.routed", task="a", route={"expert": "sums"})
    assert "◐ Add up" in take("task.started", task="a")
    assert "50% half" in take("task.progressed", task="a", share=0.5, note="half")
    assert "✓ Add up  sums  0.25 s" in take("task.done", task="a", seconds=0.25, note="")
    take("task.expanded", task="b", children=["b[0]", "b[1]"])
    assert "1 of 2" in take("task.done", task="b[0]", seconds=0.1, note="")
    fault = {"code": "x", "message": "no such column"}
    assert "✗ Each" in take("task.failed", task="b", error=fault, final=True)


def test_the_reason_does_not_name_its_expert_twice() -> None:
    step = Step("t", "Add up", "math.calculate", "done", "sums", "sums: free", 0.5, 0, attempts=2)
    assert [w.plain for w in why_lines([step])] == ["✓ Add up  sums  0.50 s  free  (2 attempts)"]


def test_ctrl_c_while_a_server_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pointsman.cli", "run", "What is 6 times 7?"]
    with subprocess.Popen(
        [*command, "--home", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    ) as running:
        until = time.monotonic() + PATIENCE
        while not (tmp_path / "redis" / "redis.sock").exists() and time.monotonic() < until:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert err == "pointsman: stopped\n"
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(OSError, match=r"refused|No such"):
        probe.connect(str(tmp_path / "redis" / "redis.sock"))


def test_amounts_are_readable() -> None:
    assert [seconds(s) for s in (0.123, 3.44, 125)] == ["0.12 s", "3.4 s", "2 min 5 s"]
    assert [dollars(m) for m in (0, 1200, 2_500_000)] == ["no cost", "$0.0012", "$2.5"]
    assert [
        answers.cell(v) for v in (None, True, 2024, 0.0, 0.1 + 0.2, 1e-9, [1, "a"], {"k": 2.50})
    ] == [
        "",
        "yes",
        "2024",
        "0",
        "0.3",
        "1e-09",
        "1 · a",
        "k: 2.5",
    ]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "result"),
        ("", "result"),
        ("Sum by region: 5 > 3?", "Sum-by-region-5-3"),
        ("C:\\x\\y.csv", "y.csv"),
        (".bashrc", "bashrc"),
        ("naïve übersicht.txt", "naïve-übersicht.txt"),
    ],
)
def test_names_of_files_stay_in_their_folder(name: str, kept: str) -> None:
    assert safe_name(name) == kept


def test_only_files_that_are_there_and_were_not_sent_are_hinted_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv", "notes/c.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x")
    request = "Join a.csv with 'b.csv', nothere.csv and notes/c.txt. Then stop... a.csv"
    assert unsent_files(request, [Path("b.csv")]) == ["a.csv", "notes/c.txt"]
    assert unsent_files(request, [Path("a.csv"), Path("b.csv"), Path("notes")]) == []
    assert unsent_files("what is 3.5 / 2 in ~ or . or ..?", []) == []


@given(st.text())
def test_cleaning_keeps_everything_else(text: str) -> None:
    kept = [c for c in text.replace("\r\n", "\n") if not CONTROL.match(c)]
    assert [c for c in clean(text) if c != "�"] == [c for c in kept if c != "�"]
