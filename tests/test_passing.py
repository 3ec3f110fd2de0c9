"""Pass-through of chat requests to a remote expert: as it came, counted, and in the protocol's shape."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai_server import Fail, OpenAIServer, Say, Script
from pydantic import SecretStr
from stage import Stage, stage_on
from stage_scripts import SCRIPTS

from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.workspace import Workspace
from pointsman.router.workspace.access import Limits, day_of
from pointsman.services.access.acts import made

pytestmark = pytest.mark.anyio
UPSTREAM_KEY = "sk-of-the-operator"


@asynccontextmanager
async def passing(
    redis_url: str, folder: Path, script: Script
) -> AsyncIterator[tuple[Stage, OpenAIServer]]:
    """A gateway with one remote expert, `small`: a dollar for a million tokens in, two for as many out."""
    async with OpenAIServer(script, key=UPSTREAM_KEY) as model:
        expert = RemoteSettings(
            "small", SecretStr(UPSTREAM_KEY), model.url, price_in=1.0, price_out=2.0
        )
        async with stage_on(redis_url, folder, SCRIPTS, remotes={"small": expert}) as here:
            yield here, model


def client(here: Stage, token: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{here.address}/v1", api_key=token, max_retries=0)


def asked(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **more}


async def pieces(here: Stage, body: dict[str, Any]) -> list[bytes]:
    async with (
        httpx.AsyncClient(base_url=here.address) as http,
        http.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        return [piece async for piece in answer.aiter_raw()]


async def key_with(workspace: Workspace, limits: Limits) -> tuple[str, str]:
    key, token = await made(
        workspace.access,
        "k",
        by="a test",
        tenant="acme",
        scopes=("models", "runs"),
        expires=None,
        limits=limits,
    )
    return key.id, token


async def test_a_request_goes_on_as_it_came_and_makes_no_run(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with passing(redis_url, tmp_path, [Say("as it is")]) as (here, model):
        async with client(here) as ours:
            answer = await ours.chat.completions.create(**asked(temperature=0.3, n=2))
        assert answer.choices[0].message.content == "as it is"
        assert model.requests == [asked(temperature=0.3, n=2)]
        assert await workspace.runs() == []


async def test_a_stream_comes_piece_by_piece_and_byte_by_byte(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    script = [Say("one two three four", pieces=4, pause=0.15)]
    async with passing(redis_url, tmp_path, script) as (here, model):
        seen: list[tuple[float, bytes]] = []
        async with httpx.AsyncClient(base_url=here.address) as http:
            body = asked(stream=True)
            async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                assert answer.headers["content-type"] == "text/event-stream"
                async for piece in answer.aiter_raw():
                    seen.append((time.monotonic(), piece))
        text = b"".join(p for _, p in seen)
        assert text.endswith(b"data: [DONE]\n\n")
        assert b"one " in text
        assert seen[-1][0] - seen[0][0] > 0.3, "it was not held back until the end"
        assert model.requests == [asked(stream=True)]


async def test_usage_is_counted_on_the_key_and_what_was_not_asked_for_is_not_seen(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with passing(redis_url, tmp_path, [Say("hello you", usage=(1_000, 50))]) as (here, model):
        id, token = await key_with(workspace, Limits(cost=100_000))
        async with client(here, token) as ours:
            await ours.chat.completions.create(**asked())
            stream = await ours.chat.completions.create(**asked(stream=True))
            chunks = [c async for c in stream]
            told = await ours.chat.completions.create(
                **asked(stream=True, stream_options={"include_usage": True})
            )
            wanted = [c async for c in told]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "hello you"
        assert all(c.choices for c in chunks), "the usage that we asked for stays with us"
        assert wanted[-1].usage is not None
        assert model.requests[1]["stream_options"] == {"include_usage": True}
        spent = await workspace.access.spent(id, day_of(time.time()))
        each = 1_000 * 1 + 50 * 2
        assert (spent["calls"], spent["tokens"], spent["cost"]) == (3, 3 * 1_050, 3 * each)
        assert (spent["held_cost"], spent["held_tokens"]) == (0, 0)


async def test_a_budget_that_is_spent_stops_requests_before_they_cost(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with passing(redis_url, tmp_path, [Say("x", usage=(100, 0))]) as (here, model):
        _, token = await key_with(workspace, Limits(tokens=150))
        async with client(here, token) as ours:
            for _ in range(2):
                await ours.chat.completions.create(**asked(max_tokens=5))
            with pytest.raises(openai.RateLimitError) as refused:
                await ours.chat.completions.create(**asked())
        assert refused.value.code == "access.budget-spent"
        assert len(model.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_of_the_endpoint_is_told_as_it_is(
    workspace: Workspace, redis_url: str, tmp_path: Path, stream: bool
) -> None:
    script = [Fail(429, "slow down", {"Retry-After": "7"}, "rate_limit_exceeded")]
    async with passing(redis_url, tmp_path, script) as (here, _):
        async with client(here) as ours:
            with pytest.raises(openai.RateLimitError, match="slow down") as error:
                await ours.chat.completions.create(**asked(stream=stream))
        assert error.value.response.headers["retry-after"] == "7"


async def test_an_endpoint_that_is_away_is_an_error_in_the_protocols_shape(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    away = RemoteSettings("small", base_url="http://127.0.0.1:9/v1")
    async with (
        stage_on(redis_url, tmp_path, SCRIPTS, remotes={"small": away}) as here,
        client(here) as ours,
    ):
        with pytest.raises(openai.InternalServerError) as error:
            await ours.chat.completions.create(**asked())
    assert error.value.status_code == 502
    assert error.value.code == "expert.unavailable"


async def test_a_stream_that_breaks_off_there_breaks_off_here(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"a\r\ndata: {}\n\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    expert = RemoteSettings("small", base_url=f"http://127.0.0.1:{port}/v1")
    async with server, stage_on(redis_url, tmp_path, SCRIPTS, remotes={"small": expert}) as here:
        with pytest.raises(httpx.RemoteProtocolError):
            await pieces(here, asked(stream=True))


async def test_a_client_that_leaves_ends_the_call_to_the_endpoint(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    script = [Say("word " * 200, pieces=5, pause=0.05)]
    async with passing(redis_url, tmp_path, script) as (here, model):
        async with (
            httpx.AsyncClient(base_url=here.address) as http,
            http.stream("POST", "/v1/chat/completions", json=asked(stream=True)) as answer,
        ):
            await anext(answer.aiter_raw())
        async with asyncio.timeout(5):
            await model.hung_up.wait()


async def test_the_operators_key_goes_to_the_endpoint_and_the_callers_does_not(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    """The mock refuses all keys but the operator's, and says in its error which it was sent."""
    async with passing(redis_url, tmp_path, [Say("fine")]) as (here, _):
        _, token = await key_with(workspace, Limits())
        async with client(here, token) as ours:
            answer = await ours.chat.completions.create(**asked())
            assert UPSTREAM_KEY not in answer.model_dump_json()
            listed = [m.id async for m in ours.models.list()]
        assert "small" in listed


async def test_a_body_that_is_too_large_or_no_json_is_told(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with passing(redis_url, tmp_path, [Say("x")]) as (here, model):
        async with httpx.AsyncClient(base_url=here.address) as http:
            large = await http.post("/v1/chat/completions", content=b"x" * (2 << 20))
            assert large.status_code == 413
            for content in (b"", b"{", b"[]", b'"small"', json.dumps({"model": []}).encode()):
                wrong = await http.post(
                    "/v1/chat/completions",
                    content=content,
                    headers={"Content-Type": "application/json"},
                )
                assert wrong.status_code == 400, content
        assert model.requests == []
