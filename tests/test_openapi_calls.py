"""Calls of an API over the network of this machine: requests, answers, pages, faults, limits."""

import asyncio
import time
from typing import Any

import pytest
from expert_calls import FILES
from tool_apis import SHOP, api_of, asked, served

from pointsman.experts.base import Call
from pointsman.experts.tools.http import PageRefused
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.responses import AnswerUnfit, CallRefused
from pointsman.experts.tools.openapi.samples import invalid_arguments, valid_arguments
from pointsman.experts.tools.openapi.server import Faults
from pointsman.experts.tools.pacing import wait_asked
from pointsman.router.errors import (
    AddressRefused,
    BadArguments,
    BadFile,
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
    ExpertUnavailable,
)

pytestmark = pytest.mark.anyio


async def test_a_valid_call_is_taken_and_an_invalid_one_never_sent() -> None:
    async with served(check="strict") as (server, expert):
        for name, offered in expert.offered.items():
            for whole in (False, True):
                arguments = valid_arguments(offered.requests, offered.requests.schemas, whole=whole)
                before = len(server.seen)
                await asked(expert, name, **arguments)
                assert len(server.seen) == before + 1, name
                with pytest.raises(BadArguments):
                    await asked(expert, name, **invalid_arguments(offered.operation, arguments))
                assert len(server.seen) == before + 1, name


async def test_every_kind_of_parameter_arrives_as_it_was_given() -> None:
    given = {
        "page": 2,
        "q": "a&b=ü ",
        "tags": ["x", "y"],
        "colours": ["red", "a,b"],
        "filter": {"min": 3, "of": ["p", "q"]},
        "X-Trace": "abc",
        "session": "s 1",
    }
    async with served() as (server, expert):
        await asked(expert, "shop.list_products", **given)
        assert server.seen[-1].arguments == given


async def test_bodies_arrive_as_json_forms_and_files() -> None:
    picture = FILES.create("cat.png", "image/png", b"\x89PNG").to_json()
    async with served() as (server, expert):
        await asked(expert, "shop.add_product", name="A", price=2.5, note=None)
        assert server.seen[-1].arguments == {"body": {"name": "A", "price": 2.5, "note": None}}
        await asked(expert, "shop.place_order", product=1, count=2, notes=["a b", "c,d&e"])
        sent = {"product": 1, "count": 2, "notes": ["a b", "c,d&e"]}
        assert server.seen[-1].arguments == {"body": sent}
        await asked(expert, "shop.send_picture", path="a/b", picture=picture, about={"size": 4})
        assert server.seen[-1].arguments == {
            "path": "a/b",
            "body": {"picture": "", "about": {"size": 4}},
        }
        await asked(expert, "shop.write_note", body="hello")
        assert server.seen[-1].arguments == {"body": "hello"}


async def test_a_key_of_the_task_goes_along_where_the_service_takes_one() -> None:
    async with served() as (server, expert):
        await asked(expert, "shop.place_order", product=1, count=2)
        assert server.seen[-1].headers["idempotency-key"] == "r1.t1.0"
        assert "Idempotency-Key" not in expert.offered["shop.place_order"].capability.properties


async def test_an_answer_that_is_no_text_becomes_a_file() -> None:
    async with served() as (_, expert):
        done = await asked(expert, "shop.get_picture", path="cat")
        assert isinstance(done.value, dict)
        assert done.value["name"] == "get_picture.png"
        assert FILES.path(str(done.value["id"])).read_bytes() == b"text"


def paged(total: int) -> dict[str, Any]:
    """The shop, whose list says that there are so many pages."""
    tree: dict[str, Any] = {
        **SHOP,
        "paths": {"/products": {"get": {**SHOP["paths"]["/products"]["get"]}}},
    }
    example = {"page": 1, "total_pages": total, "results": [{"id": 1, "name": "A"}]}
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    tree["paths"]["/products"]["get"]["responses"] = {
        "200": {"description": "", "content": content}
    }
    return tree


