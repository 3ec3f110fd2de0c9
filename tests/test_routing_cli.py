"""`pointsman route`, `explain` and `router`, as their users meet them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import stage_in_thread
from stage_scripts import SCRIPTS
from typer.testing import CliRunner, Result

from pointsman.cli import app
from pointsman.client import Client

ROUTES = {
    "refund": ["I want my money back", "please refund my order", "give me a refund", "return it"],
    "weather": ["will it rain today", "how warm is it outside", "is it sunny", "storm tomorrow?"],
    "music": ["play a song", "put on some jazz", "turn up the music", "next track please"],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("stage"), SCRIPTS) as found:
        yield found


def pointsman(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="pointsman")


def golden(path: Path, **routes: list[str]) -> Path:
    rows = [{"text": t, "route": name} for name, texts in routes.items() for t in texts * 3]
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def test_a_dry_route_names_the_candidates_and_runs_nothing(address: str) -> None:
    with Client(address) as client:
        before = len(client.runs())
    told = json.loads(
        pointsman("route", "complaints", "--knob", "0.5", "--json", "--url", address).stdout
    )
    assert told["refusal"] is None
    assert {t["route"]["expert"] for t in told["tasks"]} == {"echo"}
    assert "the only one that can serve it" in told["tasks"][0]["reason"]
    with Client(address) as client:
        runs = client.runs()
    assert [r.dry_run for r in runs[: len(runs) - before]] == [True]


def test_a_run_is_explained_with_what_was_expected_and_what_it_took(address: str) -> None:
    with Client(address) as client:
        answer = client.run("complaints")
    told = json.loads(pointsman("explain", answer.run, "--json", "--url", address).stdout)
    assert told[0]["outcome"] == "done"
    assert told[0]["cost"] == 300
    assert [c["expert"] for c in told[0]["route"]["candidates"]] == ["echo", "remote"]
    shown = pointsman("explain", answer.run, "--url", address).stdout
    assert "→ echo" in shown
    assert "expected 0.05 s, no cost" in shown
    assert "quality 0.97, cost 1500" in shown


def test_a_head_is_fitted_and_evaluated(tmp_path: Path) -> None:
    rows = golden(tmp_path / "golden.jsonl", **ROUTES)
    head = tmp_path / "head.safetensors"
    fitted = pointsman("router", "fit", rows, "--to", head)
    assert fitted.exit_code == 0, fitted.output
    assert "3 routes from 29 requests" in fitted.stderr
    evaluated = pointsman("router", "eval", head, rows, "--json")
    assert json.loads(evaluated.stdout)["right_before"] == 36


def test_a_head_that_loses_a_route_is_refused(tmp_path: Path) -> None:
    rows = golden(tmp_path / "golden.jsonl", **ROUTES)
    fewer = golden(tmp_path / "fewer.jsonl", **{n: ROUTES[n] for n in ("weather", "music")})
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    assert pointsman("router", "fit", rows, "--to", old).exit_code == 0
    assert pointsman("router", "fit", fewer, "--to", new).exit_code == 0
    refused = pointsman("router", "check", old, new, rows)
    assert refused.exit_code == 1
    assert "12 of 36 requests that were routed right would be routed wrong (33.3%" in refused.stderr
    assert "refund" in refused.stdout
    allowed = pointsman("router", "check", old, new, rows, "--limit", "0.4")
    assert allowed.exit_code == 0
    assert "the same route for 66.7%" in allowed.stderr


def test_a_file_that_is_no_head_or_no_golden_set_is_told_in_one_line(tmp_path: Path) -> None:
    rows = golden(tmp_path / "golden.jsonl", **ROUTES)
    wrong = pointsman("router", "eval", rows, rows)
    assert wrong.exit_code == 2
    assert "holds no router weights" in wrong.stderr
    rows.write_text('{"text": "a"}')
    wrong = pointsman("router", "fit", rows, "--to", tmp_path / "x")
    assert wrong.exit_code == 2
    assert "line 1" in wrong.stderr
