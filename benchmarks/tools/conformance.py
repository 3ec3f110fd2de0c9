"""schemathesis against the tool server and against our own gateway: no 5xx, no answer that breaks its schema."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tools import descriptions
from pointsman.experts.tools.openapi.operations import read_api
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.server import ToolServer

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
MOST = 100
"""Operations of a description that is walked; a larger one takes too long."""
EXAMPLES = "8"


def run(data: Path) -> dict[str, object]:
    """Cases that were generated and failures that were found, for each description."""
    logging.getLogger("aiohttp.server").setLevel(
        logging.CRITICAL
    )  # requests that are none are its to refuse
    found: dict[str, object] = {}
    for name, content in descriptions(data):
        document = read_document(content, name)
        api = read_api(document)
        if len(api.operations) > MOST:
            continue
        with serving(content) as url:
            found[name] = walked(json.dumps(document.tree), url)
        print(f"{name[:44]:44} {found[name]}", flush=True)
    with gateway() as url:
        found["gateway"] = walked("", f"{url}/openapi.json")
    print(f"{'our gateway':44} {found['gateway']}")
    return found


def walked(schema: str, url: str) -> dict[str, object]:
    """One run of schemathesis. schema: of the server at `url`; "" when `url` is where it is told."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "openapi.json"
        file.write_text(schema)
        place = [str(file), "--url", url] if schema else [url]
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"), "run", *place, "--checks", CHECKS, "-n", EXAMPLES,
                "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing", "--request-timeout", "10",
            ],
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
    cases = re.search(r"(\d+) generated", done.stdout)
    failures = re.findall(r"❌ (.*?: \d+)$", done.stdout, re.MULTILINE)
    return {"cases": int(cases[1]) if cases else 0, "failures": failures, "code": done.returncode}


@contextmanager
def serving(content: bytes) -> Iterator[str]:
    """The tool server in a thread of its own; gives its address."""
    ready, stop, url = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with ToolServer(read_api(read_document(content, "served"))) as server:
            url.append(server.url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(30)
    try:
        yield url[0]
    finally:
        stop.set()
        thread.join()


@contextmanager
def gateway() -> Iterator[str]:
    """A whole Pointsman in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        announced = Path(home) / "address.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "pointsman.cli", "serve", "--port", "0", "--home", home, "--announce", str(announced)],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            waited = threading.Event()
            while not announced.exists() and process.poll() is None:
                waited.wait(0.2)
            yield json.loads(announced.read_text())["url"]
        finally:
            process.terminate()
            process.wait(20)
