"""API keys: who is let in, for how much, and that one tenant never sees another's."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from stage import Stage, stage_on
from stage_scripts import SCRIPTS

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.usage import Budget
from pointsman.router.workspace import RunSpec, Workspace
from pointsman.router.workspace.access import Held, Limits, TurnedAway, day_of
from pointsman.services.access.acts import made, revoked, rotated
from pointsman.services.access.errors import NotOpen
from pointsman.services.access.keys import BadKey, digest_of, new_key, read_token
from pointsman.services.access.spending import settle_overdue
from pointsman.services.access.starting import check_open
from pointsman.services.api.gateway import ApiSettings

pytestmark = pytest.mark.anyio
CLOSED = ApiSettings(access="keys", max_request_characters=2_000)


@pytest.fixture
async def here(workspace: Workspace, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_on(redis_url, tmp_path, SCRIPTS, CLOSED) as made:
        yield made


async def key_of(workspace: Workspace, name: str, **wanted: Any) -> str:
    terms: dict[str, Any] = {
        "tenant": "default",
        "scopes": ("runs", "approvals", "files", "models"),
        "expires": None,
        "limits": Limits(),
    }
    _, token = await made(workspace.access, name, by="a test", **{**terms, **wanted})
    return token


def client(here: Stage, token: str | None = None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=here.address, headers=headers, timeout=20)


async def finished(http: httpx.AsyncClient, request: str, **more: Any) -> str:
    id: str = (await http.post("/v1/runs", json={"request": request, **more})).json()["id"]
    async with http.stream("GET", f"/v1/runs/{id}/events") as stream:
        async for _ in stream.aiter_lines():
            pass
    return id


async def test_without_a_key_nothing_but_health_and_the_page_is_answered(here: Stage) -> None:
    async with client(here) as http:
        for path in ("/livez", "/", "/ui/app.js", "/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        for path in ("/v1/runs", "/v1/files", "/v1/models", "/metrics", "/v1/keys", "/nothing"):
            refused = await http.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await http.get("/v1/runs")).json()["error"]["code"] == "access.key-needed"
        assert (await http.get("/v1/models")).json()["error"]["type"] == "invalid_request_error"


async def test_a_key_opens_what_its_scopes_say(here: Stage) -> None:
    token = await key_of(here.workspace, "only files", scopes=("files",))
    async with client(here, token) as http:
        assert (await http.get("/v1/files")).status_code == 200
        refused = await http.post("/v1/runs", json={"request": "calculate"})
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "access.scope-missing"
        assert (await http.get("/v1/keys")).status_code == 403


@pytest.mark.parametrize("way", ["revoked", "expired", "another secret", "no key of ours at all"])
async def test_a_key_that_is_not_good_is_refused_in_the_same_words(here: Stage, way: str) -> None:
    soon = time.time() + 0.3
    expires = soon if way == "expired" else None
    token = await key_of(here.workspace, "k", expires=expires)
    id = token.split("_")[1]
    match way:
        case "revoked":
            assert await revoked(here.workspace.access, id, by="a test")
        case "expired":
            await asyncio.sleep(0.35)
        case "another secret":
            token = f"pm_{id}_{'0' * 48}"
        case _:
            token = "pm_whatever"
    async with client(here, token) as http:
        refused = await http.get("/v1/runs")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "access.key-unknown")


async def test_after_a_rotation_both_secrets_are_good_for_a_while(here: Stage) -> None:
    old = await key_of(here.workspace, "k")
    id = old.split("_")[1]
    new = await rotated(here.workspace.access, id, by="a test", overlap=0.4)
    assert new is not None
    assert new != old
    for token, status in ((old, 200), (new, 200)):
        async with client(here, token) as http:
            assert (await http.get("/v1/runs")).status_code == status
    await asyncio.sleep(0.45)
    for token, status in ((old, 401), (new, 200)):
        async with client(here, token) as http:
            assert (await http.get("/v1/runs")).status_code == status


async def test_a_secret_is_nowhere_in_redis(here: Stage) -> None:
    token = await key_of(here.workspace, "k")
    async with client(here, token) as http:
        await finished(http, "calculate it")
    redis = here.workspace._redis
    secret = token.rpartition("_")[2]
    kept = []
    async for name in redis.scan_iter():
        kind = await redis.type(name)
        read = {"hash": redis.hgetall, "string": redis.get}.get(kind)
        if read is not None:
            kept.append(str(await read(name)))
        elif kind == "stream":
            kept.append(str(await redis.xrange(name)))
    assert len(kept) > 5
    assert secret not in "".join(kept)


async def test_the_rate_is_kept_and_told(here: Stage) -> None:
    token = await key_of(here.workspace, "slow", limits=Limits(rate=3))
    async with client(here, token) as http:
        answers = await asyncio.gather(*(http.get("/v1/runs") for _ in range(8)))
    good = [a for a in answers if a.status_code == 200]
    refused = [a for a in answers if a.status_code == 429]
    assert (len(good), len(refused)) == (3, 5)
    assert good[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert min(int(re.findall(r"r=(\d+)", a.headers["ratelimit"])[0]) for a in good) == 0
    assert all(1 <= int(a.headers["retry-after"]) <= 20 for a in refused)
    assert refused[0].json()["error"]["retryable"] is True


async def test_calls_of_a_day_are_counted_and_then_refused(here: Stage) -> None:
    token = await key_of(here.workspace, "few", limits=Limits(calls=2))
    async with client(here, token) as http:
        made = [await http.post("/v1/runs", json={"request": "calculate"}) for _ in range(3)]
        assert [r.status_code for r in made] == [201, 201, 429]
        assert made[2].json()["error"]["code"] == "access.budget-spent"
        assert (await http.get("/v1/runs")).status_code == 200, "looking costs nothing"


async def test_what_is_set_aside_never_exceeds_the_budget(workspace: Workspace) -> None:
    key, _ = new_key("k", limits=Limits(cost=1_000, tokens=500))
    await workspace.access.add(key)
    now = time.time()
    found = await asyncio.gather(
        *(
            workspace.access.hold(key.id, f"call_{i}", cost=None, tokens=None, now=now)
            for i in range(25)
        )
    )
    holds = [h for h in found if isinstance(h, Held)]
    assert len(holds) == 10, "a tenth each"
    assert sum(h.cost or 0 for h in holds) == 1_000
    assert sum(h.tokens or 0 for h in holds) == 500
    refused = [h for h in found if isinstance(h, TurnedAway)]
    assert {h.what for h in refused} == {"cost"}
    day = day_of(now)
    assert await workspace.access.settle(key.id, "call_0", cost=40, tokens=7, day=day)
    assert not await workspace.access.settle(key.id, "call_0", cost=40, tokens=7, day=day)
    spent = await workspace.access.spent(key.id, day)
    assert spent == {"cost": 40, "tokens": 7, "calls": 0, "held_cost": 900, "held_tokens": 450}


async def test_what_a_run_has_cost_is_counted_for_its_key(here: Stage) -> None:
    token = await key_of(here.workspace, "payer", limits=Limits(cost=100_000))
    id = token.split("_")[1]
    async with client(here, token) as http:
        run = await finished(http, "calculate it")
        cost = (await http.get(f"/v1/runs/{run}")).json()["usage"]["cost"]
    assert cost > 0
    for _ in range(250):  # the last event is told a moment before what it cost is counted
        spent = await here.workspace.access.spent(id, day_of(time.time()))
        if not spent["held_cost"]:
            break
        await asyncio.sleep(0.02)
    assert (spent["cost"], spent["held_cost"]) == (cost, 0)
    record = await here.workspace.run(run)
    assert record.spec.budget == Budget(cost=10_000), "a tenth of the day's, as it named none"


async def test_a_run_that_nobody_counted_is_counted_later(workspace: Workspace) -> None:
    """As after the death of a controller between a run's end and its settling."""
    key, _ = new_key("k", limits=Limits(cost=1_000))
    await workspace.access.add(key)
    gone = "run_00000000001" + "0" * 10
    await workspace.access.hold(key.id, gone, cost=700, tokens=None, now=time.time())
    new = workspace.new_run()
    await workspace.access.hold(key.id, new, cost=300, tokens=None, now=time.time())
    assert await settle_overdue(workspace, key.id) == 1, "the new one may still be on its way"
    assert set(await workspace.access.holds(key.id)) == {new}


