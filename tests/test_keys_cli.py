"""`pointsman keys`: what an operator makes on the command line is what the gateway lets in."""

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli import main
from pointsman.services.access.keys import read_token


class Keys:
    """The commands on one Redis; each gives its exit code and what it wrote."""

    def __init__(self, url: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._where = ("--redis-url", url, "--home", str(home))
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["keys", *arguments, *self._where])
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def keys(redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(redis_url, tmp_path, capsys)


def test_a_key_is_made_listed_rotated_and_revoked(keys: Keys) -> None:
    made = keys.json("add", "reports", "--tenant", "sales", "--cost", "5", "--expires", "90d")
    id, _ = read_token(made["token"]) or ("", "")
    assert made["id"] == id
    (listed,) = keys.json("list")["keys"]
    assert (listed["id"], listed["name"], listed["tenant"]) == (id, "reports", "sales")
    assert made["token"] not in json.dumps(listed)
    fresh = keys.json("rotate", id, "--overlap", "0m")
    assert fresh["id"] == id
    assert fresh["token"] != made["token"]
    code, out, _ = keys("list")
    assert code == 0
    assert "reports" in out
    assert keys.json("revoke", id) == {"id": id, "revoked": True}
    assert all(k["id"] != id or k.get("revoked") for k in keys.json("list")["keys"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("revoke", "nothing"), "no key"),
        (("rotate", "nothing"), "no key"),
        (("rotate", "nothing", "--overlap", "soon"), "--overlap"),
        (("add", "x", "--expires", "someday"), "someday"),
        (("add", "x", "--scope", "everything"), "everything"),
    ],
)
def test_what_cannot_be_done_is_said(keys: Keys, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = keys(*arguments)
    assert code != 0
    assert said in out + err
    assert "Traceback" not in out + err
