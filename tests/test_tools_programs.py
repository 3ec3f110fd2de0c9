"""Programs and functions of this machine, each call in a process that is held to its limits."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from actors import until
from expert_calls import FILES

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.folder import ToolFolder
from pointsman.experts.tools.programs import jail
from pointsman.experts.tools.programs.expert import ProgramFailed, ProgramsExpert
from pointsman.experts.tools.programs.registered import ProgramsIn, parse_programs
from pointsman.router.errors import BadArguments, BadFile, ExpertFailed

pytestmark = pytest.mark.anyio

TERMS = {
    "cpu": 5,
    "memory": 1 << 30,
    "file": 1 << 20,
    "network": False,
    "lenient": False,
    "read": ["/"],
    "write": [],
}
ISOLATES = subprocess.run(
    [sys.executable, "-I", "-S", jail.__file__, json.dumps(TERMS), "/bin/true"], check=False, capture_output=True
).returncode != jail.REFUSED  # fmt: skip

FUNCTIONS = """
import os, socket, subprocess, sys, time

def vat(amount: float, rate: float = 19.0) -> float:
    print("what is printed is not the result")
    return round(amount * (1 + rate / 100), 2)

def spin():
    while True:
        pass

def sleep(seconds):
    time.sleep(seconds)

def grow():
    return len(bytearray(4 << 30))

def flood():
    while True:
        sys.stdout.write("x" * 65536)

def write(path):
    with open(path, "w") as file:
        file.write("here")

def large():
    with open("large", "wb") as file:
        file.write(bytes(80 << 20))

def read(path):
    return open(path).read()[:100]

def connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError as error:
        return type(error).__name__
    return "connected"

def variables():
    return sorted(os.environ)

def leave_a_child():
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(["/bin/sleep", "30"], stdin=nowhere, stdout=nowhere, stderr=nowhere).pid

def fails():
    raise ValueError("no such product")
