"""What is deployed as containers: the image's own scripts, and rules that its files are held to."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.cli.serving import STOP_SECONDS
from pointsman.services.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")
SETTINGS = {f"POINTSMAN_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ([], ["serve"]),
        (["all", "--port", "1"], ["serve", "--port", "1"]),
        (["gateway"], ["serve", "--role", "gateway"]),
        (["controller"], ["serve", "--role", "controller"]),
        (["worker", "--grace", "60"], ["serve", "--role", "worker", "--grace", "60"]),
        (["fsck", "a b"], ["fsck", "a b"]),
    ],
)
def test_the_image_has_a_command_for_each_role(
    given: list[str], called: list[str], tmp_path: Path
) -> None:
    fake = tmp_path / "pointsman"
    fake.write_text('#!/bin/sh\nfor one in "$@"; do echo "$one"; done\n')
    fake.chmod(0o755)
    script = str(DEPLOY / "image" / "entrypoint.sh")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [script, *given], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == called


class Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        body = b'{"worker":"starting"}'
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def probes() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Ready) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


def test_the_health_check_asks_whether_the_role_is_ready(
    probes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(port: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(DEPLOY / "image" / "healthcheck.py")],
            env={"POINTSMAN_HEALTH_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert check(probes).returncode == 0
    monkeypatch.setattr(Ready, "status", 503)
    failed = check(probes)
    assert (failed.returncode, "starting" in failed.stderr) == (1, True)
    assert check(1).returncode == 1


def test_the_image_is_pinned_has_two_targets_and_does_not_run_as_root() -> None:
    [base] = re.findall(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert PINNED.match(base)
    stages = {
        name: source for source, name in re.findall(r"^FROM (\S+) AS (\S+)", DOCKERFILE, re.M)
    }
    assert {"cpu", "cuda"} <= stages.keys()
    assert all(source == "${BASE}" or source in stages for source in stages.values())
    assert stages["cpu"] == stages["cuda"] == "runtime"
    runtime = DOCKERFILE[DOCKERFILE.index("AS runtime") :]
    [user] = re.findall(r"^USER (\S+)", runtime, re.M)
    assert int(user.split(":")[0]) > 0
    for part in ("HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL SIGTERM", "VOLUME"):
        assert part in runtime
    for name in re.findall(r"(POINTSMAN_\w+)=", DOCKERFILE):
        assert name in SETTINGS


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)
        for path in line.split()[:-1]
    ]
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(path == one or path.startswith(f"{one}/") for one in allowed), path
    for one in allowed:
        assert any(path == one or path.startswith(f"{one}/") for path in copied), f"{one} is unused"


COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_limited_and_can_change_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys()
    ours = service["image"].startswith("${POINTSMAN_IMAGE")
    assert ours or PINNED.match(service["image"]), service["image"]
    assert ours or not service["user"].startswith("0")
    assert ours or "healthcheck" in service, "nothing says when it is ready"
    for network in service["networks"]:
        assert network in COMPOSE["networks"]
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        there = (
            (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        )
        assert there, source


@pytest.mark.parametrize("name", ["gateway-1", "gateway-2", "controller", "worker"])
def test_every_role_has_settings_that_exist_and_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert service["command"] == [name.split("-")[0]]
    environment = service["environment"]
    for variable in environment:
        assert variable in SETTINGS or not variable.startswith("POINTSMAN_"), variable
    grace = int(environment["POINTSMAN_GRACE"])
    assert int(service["stop_grace_period"].removesuffix("s")) > grace + STOP_SECONDS
    assert "ports" not in service, "it is reached through the edge only"


def test_the_edge_is_the_only_door_and_finds_both_gateways() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["nginx"]
    assert "redis" not in {n for n, one in SERVICES.items() if "edge" in one["networks"]}
    for path in ("nginx/nginx.conf", "haproxy/haproxy.cfg"):
        text = (DEPLOY / path).read_text()
        found = re.findall(r"server\s+(?:gateway-\d\s+)?(gateway-\d):(\d+)", text)
        assert [name for name, _ in found] == [n for n in SERVICES if n.startswith("gateway")]
        assert {port for _, port in found} == {"8321"}


def test_redis_keeps_what_it_acknowledged() -> None:
    lines = (DEPLOY / "redis" / "redis.conf").read_text().splitlines()
    told = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert (told["appendonly"], told["appendfsync"]) == ("yes", "always")
    assert told["maxmemory-policy"] == "noeviction"


def test_the_gpu_overlay_changes_what_is_there() -> None:
    overlay = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
    assert overlay["services"].keys() <= SERVICES.keys()
    [device] = overlay["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