def paths_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(method, path) for path, found in document["paths"].items() for method in found]


async def test_a_stranger_finds_nothing_on_any_route(here: Stage) -> None:
    """Every route of the OpenAPI document, asked with the ids of another tenant's things."""
    owner = await key_of(here.workspace, "owner", tenant="acme")
    stranger = await key_of(here.workspace, "stranger", tenant="zenith")
    async with client(here, owner) as theirs:
        run = await finished(theirs, "calculate it", thread="talk")
        sent = {"file": ("secret-plans.csv", b"word\nplatypus\n")}
        file = (await theirs.post("/v1/files", files=sent)).json()["files"][0]["id"]
        record = (await theirs.get(f"/v1/runs/{run}")).json()
        task = record["plan"]["tasks"][0]["id"]
        paths = paths_of((await theirs.get("/openapi.json")).json())
    names = {
        "id": run,
        "run": run,
        "task": task,
        "approval": "x",
        "key": run,
        "name": run,
        "response": f"resp_{run}",
    }
    bodies = {
        "/v1/runs/{id}/approvals/{approval}": {"decision": "approved", "digest": "x"},
        "/v1/runs/{id}/feedback": {"right": True},
    }
    probed, leaks = 0, []
    async with client(here, stranger) as http:
        for method, path in paths:
            if path.startswith(("/v1/keys", "/v1/audit")):
                continue  # for administrators; see the test of scopes
            ids = names | ({"id": file} if path.startswith("/v1/files") else {})
            asked = path.format(**ids)
            answer = await http.request(method, asked, json=bodies.get(path))
            probed += 1
            if "{" in path and answer.status_code != 404:
                leaks.append((method, path, answer.status_code))
            if answer.status_code == 200 and any(
                word in answer.text for word in (run, file, "platypus", "secret-plans")
            ):
                leaks.append((method, path, "told"))
        asked_for = await http.post("/v1/runs", json={"request": "calculate", "files": [file]})
        assert asked_for.status_code == 404
        completion = {
            "model": "auto",
            "messages": [{"role": "user", "content": "calculate"}],
            "files": [file],
        }
        assert (await http.post("/v1/chat/completions", json=completion)).status_code == 404
    assert probed > 25
    assert leaks == []
    async with client(here, owner) as theirs:
        assert (await theirs.get(f"/v1/runs/{run}")).json() == record, "nothing was changed"
        assert (await theirs.get(f"/v1/files/{file}")).status_code == 200
        assert [r["id"] for r in (await theirs.get("/v1/runs")).json()["runs"]] == [run]


