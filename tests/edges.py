"""nginx and HAProxy on loopback with the configuration of deploy/, in front of whatever is given them."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis_servers import free_port

DEPLOY = Path(__file__).parents[1] / "deploy"
PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy"}
PATIENCE = 20.0


@contextmanager
def edge(kind: str, folder: Path, gateways: Sequence[int]) -> Iterator[str]:
    """The address of the edge. gateways: two ports. Skips where the program is not installed."""
    binary = shutil.which(kind, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        pytest.skip(f"{kind} is not installed: apt-get install {PACKAGES[kind]}")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / f"{kind}.conf"
    config.write_text(_config(kind, folder, port, gateways))
    command = {
        "nginx": [binary, "-c", str(config), "-p", str(folder), "-g", "daemon off;"],
        "haproxy": [binary, "-db", "-f", str(config)],
    }[kind]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _until_open(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _config(kind: str, folder: Path, port: int, gateways: Sequence[int]) -> str:
    """What is deployed, with other addresses and folders; each of them must be there to be replaced."""
    first, second = (f"127.0.0.1:{gateway}" for gateway in gateways)
    changes: Mapping[str, Mapping[str, str]] = {
        "nginx": {
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "server gateway-1:8321": f"server {first}",
            "server gateway-2:8321": f"server {second}",
            "/tmp/nginx": f"{folder}/nginx",
            "worker_processes auto;": "worker_processes 1;",
            "/dev/stdout": f"{folder}/access",
        },
        "haproxy": {
            "bind :8080": f"bind 127.0.0.1:{port}",
            "server gateway-1 gateway-1:8321": f"server gateway-1 {first}",
            "server gateway-2 gateway-2:8321": f"server gateway-2 {second}",
        },
    }
    text = (DEPLOY / kind / ("nginx.conf" if kind == "nginx" else "haproxy.cfg")).read_text()
    for old, new in changes[kind].items():
        assert old in text, f"{kind}: {old!r} is not there any more"
        text = text.replace(old, new)
    return text


def _until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the edge did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
