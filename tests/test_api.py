"""The gateway's contract, over HTTP, on a real Redis."""

import csv
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from stage import stage_in_thread
from stage_scripts import SCRIPTS

from pointsman.services.api.gateway import ApiSettings

LIMITS = ApiSettings(max_json_bytes=50_000, max_upload_bytes=200_000, max_request_characters=2_000)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("api"), SCRIPTS, LIMITS) as found:
        yield found


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=20) as client:
        yield client


def events_of(http: httpx.Client, id: str, **options: Any) -> list[dict[str, Any]]:
    """All events of a stream until the server ends it, each with its SSE id and name. A stream that does
    not end fails the test: its heartbeats would hold off the client's own timeout for ever.
    """
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 60
    with http.stream("GET", f"/v1/runs/{id}/events", **options) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        entry: dict[str, str] = {}
        for line in response.iter_lines():
            assert time.monotonic() < until, f"the stream does not end after {found[-1:]}"
            if line:
                name, _, value = line.partition(": ")
                entry[name] = value
            elif "data" in entry:
                found.append(
                    {"id": entry["id"], "event": entry["event"], **json.loads(entry["data"])}
                )
                entry = {}
            else:
                entry = {}
    return found


def run(http: httpx.Client, request: str, **fields: Any) -> str:
    response = http.post("/v1/runs", json={"request": request, **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def finished(http: httpx.Client, request: str, **fields: Any) -> dict[str, Any]:
    id = run(http, request, **fields)
    events_of(http, id)
    record: dict[str, Any] = http.get(f"/v1/runs/{id}").json()
    return record


def fault(response: httpx.Response) -> dict[str, Any]:
    """An error in the one shape of this API, and nothing else."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "fault", "retryable"}
    error: dict[str, Any] = body["error"]
    return error


def test_creating_a_run_answers_at_once_with_its_place(http: httpx.Client) -> None:
    started = time.perf_counter()
    response = http.post("/v1/runs", json={"request": "go slowly"})
    assert time.perf_counter() - started < 1.0
    id = response.json()["id"]
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/runs/{id}"
    assert http.get(f"/v1/runs/{id}").json()["status"] in ("queued", "running")
    assert http.post(f"/v1/runs/{id}/cancel").status_code == 202


def test_events_tell_the_whole_run_and_then_the_stream_ends(http: httpx.Client) -> None:
    id = run(http, "calculate it")
    events = events_of(http, id)
    kinds = [e["type"] for e in events]
    assert kinds[0] == "run.created"
    assert kinds[-1] == "run.ended"
    assert kinds.index("plan.proposed") < kinds.index("task.routed") < kinds.index("task.done")
    assert all(e["event"] == e["type"] for e in events)
    record = http.get(f"/v1/runs/{id}").json()
    assert record["status"] == "done"
    assert record["answer"]["text"] == "6 × 7 = **42**"
    assert record["plan"]["tasks"][0]["capability"] == "math.calculate"
    assert record["usage"]["cost"] == 1200
    assert record["ended"] >= record["created"]


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_stream_resumes_after_the_last_event_seen(http: httpx.Client, way: str) -> None:
    id = run(http, "calculate it")
    events = events_of(http, id)
    seen = events[3]["id"]
    options: dict[str, Any] = (
        {"headers": {"Last-Event-ID": seen}} if way == "header" else {"params": {"after": seen}}
    )
    assert events_of(http, id, **options) == events[4:]


def test_resuming_after_the_last_event_stops_a_browser_from_reconnecting(
    http: httpx.Client,
) -> None:
    id = run(http, "calculate it")
    last = events_of(http, id)[-1]["id"]
    response = http.get(f"/v1/runs/{id}/events", headers={"Last-Event-ID": last})
    assert response.status_code == 204


def test_a_bad_event_id_is_refused(http: httpx.Client) -> None:
    id = run(http, "calculate it")
    response = http.get(f"/v1/runs/{id}/events", params={"after": "x'; drop"})
    assert response.status_code == 422
    assert fault(response)["code"] == "request.bad-event-id"


def test_a_cancelled_run_ends_and_cannot_be_cancelled_again(http: httpx.Client) -> None:
    id = run(http, "go slowly")
    with http.stream("GET", f"/v1/runs/{id}/events") as response:
        until = time.monotonic() + 60
        for line in response.iter_lines():
            assert time.monotonic() < until, "no task starts"
            if line == "event: task.started":
                break
    assert http.post(f"/v1/runs/{id}/cancel", json={"reason": "enough"}).status_code == 202
    events = events_of(http, id)
    assert events[-1]["status"] == "cancelled"
    assert [e["reason"] for e in events if e["type"] == "run.cancelling"] == ["enough"]
    again = http.post(f"/v1/runs/{id}/cancel")
    assert again.status_code == 409
    assert fault(again)["code"] == "workspace.run-over"


def test_leaving_a_stream_does_not_cancel_the_run(http: httpx.Client) -> None:
    id = run(http, "complaints please")
    with http.stream("GET", f"/v1/runs/{id}/events") as response:
        next(response.iter_lines())
    assert events_of(http, id)[-1]["status"] == "done"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/runs", {"request": "  "}, 422, "request.empty"),
        ("POST", "/v1/runs", {"request": "x" * 3_000}, 413, "request.too-long"),
        ("POST", "/v1/runs", {"request": "x" * 60_000}, 413, "request.too-large"),
        ("POST", "/v1/runs", {"request": "a", "files": ["nope"]}, 404, "request.unknown-file"),
        ("POST", "/v1/runs", {"request": "a", "files": ["../../x"]}, 404, "request.unknown-file"),
        ("POST", "/v1/runs", {"request": "a", "colour": "red"}, 422, "request.invalid"),
        ("POST", "/v1/runs", {"request": 7}, 422, "request.invalid"),
        ("POST", "/v1/runs", {"request": "a", "thread": "a b"}, 422, "request.invalid"),
        ("POST", "/v1/runs", {"request": "a", "deadline_seconds": -1}, 422, "request.invalid"),
        ("POST", "/v1/runs", {"request": "a", "plan": {"tasks": []}}, 422, "plan.empty"),
        ("POST", "/v1/runs", {"request": "a", "plan": {"x": 1}}, 422, "plan.not-json"),
        ("POST", "/v1/runs/run_none/cancel", None, 404, "workspace.run-not-found"),
        ("GET", "/v1/runs/run_none", None, 404, "workspace.run-not-found"),
        ("GET", "/v1/runs/run_none/events", None, 404, "workspace.run-not-found"),
        ("GET", "/v1/runs/run_none/plan.mmd", None, 404, "workspace.run-not-found"),
        ("GET", "/v1/runs/run_none/tasks/a", None, 404, "workspace.run-not-found"),
        ("GET", "/v1/runs?limit=0", None, 422, "request.invalid"),
        ("GET", "/v1/files/none", None, 404, "request.unknown-file"),
        ("GET", "/v1/files/none/content", None, 404, "request.unknown-file"),
        ("DELETE", "/v1/files/none", None, 404, "request.unknown-file"),
        ("GET", "/v1/nothing", None, 404, "http.404"),
        ("GET", "/ui/../api/app.py", None, 404, "http.404"),
        ("PUT", "/v1/runs", None, 405, "http.405"),
    ],
)
def test_every_error_has_its_status_and_the_one_shape(
    http: httpx.Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    response = http.request(method, path, json=body)
    assert (response.status_code, fault(response)["code"]) == (status, code)


def test_a_body_that_is_not_json_is_told_so(http: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    response = http.post("/v1/runs", content=b'{"request": ', headers=headers)
    assert response.status_code == 422
    assert fault(response)["code"] == "request.not-json"


def test_a_given_plan_is_proved_before_there_is_a_run(http: httpx.Client) -> None:
    before = len(http.get("/v1/runs").json()["runs"])
    plan = {"tasks": [{"id": "a", "capability": "table.reed", "arguments": {}}]}
    response = http.post("/v1/runs", json={"plan": plan})
    assert fault(response)["code"] == "plan.unknown-capability"
    assert "table.read" in fault(response)["message"]
    assert len(http.get("/v1/runs").json()["runs"]) == before
    plan["tasks"][0]["capability"] = "table.read"
    assert http.post("/v1/runs", json={"plan": plan}).status_code == 201


def test_runs_are_listed_newest_first_in_pages_and_by_thread(http: httpx.Client) -> None:
    ids = [run(http, f"calculate {n}", thread="pages") for n in range(3)]
    page = http.get("/v1/runs", params={"limit": 2}).json()
    assert [r["id"] for r in page["runs"]] == [ids[2], ids[1]]
    assert "answer" not in page["runs"][0]
    following = http.get("/v1/runs", params={"limit": 2, "before": page["next"]}).json()
    assert following["runs"][0]["id"] == ids[0]
    threaded = http.get("/v1/runs", params={"thread": "pages"}).json()["runs"]
    assert [r["id"] for r in threaded] == ids[::-1]


def test_a_slot_and_its_downloads(http: httpx.Client) -> None:
    record = finished(http, "complaints please")
    base = f"/v1/runs/{record['id']}/tasks/topics"
    slot = http.get(base).json()
    assert slot["kind"] == "table"
    assert slot["value"]["row_count"] == 3
    rows = list(csv.reader(io.StringIO(http.get(f"{base}/download").content.decode("utf-8-sig"))))
    assert rows[0] == ["topic", "count", "share", "examples"]
    assert rows[3] == ["sound quality", "7", "17.5", "The sound is tinny, and it hums."]
    book = http.get(f"{base}/download", params={"format": "xlsx"})
    assert 'filename="topics.xlsx"' in book.headers["content-disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(book.content)).active
    assert sheet is not None
    assert [c.value for c in sheet[2]][:2] == ["battery life", 14]
    objects = http.get(f"{base}/download", params={"format": "json"}).json()
    assert objects[0]["count"] == 14
    refused = http.get(f"{base}/download", params={"format": "txt"})
    assert fault(refused)["code"] == "request.no-such-format"
    assert http.get(f"/v1/runs/{record['id']}/tasks/none").status_code == 404


def test_a_plan_is_had_as_a_mermaid_picture(http: httpx.Client) -> None:
    record = finished(http, "complaints please")
    text = http.get(f"/v1/runs/{record['id']}/plan.mmd").text
    assert text.startswith("flowchart TD")
    assert "t_read --> t_sentiment" in text


def test_files_come_in_with_their_folders_and_a_profile(http: httpx.Client) -> None:
    parts = [
        ("file", ("notes/may.txt", b"Battery died.", "text/plain")),
        ("file", ("sales.csv", b"day,amount\n2025-01-01,3\n2025-01-02,4\n", "text/csv")),
    ]
    response = http.post("/v1/files", files=parts)
    assert response.status_code == 201
    first, second = response.json()["files"]
    assert first["name"] == "notes/may.txt"
    assert second["profile"]["row_count"] == 2
    assert [c["name"] for c in second["profile"]["columns"]] == ["day", "amount"]
    one = http.get(f"/v1/files/{second['id']}")
    assert one.json() == second
    assert second["id"] in [f["id"] for f in http.get("/v1/files").json()["files"]]
    record = finished(http, "calculate", files=[first["id"], second["id"], first["id"]])
    assert [f["name"] for f in record["files"]] == ["notes/may.txt", "sales.csv"]
    assert http.delete(f"/v1/files/{second['id']}").status_code == 204
    assert http.get(f"/v1/files/{second['id']}").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "media"),
    [
        ("x.html", b"<script>alert(1)</script>", "text/html"),
        ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
    ],
)
def test_a_stored_page_is_only_ever_downloaded(
    http: httpx.Client, name: str, content: bytes, media: str
) -> None:
    id = http.post("/v1/files", files={"file": (name, content, media)}).json()["files"][0]["id"]
    response = http.get(f"/v1/files/{id}/content")
    assert response.content == content
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"].startswith("attachment;")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


def test_a_file_name_cannot_write_a_header_or_leave_its_folder(http: httpx.Client) -> None:
    name = '..\\..\\a"\r\nX-Evil: 1;/ü.txt'
    made = http.post("/v1/files", files={"file": (name, b"x", "text/plain")}).json()["files"][0]
    response = http.get(f"/v1/files/{made['id']}/content")
    assert response.status_code == 200
    assert "x-evil" not in response.headers
    assert "filename*=UTF-8''%C3%BC.txt" in response.headers["content-disposition"]


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_past_the_limit_is_told_the_limit(http: httpx.Client, announced: bool) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + b"x" * 400_000
        + b"\r\n--b--\r\n"
    )
    before = len(http.get("/v1/files").json()["files"])
    response = http.post(
        "/v1/files",
        content=body if announced else iter([body[:250_000], body[250_000:]]),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert response.status_code == 413
    assert "195.3 KiB" in fault(response)["message"]
    assert len(http.get("/v1/files").json()["files"]) == before


def test_a_form_without_files_is_refused(http: httpx.Client) -> None:
    response = http.post("/v1/files", data={"a": "b"})
    assert response.status_code == 422
    assert fault(response)["code"] == "request.no-files"


def test_capabilities_and_experts_are_those_that_are_live(http: httpx.Client) -> None:
    found = http.get("/v1/capabilities").json()["capabilities"]
    assert [c["name"] for c in found] == sorted(c["name"] for c in found)
    read = next(c for c in found if c["name"] == "table.read")
    assert read["experts"] == ["echo"]
    assert read["examples"] == ["please read a table"]
    expert = http.get("/v1/experts").json()["experts"][0]
    assert (expert["name"], expert["workers"]) == ("echo", 1)


def test_health_and_metrics(http: httpx.Client) -> None:
    assert http.get("/livez").json() == {"status": "ok"}
    assert http.get("/readyz").json()["checks"]["controllers"] == "ok"
    before = _metric(http, 'pointsman_runs_ended_total{status="refused"}')
    id = run(http, "this cannot be done")
    events_of(http, id)
    assert _metric(http, 'pointsman_runs_ended_total{status="refused"}') == before + 1
    assert _metric(http, 'pointsman_runs_ended_total{status="refused"}') == before + 1


def test_the_metrics_tell_what_waits_and_what_was_given_up(http: httpx.Client) -> None:
    text = http.get("/metrics").text
    assert "\npointsman_waiting_runs 0.0\n" in text
    assert "\npointsman_dead_letters 0.0\n" in text


def _metric(http: httpx.Client, name: str) -> float:
    lines = http.get("/metrics").text.splitlines()
    return next((float(x.rpartition(" ")[2]) for x in lines if x.startswith(name)), 0.0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8000"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_other_sites_and_rebound_names_are_not_answered(
    http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    assert http.get("/v1/runs", headers=headers).status_code == status


def test_the_page_runs_only_its_own_scripts(http: httpx.Client) -> None:
    response = http.get("/")
    policy = response.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "<script>" not in response.text
    assert " style=" not in response.text
    assert http.get("/ui/app.js").headers["cache-control"] == "no-cache"


def test_the_api_describes_itself(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/runs", "/v1/runs/{id}/events", "/v1/files", "/v1/chat/completions"} <= set(paths)


def test_twenty_watchers_see_the_same_events(http: httpx.Client, address: str) -> None:
    id = run(http, "complaints please")

    def watch(_: int) -> list[dict[str, Any]]:
        with httpx.Client(base_url=address, timeout=20) as client:
            return events_of(client, id)

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(watch, range(20)))
    assert all(events == seen[0] for events in seen)


def test_the_server_stops_within_two_seconds_with_open_streams(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        with stage_in_thread(tmp_path, SCRIPTS) as address:
            client = httpx.Client(base_url=address, timeout=20)
            id = run(client, "go slowly")
            watching = pool.submit(events_of, client, id)
            waiting = pool.submit(
                httpx.post,
                f"{address}/v1/chat/completions",
                json={"model": "auto", "messages": [{"role": "user", "content": "go slowly"}]},
                timeout=20,
            )
            time.sleep(0.7)
            started = time.perf_counter()
        assert watching.result(5)[0]["type"] == "run.created"
        assert waiting.result(5).status_code == 503
        client.close()
    assert (
        time.perf_counter() - started < 4.0
    )  # 2 s for the server, the rest for Redis and the player


def test_a_run_that_has_not_changed_is_not_sent_again(http: httpx.Client) -> None:
    id = finished(http, "calculate it")["id"]
    first = http.get(f"/v1/runs/{id}")
    again = http.get(f"/v1/runs/{id}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get(f"/v1/runs/{id}", headers={"If-None-Match": '"another"'})
    assert other.json() == first.json()


def test_runs_are_listed_by_status(http: httpx.Client) -> None:
    done = finished(http, "calculate it")["id"]
    failed = finished(http, "it breaks")["id"]
    found = http.get("/v1/runs", params={"status": ["failed"]}).json()["runs"]
    assert failed in {r["id"] for r in found}
    assert done not in {r["id"] for r in found}
    assert http.get("/v1/runs", params={"status": "asleep"}).status_code == 422