async def test_an_idempotency_key_is_its_tenants_own(here: Stage) -> None:
    made = {}
    for tenant in ("acme", "zenith"):
        token = await key_of(here.workspace, "k", tenant=tenant)
        async with client(here, token) as http:
            sent = {"json": {"request": "calculate"}, "headers": {"Idempotency-Key": "same"}}
            ids = {(await http.post("/v1/runs", **sent)).json()["id"] for _ in range(2)}
            assert len(ids) == 1
            made[tenant] = ids.pop()
    assert made["acme"] != made["zenith"]


async def test_the_tenant_of_the_key_is_who_the_policy_judges(here: Stage) -> None:
    token = await key_of(here.workspace, "k", tenant="acme")
    async with client(here, token) as http:
        run = (await http.post("/v1/runs", json={"request": "calculate"})).json()["id"]
    assert (await here.workspace.run(run)).spec.tenant == "acme"


async def test_acts_and_refusals_are_written_down(here: Stage) -> None:
    admin = await key_of(here.workspace, "root", scopes=("admin",))
    async with client(here, admin) as http:
        made = await http.post("/v1/keys", json={"name": "intern", "tenant": "acme", "calls": 1})
        assert made.status_code == 201
        id, token = made.json()["id"], made.json()["token"]
        assert (await http.post(f"/v1/keys/{id}/rotate")).status_code == 200
        listed = (await http.get("/v1/keys")).json()["keys"]
        assert {k["name"] for k in listed} == {"root", "intern"}
        assert token not in json.dumps(listed)
        assert digest_of(token) not in json.dumps(listed)
        assert (await http.delete(f"/v1/keys/{id}")).status_code == 204
        assert (await http.delete("/v1/keys/nothing")).status_code == 404
        async with client(here, token) as intern:
            assert (await intern.get("/v1/runs")).status_code == 401
        acts = (await http.get("/v1/audit")).json()["entries"]
        assert [a["act"] for a in acts][:3] == ["key.revoked", "key.rotated", "key.added"]
        assert {a["by"] for a in acts[:3]} == {"root"}
        refusals = (await http.get("/v1/audit", params={"kind": "refusal"})).json()["entries"]
    assert refusals[0]["why"] == "access.key-unknown"
    assert refusals[0]["key"] == id


