"""`pointsman tools`, as its users meet it: from a description to an answer, all on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tool_apis import SHOP, api_of

from pointsman.experts.tools.openapi.capabilities import capability_of, names_of
from pointsman.experts.tools.openapi.changes import Change, changes
from pointsman.router.catalog import Capability

SECRET = "canary-5d41402abc4b2a76"


def pointsman(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pointsman.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "160", "POINTSMAN_HOME": str(home), **environment},
        check=False,
    )


def written(folder: Path, tree: dict[str, Any], name: str = "shop.json") -> str:
    path = folder / name
    path.write_text(json.dumps(tree))
    return str(path)


@pytest.fixture
def mocked(tmp_path: Path) -> Iterator[str]:
    """The shop, served by `tools mock` in a process of its own; it asks for credentials."""
    command = [
        sys.executable,
        "-m",
        "pointsman.cli",
        "tools",
        "mock",
        written(tmp_path, SHOP),
        "--auth",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://(127\.0\.0\.1:\d+)", line)
            assert found, line
            yield found[1]
            process.terminate()  # an interrupt may be ignored by what was started in the background
            assert process.wait(10) in (0, -signal.SIGTERM)
        finally:
            process.kill()
    process.stderr.close()


def test_an_added_api_is_planned_and_called(mocked: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    added = pointsman(
        home, "tools", "add", "openapi", written(tmp_path, SHOP), "--auth", "key=env:SHOP_KEY",
        "--url", f"http://{mocked}", "--allow", mocked,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert "shop.list_products" in added.stdout
    assert "skipped: POST /old: its body is 'application/xml'" in added.stderr
    kept = (home / "tools" / "shop.yaml").read_text()
    assert SECRET not in kept
    ended = pointsman(home, "run", "list the products", "--json", SHOP_KEY=SECRET)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["status"] == "done"
    assert "shop.list_products" in ended.stdout
    assert SECRET not in ended.stdout + ended.stderr
    for path in home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_tool_is_listed_checked_updated_and_removed(tmp_path: Path) -> None:
    source = written(tmp_path, SHOP)
    assert pointsman(tmp_path, "tools", "add", "openapi", source).returncode == 0
    assert pointsman(tmp_path, "tools", "add", "openapi", source).returncode == 2
    listed = json.loads(pointsman(tmp_path, "tools", "list", "--json").stdout)
    assert listed == [
        {"name": "shop", "kind": "openapi", "capabilities": 9, "does": "Shop, over HTTP"}
    ]
    checked = pointsman(tmp_path, "tools", "check", "shop")
    assert checked.returncode == 0, checked.stderr
    assert "every operation can be called" in checked.stderr
    newer = deepcopy(SHOP)
    del newer["paths"]["/notes"]
    newer["paths"]["/products"]["get"]["parameters"][1]["required"] = True
    changed = written(tmp_path, newer, "newer.json")
    refused = pointsman(tmp_path, "tools", "update", "shop", changed)
    assert refused.returncode == 1
    assert "breaks   shop.list_products: argument 'q' is required now" in refused.stdout
    assert "breaks   shop.write_note: it is gone" in refused.stdout
    assert pointsman(tmp_path, "tools", "update", "shop", changed, "--accept").returncode == 0
    assert pointsman(tmp_path, "tools", "remove", "shop").returncode == 0
    assert list((tmp_path / "tools").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--auth", "key=sk-live-1"], "never the secret itself"),
        (["--auth", "nokey=env:A"], "there are: basic, bearer, key, oauth"),
        (["--include", "GET /nothing"], "nothing of it can be called"),
        (["--url", "ftp://a"], "no address of a server"),
        (["--name", "No Name"], "name"),
    ],
)
def test_what_cannot_be_added_is_told_in_a_line(
    tmp_path: Path, arguments: list[str], why: str
) -> None:
    ended = pointsman(tmp_path, "tools", "add", "openapi", written(tmp_path, SHOP), *arguments)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "tools").exists()


# --- what an update changes ------------------------------------------------------------------------


def offered(tree: dict[str, Any]) -> list[Capability]:
    api = api_of(tree)
    names = names_of("shop", api.operations)
    return [capability_of(names[o.key], o, api.schemas) for o in api.operations]


def changed(edit: Any) -> list[Change]:
    tree = deepcopy(SHOP)
    edit(tree["paths"], tree["components"]["schemas"]["Product"])
    return changes(offered(SHOP), offered(tree))


def test_nothing_changed_is_no_change() -> None:
    assert changed(lambda paths, product: None) == []


@pytest.mark.parametrize(
    ("edit", "what", "breaking"),
    [
        (lambda p, _: p.update({"/new": {"get": {"responses": {}}}}), "get new", False),
        (lambda p, _: p.pop("/notes"), "it is gone", True),
        (lambda p, _: p["/products"]["get"]["parameters"].pop(1), "argument 'q' is gone", True),
        (
            lambda p, _: p["/products"]["get"]["parameters"].append(
                {"name": "new", "in": "query", "schema": {}}
            ),
            "argument 'new' is new",
            False,
        ),
        (
            lambda p, _: p["/products"]["get"]["parameters"][0]["schema"].update(minimum=5),
            "tighter minimum",
            True,
        ),
        (
            lambda p, _: p["/products"]["get"]["parameters"][1]["schema"].update(enum=["a"]),
            "only some values",
            True,
        ),
        (lambda _, s: s["properties"]["name"].update(type="integer"), "takes number now", True),
        (lambda _, s: s["properties"].pop("price"), "has no 'price' any more", True),
        (lambda p, _: p["/orders"]["post"].pop("parameters"), "effect keyed is once now", True),
        (lambda p, _: p["/notes"]["post"].update(summary="jot"), "in other words", False),
    ],
)
def test_a_change_is_named_and_judged(edit: Any, what: str, breaking: bool) -> None:
    found = [c for c in changed(edit) if what in c.what]
    assert found
    assert all(c.breaking == breaking for c in found)