"""


def program(name: str, parameters: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {p: {} for p in parameters}
    return {
        "name": name,
        "description": f"{name}.",
        "parameters": {"type": "object", "properties": properties, "required": list(parameters)},
        "effect": "pure",
        **({"python": {"file": "functions.py", "function": name}} if "command" not in more else {}),
        **more,
    }


ALL = [
    program("vat", ("amount",)),
    program("spin"),
    program("sleep", ("seconds",)),
    program("grow"),
    program("flood"),
    program("write", ("path",)),
    program("large"),
    program("read", ("path",)),
    program("connect", ("port",)),
    program("variables"),
    program("leave_a_child"),
    program("fails"),
    program("count", ("file",), command=["/usr/bin/wc", "-c", "{file}"]),
    program("say", ("words",), command=["/bin/echo", "{words}"]),
    program("plainly", ("words",), command=["/bin/echo", "--", "{words}"]),
    program("upper", ("text",), command=["/usr/bin/tr", "a-z", "A-Z"], stdin="{text}"),
    program("copy", ("text",), command=["/usr/bin/tee", "out.txt"], stdin="{text}", result="file:out.txt"),
]  # fmt: skip


@pytest.fixture
def expert(tmp_path: Path) -> ProgramsExpert:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    return expert_of(tmp_path)


def expert_of(folder: Path, **limits: Any) -> ProgramsExpert:
    given = {
        "name": "shop",
        "programs": [dict(p) for p in ALL],
        "limits": {"seconds": 3, "memory": 256, "lenient": not ISOLATES, **limits},
    }
    return ProgramsExpert(ProgramsIn.model_validate(given), folder)


async def asked(expert: ProgramsExpert, capability: str, /, **arguments: Any) -> Done:
    return await expert.run(Call(f"shop.{capability}", arguments, FILES, time.time() + 20))


async def test_a_function_is_called_and_gives_its_result(expert: ProgramsExpert) -> None:
    assert (await asked(expert, "vat", amount=100)).value == 119.0


async def test_a_program_is_given_arguments_files_and_texts(expert: ProgramsExpert) -> None:
    file = FILES.create("a b;c.txt", "text/plain", b"12345").to_json()
    counted = (await asked(expert, "count", file=file)).value
    assert str(counted).startswith("5 ")
    assert (await asked(expert, "upper", text="abc")).value == "ABC"
    made = (await asked(expert, "copy", text="kept")).value
    assert isinstance(made, dict)
    assert FILES.path(str(made["id"])).read_bytes() == b"kept"


@pytest.mark.parametrize(
    "words", ["$(id)", "`id`", "; id", "| id", "a b 'c\"", "$HOME", "*", "\n id"]
)
async def test_no_shell_reads_an_argument(expert: ProgramsExpert, words: str) -> None:
    assert (await asked(expert, "say", words=words)).value == words.rstrip("\n")


async def test_a_value_cannot_become_an_option(expert: ProgramsExpert) -> None:
    with pytest.raises(BadArguments, match="option"):
        await asked(expert, "say", words="-n")
    assert (await asked(expert, "plainly", words="-n")).value == "-- -n"


@pytest.mark.parametrize(("name", "arguments"), [("spin", {}), ("sleep", {"seconds": 60})])
async def test_time_is_limited(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    began = time.monotonic()
    with pytest.raises(ExpertFailed, match="stopped after"):
        await asked(expert_of(tmp_path, seconds=0.7), name, **arguments)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "why"),
    [("grow", "MemoryError"), ("flood", "writes more"), ("large", "larger|File too large"), ("fails", "no such product")],
)  # fmt: skip
async def test_memory_output_and_files_are_limited(
    expert: ProgramsExpert, name: str, why: str
) -> None:
    with pytest.raises(ProgramFailed, match=why) as caught:
        await asked(expert, name)
    assert not caught.value.nothing_done


isolating = pytest.mark.skipif(not ISOLATES, reason="this kernel cannot limit files and network")


@isolating
async def test_files_of_others_are_neither_read_nor_written(
    expert: ProgramsExpert, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for name, path in (("read", secret), ("read", "/etc/passwd"), ("write", tmp_path / "new"), ("write", "/tmp/new")):  # fmt: skip
        with pytest.raises(ProgramFailed, match="PermissionError"):
            await asked(expert, name, path=str(path))
    assert (await asked(expert, "write", path="in-its-own-folder")).value is None


@isolating
async def test_the_network_is_not_there(expert: ProgramsExpert) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert (await asked(expert, "connect", port=port)).value != "connected"


async def test_a_process_inherits_nothing(
    expert: ProgramsExpert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SECRET", "canary")
    found = (await asked(expert, "variables")).value
    assert isinstance(found, list)
    assert "SHOP_SECRET" not in found


async def test_what_it_started_is_gone_with_it(expert: ProgramsExpert) -> None:
    child = (await asked(expert, "leave_a_child")).value
    assert isinstance(child, int)

    async def gone() -> bool:
        return state_of(child) in ("", "Z", "X")

    assert await until(gone)  # a signal takes effect when its process is next looked at


def state_of(pid: int) -> str:
    """Of a process; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"command": ["echo", "a"]}, "whole path"),
        ({"command": ["/bin/{words}"]}, "not an argument"),
        ({"command": ["/bin/echo", "{nothing}"]}, "no parameter"),
        ({"command": [], "python": None}, "either"),
        ({"python": {"file": "../x.py", "function": "f"}, "command": []}, "beside"),
        ({"python": {"file": "x.py", "function": "os.system"}, "command": []}, "pattern"),
    ],
)
def test_a_yaml_that_cannot_be_meant_is_refused(change: dict[str, Any], why: str) -> None:
    one = {**program("say", ("words",), command=["/bin/echo", "{words}"]), **change}
    with pytest.raises(BadFile, match=why):
        parse_programs(yaml.safe_dump({"name": "shop", "programs": [one]}), "shop.yaml")


def test_programs_are_kept_in_the_folder_of_tools(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    source.write_text(yaml.safe_dump({"name": "shop", "programs": [program("vat", ("amount",))]}))
    folder = ToolFolder(tmp_path / "tools")
    folder.copy(source)
    (loaded,) = folder.load()
    assert [c.name for c in loaded.capabilities] == ["shop.vat"]
    assert folder.remove("shop")
    assert not list((tmp_path / "tools").iterdir())