async def test_the_page_logs_in_with_a_cookie_that_scripts_cannot_read(here: Stage) -> None:
    token = await key_of(here.workspace, "k")
    async with client(here) as http:
        assert (await http.post("/v1/session", json={"key": "pm_no"})).status_code == 401
        answer = await http.post("/v1/session", json={"key": token})
        assert answer.status_code == 204
        assert "httponly" in answer.headers["set-cookie"].lower()
        assert "samesite=strict" in answer.headers["set-cookie"].lower()
        assert (await http.get("/v1/runs")).status_code == 200
        elsewhere = {"Origin": "https://evil.example"}
        assert (await http.get("/v1/runs", headers=elsewhere)).status_code == 403


async def test_on_loopback_nobody_needs_a_key_and_keys_count(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with stage_on(redis_url, tmp_path, SCRIPTS) as here:
        token = await key_of(here.workspace, "k", tenant="acme")
        async with client(here, token) as http:
            own = (await http.post("/v1/runs", json={"request": "calculate"})).json()["id"]
        for other in (None, "none", "sk-something"):
            async with client(here, other) as http:
                assert (await http.get("/v1/runs")).json()["runs"] == []
                assert (await http.get(f"/v1/runs/{own}")).status_code == 404
                assert (await http.get("/v1/keys")).status_code == 403, (
                    "keys are for administrators"
                )
        async with client(here, "pm_0123456789ab_" + "0" * 48) as http:
            assert (await http.get("/v1/runs")).status_code == 401


async def test_beyond_loopback_a_start_without_a_key_is_refused(workspace: Workspace) -> None:
    await check_open(workspace, "127.0.0.1", "auto")
    await check_open(workspace, "0.0.0.0", "open")
    with pytest.raises(NotOpen, match=r"pointsman keys add NAME.*--open"):
        await check_open(workspace, "0.0.0.0", "auto")
    with pytest.raises(NotOpen):
        await check_open(workspace, "127.0.0.1", "keys")
    token = await key_of(workspace, "k")
    await check_open(workspace, "0.0.0.0", "auto")
    await revoked(workspace.access, token.split("_")[1], by="a test")
    with pytest.raises(NotOpen):
        await check_open(workspace, "0.0.0.0", "auto")


def test_what_cannot_be_a_key() -> None:
    for wrong in (
        {"scopes": ("everything",)},
        {"scopes": ()},
        {"tenant": "../etc"},
        {"expires": 1.0},
    ):
        with pytest.raises(BadKey):
            new_key("k", **wrong)  # type: ignore[arg-type]
    assert read_token("pm_zz") is None


async def test_a_workspace_that_is_away_is_no_open_door(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with stage_on(redis_url, tmp_path, SCRIPTS, CLOSED) as here:
        token = await key_of(here.workspace, "k")
        await here.workspace._calls.close()
        with pytest.raises(WorkspaceUnavailable):
            await here.workspace.run("run_x")
        async with client(here, token) as http:
            answer = await http.get("/v1/models")
    assert answer.status_code == 503


async def test_runs_of_one_tenant_are_listed_page_by_page(workspace: Workspace) -> None:
    for number in range(6):
        await workspace.create_run(RunSpec(f"r{number}", tenant=("a", "b")[number % 2]))
    first = await workspace.runs(limit=2, tenant="a")
    rest = await workspace.runs(limit=2, before=first[-1].id, tenant="a")
    assert [r.request for r in (*first, *rest)] == ["r4", "r2", "r0"]
