"""Malformed requests at every route: none is a 5xx, and every refusal has the one shape of its protocol."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import stage_in_thread
from stage_scripts import SCRIPTS

from pointsman.services.api.errors import OPENAI_PATHS

SEED = 9
ROUNDS = 8
"""Requests at each method of each route."""
WORDS = [
    "",
    " ",
    "\x00",
    "..%2f..%2fetc",
    "run_0",
    "é" * 40,
    "'; DROP TABLE runs; --",
    "{id}",
    "-1",
    "9" * 40,
    "null",
    "%ff%fe",
    "a" * 3_000,
    "\ud83d",
    "pm:{run}:x",
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "\x00",
    "x" * 5_000,
    [],
    {},
    [[[[[[]]]]]],
    {"$task": "a"},
    {"": None},
    ["x"] * 300,
]
RAW = [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 5_000, b"0"]
PLACE = re.compile(r"\{[^}]+\}")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        stage_in_thread(tmp_path_factory.mktemp("fuzz"), SCRIPTS) as address,
        httpx.Client(base_url=address, timeout=30) as made,
    ):
        yield made


def fields_of(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """Names in the JSON body that a route takes."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    for option in (schema, *schema.get("anyOf", ())):
        name = option.get("$ref", "").rpartition("/")[2]
        found = document["components"]["schemas"].get(name, {}).get("properties", {})
        if found:
            return list(found)
    return []


def quoted(text: str) -> str:
    return "".join(
        c
        if c.isalnum() and c.isascii()
        else "".join(f"%{b:02x}" for b in c.encode("utf-8", "replace"))
        for c in text
    )


def request_of(chance: random.Random, method: str, path: str, fields: list[str]) -> dict[str, Any]:
    """A request that a route may not like. Bytes of JSON are ours: what is no JSON is among them."""
    asked: dict[str, Any] = {
        "method": method.upper(),
        "url": PLACE.sub(lambda _: quoted(chance.choice(WORDS)) or "x", path),
        "params": {chance.choice(["limit", "before", "after", "format", "x"]): "%ff"},
        "headers": {
            chance.choice(
                ["Last-Event-ID", "Idempotency-Key", "Authorization", "Cookie"]
            ): "a\tb;=,"
        },
    }
    if method in ("get", "delete"):
        return asked
    if chance.random() < 0.3:
        content = chance.choice(RAW)
    else:
        names = [f for f in fields if chance.random() < 0.6] or ["x"]
        content = json.dumps({n: chance.choice(VALUES) for n in names}).encode()
    kind = chance.choice(
        ["application/json"] * 4 + ["multipart/form-data; boundary=b", "text/plain"]
    )
    return {**asked, "content": content, "headers": {**asked["headers"], "Content-Type": kind}}


def test_no_request_however_malformed_is_our_fault(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    chance = random.Random(SEED)
    sent, wrong = 0, []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            fields = fields_of(document, operation)
            for _ in range(ROUNDS):
                asked = request_of(chance, method, path, fields)
                answer = http.request(**asked)
                sent += 1
                if why := fault_in(path, answer):
                    wrong.append((why, asked, answer.text[:200]))
    assert sent > 200
    assert wrong == [], wrong[:3]


def fault_in(path: str, answer: httpx.Response) -> str:
    """What is wrong with an answer; "" for nothing. 503 is what /readyz says when something is missing."""
    if answer.status_code >= 500 and path != "/readyz":
        return f"{answer.status_code}"
    if "Traceback" in answer.text:
        return "it tells of our inside"
    if answer.status_code >= 400:
        error = answer.json().get("error", {})
        openai = {"message", "type", "param", "code"}
        ours = {"code", "message", "fault", "retryable"}
        if set(error) != (openai if answer.request.url.path.startswith(OPENAI_PATHS) else ours):
            return f"its shape: {sorted(error)}"
    return ""