@pytest.mark.parametrize(
    ("total", "calls", "said"), [(1, 1, ""), (2, 2, "2 pages"), (9, 3, "there are more")]
)
async def test_pages_are_followed_up_to_a_cap(total: int, calls: int, said: str) -> None:
    async with served(paged(total)) as (server, expert):
        done = await asked(expert, "shop.list_products", q="a")
        assert [s.arguments.get("page") for s in server.seen] == [None, 2, 3][:calls]
        assert isinstance(done.value, dict)
        assert len(done.value["results"]) == calls
        assert said in done.note


async def test_a_page_that_was_asked_for_is_the_only_one() -> None:
    async with served(paged(9)) as (server, expert):
        await asked(expert, "shop.list_products", page=4)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429;retry-after=7", ExpertOverloaded),
        ("503", ExpertTimeout),
        ("500", ExpertFailed),
        ("400", CallRefused),
        ("404", CallRefused),
        ("401", CallRefused),
        ("drop", ExpertTimeout),
        ("broken", AnswerUnfit),
        ("html", AnswerUnfit),
        ("large", PageRefused),
    ],
)
async def test_a_fault_says_whose_it_is(fault: str, error: type[Exception]) -> None:
    async with served(faults=Faults(1.0, fault)) as (_, expert):
        with pytest.raises(error) as caught:
            await asked(expert, "shop.get_product", id=1)
        if fault.startswith("429"):
            assert isinstance(caught.value, ExpertOverloaded)
            assert caught.value.retry_after == pytest.approx(7, abs=0.5)
            assert caught.value.nothing_done
            with pytest.raises(ExpertOverloaded):  # and is not asked again before its time
                await asked(expert, "shop.get_product", id=1)


@pytest.mark.parametrize("check", ["note", "strict", "off"])
async def test_an_answer_that_is_not_as_described(check: str) -> None:
    async with served(faults=Faults(1.0, "unlike"), check=check) as (_, expert):
        if check == "strict":
            with pytest.raises(AnswerUnfit, match="required"):
                await asked(expert, "shop.get_product", id=1)
        else:
            done = await asked(expert, "shop.get_product", id=1)
            assert done.value == {"unlike": ["unlike"]}
            assert ("not quite as described" in done.note) == (check == "note")


async def test_a_deadline_ends_a_call() -> None:
    async with served(faults=Faults(1.0, "slow=5")) as (_, expert):
        began = time.monotonic()
        call = Call("shop.get_product", {"id": 1}, FILES, time.time() + 0.2)
        with pytest.raises(ExpertTimeout, match="did not answer"):
            await expert.run(call)
        assert time.monotonic() - began < 2


async def test_an_address_of_this_network_is_called_only_when_it_is_allowed() -> None:
    async with served(allow=()) as (server, expert):
        with pytest.raises(AddressRefused):
            await asked(expert, "shop.get_product", id=1)
        assert not server.seen


async def test_a_server_that_is_not_there_has_done_nothing() -> None:
    async with served(url="http://127.0.0.1:1", allow=("127.0.0.1:1",)) as (_, expert):
        with pytest.raises(ExpertUnavailable) as caught:
            await asked(expert, "shop.add_product", name="A")
        assert caught.value.nothing_done


async def test_many_calls_share_a_few_connections() -> None:
    async with served(connections=8) as (server, expert):
        calls = [asked(expert, "shop.get_product", id=i) for i in range(200)]
        done = await asyncio.gather(*calls)
        assert len(done) == len(server.seen) == 200


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://u:p@a.example", "https://{x}.example", "/v1"]
)
def test_an_api_without_an_address_is_refused(url: str) -> None:
    tree = {**SHOP, "servers": [{"url": url}]}
    with pytest.raises(BadFile, match="--url"):
        ApiExpert(ApiIn(openapi="a.json", name="shop"), api_of(tree))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "5"}, 5),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "99999999"}, 3600),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "30"}, None),
        ({}, None),
    ],
)
def test_what_a_service_says_of_its_pace(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_asked(headers, 1000.0) == seconds
