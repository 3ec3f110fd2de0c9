"""The OpenAI protocol, through the official client."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from stage import stage_in_thread
from stage_scripts import SCRIPTS


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("openai"), SCRIPTS) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_models_are_listed(client: openai.OpenAI) -> None:
    named = ["pointsman", "auto", "auto:cheap", "auto:fast", "auto:best"]
    assert [m.id for m in client.models.list()] == named
    assert client.models.retrieve("auto").owned_by == "pointsman"


def test_a_whole_answer_with_usage_and_the_run(client: openai.OpenAI, address: str) -> None:
    answer = client.chat.completions.create(model="pointsman", messages=ask("calculate"))
    assert answer.choices[0].message.content == "6 × 7 = **42**"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (7, 12)
    told = (answer.model_extra or {})["pointsman"]
    assert httpx.get(f"{address}/v1/runs/{told['run']}").json()["status"] == "done"


def test_streamed_content_is_the_answer_and_progress_stands_beside_it(
    client: openai.OpenAI,
) -> None:
    chunks = list(
        client.chat.completions.create(
            model="auto",
            messages=ask("calculate"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    content = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert content == "6 × 7 = **42**"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    told = [(c.model_extra or {}).get("pointsman", {}) for c in chunks]
    assert "plan with 1 task" in [t.get("progress") for t in told]
    assert len({c.id for c in chunks}) == 1


def test_pieces_of_an_answer_are_not_sent_twice(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model="auto", messages=ask("it grows"), stream=True)
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    assert pieces == ["Half ", "and half", ", done."]


def test_a_refusal_is_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=ask("this cannot be done"))
    assert "I cannot book flights" in (answer.choices[0].message.content or "")
    assert (answer.model_extra or {})["pointsman"]["status"] == "refused"


def test_a_failed_run_is_an_error_in_both_modes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="sentimant") as caught:
        client.chat.completions.create(model="auto", messages=ask("it breaks"))
    assert caught.value.code == "expert.bad-arguments"
    with pytest.raises(openai.APIError, match="sentimant"):
        list(client.chat.completions.create(model="auto", messages=ask("it breaks"), stream=True))


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"model": "gpt-x"}, openai.NotFoundError, "model"),
        ({"n": 2}, openai.BadRequestError, "n"),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            openai.BadRequestError,
            "tools",
        ),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.BadRequestError, "messages"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
                ]
            },
            openai.BadRequestError,
            "messages",
        ),
        ({"extra_body": {"files": ["none"]}}, openai.NotFoundError, None),
        ({"messages": [{"role": "user", "content": " "}]}, openai.UnprocessableEntityError, None),
    ],
)
def test_errors_have_the_protocols_shape(
    client: openai.OpenAI,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    param: str | None,
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": "auto", "messages": ask("calculate"), **fields})
    body = caught.value.body
    assert isinstance(body, dict)
    assert set(body) == {"message", "type", "param", "code"}
    assert caught.value.param == param


def test_files_parts_and_history_reach_the_run(client: openai.OpenAI, address: str) -> None:
    upload = httpx.post(f"{address}/v1/files", files={"file": ("a.csv", b"x,y\n1,2\n", "text/csv")})
    id = upload.json()["files"][0]["id"]
    messages: list[Any] = [
        {"role": "system", "content": "be brief"},
        *ask("first"),
        {"role": "assistant", "content": "answer to first"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "now"}, {"type": "text", "text": "calculate"}],
        },
    ]
    answer = client.chat.completions.create(
        model="auto", messages=messages, extra_body={"files": [id]}, temperature=0.2
    )
    run = httpx.get(f"{address}/v1/runs/{(answer.model_extra or {})['pointsman']['run']}").json()
    assert run["request"] == "now\ncalculate"
    assert [f["id"] for f in run["files"]] == [id]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_cancels_its_run(address: str, stream: bool) -> None:
    body = {"model": "auto", "messages": ask("go slowly"), "stream": stream}
    before = {r["id"] for r in httpx.get(f"{address}/v1/runs").json()["runs"]}
    with httpx.Client(base_url=address, timeout=0.8) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                first = next(x for x in response.iter_lines() if x.startswith("data: "))
                assert json.loads(first[6:])["object"] == "chat.completion.chunk"
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=body)
    (mine,) = [r for r in httpx.get(f"{address}/v1/runs").json()["runs"] if r["id"] not in before]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        status = httpx.get(f"{address}/v1/runs/{mine['id']}").json()["status"]
        if status == "cancelled":
            return
        time.sleep(0.05)
    pytest.fail(f"the run is {status}")


@pytest.mark.parametrize(
    ("model", "prefer"),
    [("auto:cheap", "cost"), ("auto:fast", "latency"), ("auto:best", "quality")],
)
def test_the_model_says_what_counts_when_experts_are_chosen(
    client: openai.OpenAI, address: str, model: str, prefer: str
) -> None:
    assert client.models.retrieve(model).id == model
    answer = client.chat.completions.create(model=model, messages=ask("calculate"))
    assert answer.model == model
    assert answer.choices[0].message.content == "6 × 7 = **42**"


def test_a_response_is_whole_with_usage_and_can_be_had_again(client: openai.OpenAI) -> None:
    made = client.responses.create(model="auto", input="calculate")
    assert (made.status, made.output_text) == ("completed", "6 × 7 = **42**")
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.total_tokens) == (7, 12)
    again = client.responses.retrieve(made.id)
    assert again.output_text == made.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_nothing")


def test_a_streamed_response_tells_its_pieces_in_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="auto", input="it grows", stream=True))
    kinds = [e.type for e in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert pieces == ["Half ", "and half", ", done."]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "Half and half, done."


def test_a_response_goes_on_with_the_one_before(client: openai.OpenAI, address: str) -> None:
    first = client.responses.create(model="auto", input="calculate")
    second = client.responses.create(
        model="auto", input="calculate again", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="auto", input="x", previous_response_id="resp_run_0")


def test_a_response_that_failed_says_why_in_both_modes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="sentimant"):
        client.responses.create(model="auto", input="it breaks")
    last = list(client.responses.create(model="auto", input="it breaks", stream=True))[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "sentimant" in last.response.error.message


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "gpt-x"}, openai.NotFoundError),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError),
        ({"input": []}, openai.BadRequestError),
        ({"input": [{"role": "system", "content": "x"}]}, openai.BadRequestError),
    ],
)
def test_what_a_response_cannot_be_made_of(
    client: openai.OpenAI, fields: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error):
        client.responses.create(**{"model": "auto", "input": "calculate", **fields})
