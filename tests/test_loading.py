"""Capabilities from outside: YAML, Python files."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from expert_calls import call_of

from pointsman.experts.tools.loading import load_experts
from pointsman.router.errors import BadArguments, BadCapability, BadFile


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "key": self.headers.get("Authorization")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def described(address: str) -> str:
    return f"""
capabilities:
  - name: shop.stock
    description: Tells how many pieces are in stock.
    parameters:
      type: object
      properties: {{product: {{type: string}}}}
      required: [product]
    effect: pure
    call:
      http:
        url: http://{address}/stock/{{product}}
        headers: {{Authorization: "Bearer ${{SHOP_TOKEN}}"}}
"""


def test_a_described_api_is_called(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "secret")
    file = tmp_path / "shop.yaml"
    file.write_text(described(shop))
    (expert,) = load_experts([file], entry_points=False, allow=[shop])
    done = asyncio.run(expert.run(call_of("shop.stock", {"product": "A/1 3"})))
    assert done.value == {"path": "/stock/A%2F1%203", "key": "Bearer secret"}
    with pytest.raises(BadArguments, match="product"):
        asyncio.run(expert.run(call_of("shop.stock", {})))
    monkeypatch.delenv("SHOP_TOKEN")
    with pytest.raises(BadArguments, match="SHOP_TOKEN"):
        asyncio.run(expert.run(call_of("shop.stock", {"product": "A"})))


def test_functions_of_a_python_file_are_tools(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from pointsman.experts.tools.functions import capability\n"
        "@capability('mine.double')\n"
        "def double(x: float) -> float:\n"
        "    '''Doubles a number.'''\n"
        "    return 2 * x\n"
    )
    (expert,) = load_experts([file], entry_points=False)
    done = asyncio.run(expert.run(call_of("mine.double", {"x": 4})))
    assert done.value == 8


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.yaml", None, "no such file"),
        ("a.yaml", "capabilities: [", "YAML"),
        ("a.yaml", "capabilities: [{name: a.b}]", "description"),
        ("a.yaml", "capabilities: []\nextra: 1", "extra"),
        ("a.txt", "x", ".yaml"),
        ("a.py", "def f(:", "imported"),
        ("a.py", "x = 1", "no Tool"),
    ],
)
def test_faults_name_the_file(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    with pytest.raises((BadFile, BadCapability), match=words):
        load_experts([file], entry_points=False)
