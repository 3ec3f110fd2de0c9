import json
import time
from pathlib import Path

import pytest
from openai_server import Fail, OpenAIServer, Say, serving
from pydantic import SecretStr

from pointsman.experts.base import Call
from pointsman.experts.remote import RIVALS, RemoteModel, stands_in
from pointsman.router.errors import (
    BadArguments,
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
    UnknownFile,
)
from pointsman.router.planning.llm.client import RemoteRefused, retry_after
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.values import Table

pytestmark = pytest.mark.anyio

REVIEWS = Table.of(
    [("id", "integer"), ("review", "text")],
    [[1, "I love this lamp"], [2, "it broke on the first day"], [3, "it is a lamp"]],
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class NoFiles:
    """A store that is empty and takes nothing."""

    def path(self, file) -> Path:
        raise UnknownFile(str(file))

    def create(self, name, media_type, content):
        raise UnknownFile(name)

    def adopt(self, name, media_type, path):
        raise UnknownFile(name)


async def served(script, capability, arguments, *, seconds=10.0, prices=(0.0, 0.0), **server):
    """What came of a call, and what the server was asked."""
    async with OpenAIServer(script, **server) as up:
        settings = RemoteSettings(
            "small", SecretStr("sk-one"), up.url, price_in=prices[0], price_out=prices[1]
        )
        expert = RemoteModel(settings, serves=("text.write", *RIVALS))
        try:
            call = Call(capability, arguments, NoFiles(), time.time() + seconds)
            return await expert.run(call), up.requests
        finally:
            await expert.close()


async def test_a_text_is_written_and_paid_for():
    done, requests = await served(
        [Say(" Dear all, \n")],
        "text.write",
        {"instruction": "greet", "context": REVIEWS.to_json()},
        prices=(0.15, 0.6),
    )
    assert done.value == "Dear all,"
    assert done.usage.calls == 1
    tokens = done.usage.input_tokens, done.usage.output_tokens
    assert done.usage.cost == -(-(tokens[0] * 0.15 + tokens[1] * 0.6) // 1)
    document = json.loads(requests[0]["messages"][1]["content"])
    assert document["context"]["rows"][1] == [2, "it broke on the first day"]
    assert "greet" not in requests[0]["messages"][0]["content"]


async def test_material_that_is_too_long_is_cut_and_said():
    done, _ = await served(
        [Say("ok")], "text.write", {"instruction": "shorten", "context": "x" * 100_000}
    )
    assert done.note == "only the first 60,000 of 100,000 characters were read"


async def test_the_prior_of_cost_comes_from_the_prices():
    expert = RemoteModel(RemoteSettings("small", price_in=1.0, price_out=2.0))
    assert expert.card.serves["text.write"].cost == 800 + 2 * 400
    assert [c.name for c in expert.capabilities] == ["text.write"]
    with pytest.raises(ValueError, match=r"text\.embed"):
        RemoteModel(RemoteSettings("small"), serves=("text.embed",))


async def test_sentiment_has_the_form_of_the_local_expert():
    items = [
        {"item": 2, "sentiment": "neutral", "score": 0},
        {"item": 0, "sentiment": "Positive", "score": 0.9},
        {"item": 1, "sentiment": "negative", "score": -0.8},
    ]
    done, requests = await served(
        [Say(json.dumps({"items": items}), usage=(90, 40))],
        "text.sentiment",
        {"texts": REVIEWS.to_json()},
        prices=(1.0, 1.0),
    )
    table = Table.from_json(done.value)
    assert [c.name for c in table.columns] == ["id", "review", "sentiment", "sentiment_score"]
    assert [r[2] for r in table.rows] == ["positive", "negative", "neutral"]
    assert done.usage.cost == 130
    assert requests[0]["response_format"]["type"] == "json_schema"


async def test_many_texts_are_labelled_in_several_calls():
    def label(asked):
        document = json.loads(asked["messages"][1]["content"])
        said = [
            {"item": i["item"], "label": "EVEN" if int(i["text"]) % 2 == 0 else "odd"}
            for i in document["items"]
        ]
        return Say(json.dumps({"items": said}), pieces=500)

    texts = [str(n) for n in range(60)]
    done, requests = await served(
        label, "text.classify", {"texts": texts, "labels": ["even", "odd"]}
    )
    assert [r[1] for r in done.value["rows"]] == ["even", "odd"] * 30
    assert len(requests) == done.usage.calls == 3


@pytest.mark.parametrize(
    "said",
    [
        "I think they are fine",
        '{"items": []}',
        '{"items": [{"item": 0, "label": "other"}]}',
        '{"items": [{"item": 0, "label": "a", "confidence": 7}]}',
        "[1, 2]",
    ],
)
async def test_labels_that_do_not_fit_are_the_experts_failure(said):
    with pytest.raises(ExpertFailed):
        await served([Say(said)], "text.classify", {"texts": ["one"], "labels": ["a", "b"]})


async def test_an_answer_needs_a_passage_that_stands_in_the_text():
    text = "The lease began on 3 May 2021. The rent is 900 euros."
    found = {"answer": "900 euros", "quote": "the rent  is 900 euros", "confidence": 0.9}
    arguments = {"texts": text, "question": "what is the rent?"}
    done, _ = await served([Say(json.dumps(found))], "text.answer", arguments)
    assert done.value["text"] == "900 euros"
    made_up = {**found, "quote": "The rent is 950 euros"}
    done, _ = await served([Say(json.dumps(made_up))], "text.answer", arguments)
    assert done.value["text"] is None
    assert done.note == "no passage supports it"
    done, _ = await served([Say('{"answer": null}')], "text.answer", arguments)
    assert done.note == "the texts do not say"


async def test_a_summary_comes_back_from_a_server_without_structured_output():
    done, requests = await served(
        [Say('Here: {"summary": "Short."}')],
        "text.summarize",
        {"texts": "A long story. It goes on.", "sentences": 1},
        forms=(),
    )
    assert done.value == "Short."
    assert len(requests) == 3
    with pytest.raises(BadArguments, match="empty"):
        await served([Say("{}")], "text.summarize", {"texts": " "})


@pytest.mark.parametrize(
    ("answer", "error", "retryable", "said"),
    [
        (Fail(429, headers={"Retry-After": "30"}), ExpertOverloaded, True, "30.0 s"),
        (Fail(503, headers={"retry-after-ms": "9000"}), ExpertOverloaded, True, "9.0 s"),
        (Fail(500, "boom"), ExpertFailed, True, "boom"),
        (Fail(400, "bad sk-one"), RemoteRefused, False, r"bad \[key\]"),
        (Fail(401, "key sk-one"), RemoteRefused, False, "OPENAI_API_KEY"),
        (Fail(404), RemoteRefused, False, "POINTSMAN_MODEL"),
        (Fail(429, code="insufficient_quota"), RemoteRefused, False, "no quota"),
        (Say("half", finish="length"), RemoteRefused, False, "limit of tokens"),
        (Say("half", finish=None), ExpertFailed, True, "broke off"),
        (Say("half", cut_after=0), ExpertFailed, True, "small"),
        (Say("  "), ExpertFailed, True, "wrote nothing"),
    ],
)
async def test_each_failure_says_what_it_is_and_whether_another_try_helps(
    answer, error, retryable, said
):
    with pytest.raises(error, match=said) as caught:
        await served([answer], "text.write", {"instruction": "x"})
    assert caught.value.retryable is retryable
    assert "sk-one" not in str(caught.value)


async def test_the_deadline_holds():
    started = time.monotonic()
    with pytest.raises(ExpertTimeout):
        await served(
            [Say("slow", pieces=1, pause=0.3)], "text.write", {"instruction": "x"}, seconds=0.4
        )
    assert time.monotonic() - started < 2


async def test_a_server_that_is_not_there_is_a_failure_of_the_expert():
    async with OpenAIServer([]) as server:
        gone = server.url
    expert = RemoteModel(RemoteSettings("small", base_url=gone))
    with pytest.raises(ExpertFailed, match="cannot be reached"):
        await expert.run(Call("text.write", {"instruction": "x"}, NoFiles(), time.time() + 5))
    await expert.close()


async def test_the_server_runs_in_a_thread_as_well():
    with serving([Say("hello")]) as server:
        expert = RemoteModel(RemoteSettings("small", base_url=server.url))
        call = Call("text.write", {"instruction": "x"}, NoFiles(), time.time() + 5)
        assert (await expert.run(call)).value == "hello"
        await expert.close()


def test_waits_are_read_in_all_their_forms():
    assert retry_after({"retry-after": "1.5"}, now=0) == 1.5
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20) == 40
    assert retry_after({"retry-after": "soon"}, now=0) is None
    assert retry_after({}, now=0) is None


def test_a_quote_is_found_whatever_its_white_space():
    assert stands_in("it’s  Fine", "well, It's\nfine.")
    assert not stands_in("it is fine", "it's fine")
    assert not stands_in("  ", "text")
