"""Spans read by the words of their slots: decoding, the head in numpy and in torch, the shipped weights."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from pointsman.experts.models.encoder import Encoder
from pointsman.router.planning.arguments.span_head import QUERY, SpanHead, best_tags
from pointsman.router.planning.arguments.span_shapes import SHAPES, shapes
from pointsman.router.planning.arguments.spans import Slot, SpanReader, queries_of, slots_of
from pointsman.router.planning.learned.training.span_sets import Marked
from pointsman.router.planning.learned.training.spans import (
    Coder,
    Net,
    Settings,
    SpanSet,
    tags_of,
    train,
)

pytestmark = pytest.mark.anyio

PARAMETERS = {
    "first_name": {"type": "string", "description": "given name of the guest"},
    "last_name": {"type": "string", "description": "family name of the guest"},
    "date": {"type": "string", "description": "the day of the booking"},
    "time": {"type": "string", "description": "the hour of the booking"},
    "people": {"type": "string", "description": "how many guests come"},
}


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def reader(encoder: Encoder) -> SpanReader:
    return SpanReader(encoder, encoder)


def test_decoding_finds_the_best_of_all_lawful_sequences() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        chances = rng.normal(size=(4, 5)).astype(np.float32)

        def lawful(tags: tuple[int, ...]) -> bool:
            pairs = zip((0, *tags), tags, strict=False)
            return all(t == 0 or t % 2 == 1 or before in (t - 1, t) for before, t in pairs)

        best = max(
            (t for t in product(range(5), repeat=4) if lawful(t)),
            key=lambda t: sum(float(chances[n, tag]) for n, tag in enumerate(t)),
        )
        assert best_tags(chances).tolist() == list(best)
    assert best_tags(np.zeros((0, 3), np.float32)).tolist() == []


def test_numpy_head_is_the_torch_net() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    width = 40
    mean, spread = rng.normal(size=(2, width)).astype(np.float32)
    net = Net(mean, np.abs(spread) + 0.5, Settings()).eval()
    head = SpanHead({k: v.numpy() for k, v in net.state_dict().items()}, {})
    x = rng.normal(size=(7, width)).astype(np.float32)
    queries = rng.normal(size=(3, QUERY)).astype(np.float32)
    asked = np.array([0, 1, 0], np.float32)
    with torch.inference_mode():
        logits = net(
            torch.from_numpy(x)[None],
            torch.ones(1, 7, 1),
            torch.from_numpy(queries),
            torch.from_numpy(asked)[None],
        )[0]
    own = head.log_chances(head.context(x[:, :-SHAPES], x[:, -SHAPES:]), queries, asked)
    np.testing.assert_allclose(own, logits.log_softmax(1).numpy(), atol=2e-4)


def test_shapes_see_whole_words() -> None:
    text = "Monday at 7:30pm for two"
    spelled = shapes(text, [(0, 6), (7, 9), (10, 11), (12, 14), (14, 16), (17, 20), (21, 24)])
    number, digit, clock, worded, _, day, inner, first, last, capital, _, half = spelled.T
    assert day.tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert clock.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert (number[4], digit[4], inner[4], half[4]) == (1, 0, 1, 1)
    assert worded[6] == last[6] == first[0] == capital[0] == 1


async def test_a_booking_is_read(reader: SpanReader) -> None:
    text = "Table for 6 people on Friday at 7:30 pm, my name is Grace Okafor"
    found = await reader.read(text, PARAMETERS)
    said = {name: span.text for name, span in found.items()}
    assert said["first_name"] == "Grace"
    assert said["last_name"] == "Okafor"
    assert said["date"] == "Friday"
    assert said["time"] == "7:30 pm"
    assert all(text[s.start : s.end] == s.text and 0.5 <= s.score <= 1 for s in found.values())


async def test_what_was_asked_for_decides_a_bare_answer(reader: SpanReader) -> None:
    chosen = [
        set(await reader.read("7", PARAMETERS, requested=asked)) for asked in ("people", "time")
    ]
    assert chosen == [{"people"}, {"time"}]


async def test_only_parameters_on_offer_are_read(reader: SpanReader) -> None:
    text = "Friday at 7:30 pm"
    only = {"time": PARAMETERS["time"]}
    assert set(await reader.read(text, only)) == {"time"}
    assert await reader.read(text, {}) == {}
    assert await reader.read("", PARAMETERS) == {}
    assert await reader.read("hello there, good evening", PARAMETERS) == {}


def test_slots_take_words_and_values_from_the_schema() -> None:
    schema = {"type": "string", "description": "Where to go", "examples": ["Oslo", 3, "Rome"]}
    (slot,) = slots_of({"targetCity": schema}, {"targetCity": ("Kyoto", "Oslo")})
    assert slot.words == "target city: Where to go"
    assert slot.values == ("Kyoto", "Oslo", "Rome")


async def test_a_query_without_values_is_zero_there(encoder: Encoder) -> None:
    bare, known = await queries_of(encoder, [Slot("city"), Slot("city", "", ("Oslo", "Rome"))])
    half = QUERY // 2
    assert np.array_equal(bare[:half], known[:half])
    assert not bare[half:].any()
    assert np.linalg.norm(known[half:]) == pytest.approx(1, abs=1e-5)


def test_tags_follow_the_tokens_that_a_span_touches() -> None:
    marked = Marked("from new york now", ((5, 13, "city"), (14, 17, "when")))
    offsets = [(0, 4), (5, 8), (9, 13), (14, 17)]
    assert tags_of(marked, offsets, {"city": 1}).tolist() == [0, 3, 4, 0]


async def test_training_learns_a_new_slot_and_repeats_itself(encoder: Encoder) -> None:
    cities = ["Oslo", "Rome", "Quito", "Lima", "Bern", "Cairo", "Delhi", "Seoul"]
    texts = [f"{verb} to {c} please" for verb in ("fly", "drive", "walk") for c in cities]
    marked = [Marked(t, ((t.index(" to ") + 4, t.index(" please"), "target"),)) for t in texts] + [
        Marked("no thanks, not today", ())
    ] * 4
    given = await SpanSet.of(marked, [Slot("target", "where to go")], Coder(encoder, encoder))
    settings = Settings(inner=24, pair=16, steps=60)
    head, again = (train([given.only(range(len(marked)))], seed=1, settings=settings) for _ in "ab")
    assert all(np.array_equal(head.weights[k], again.weights[k]) for k in head.weights)
    own = SpanReader(encoder, encoder, head)
    found = await own.read(
        "ride to Dublin please", {"target": {"type": "string", "description": "where to go"}}
    )
    assert found["target"].text == "Dublin"


async def test_held_out_slots_leave_with_their_texts(encoder: Encoder) -> None:
    marked = [
        Marked("to Oslo", ((3, 7, "city"),)),
        Marked("at noon", ((3, 7, "time"),)),
        Marked("thanks", ()),
    ]
    slots = [Slot("city"), Slot("time")]
    given = await SpanSet.of(marked, slots, Coder(encoder, encoder))
    left = given.without(frozenset({"city"}))
    assert [s.name for s in left.slots] == ["time"]
    assert [t.tolist() for t in left.tags] == [[0, 1], [0]]


async def test_layers_stand_side_by_side(encoder: Encoder) -> None:
    text = "the same words"
    (last,), (both,) = await encoder.tokens([text]), await encoder.tokens([text], layers=(2, 6))
    assert both.vectors.shape == (3, 768)
    np.testing.assert_allclose(both.vectors[:, 384:], last.vectors, atol=1e-5)
    assert not np.allclose(both.vectors[:, :384], last.vectors, atol=0.1)
    assert (await encoder.tokens([""], layers=(2, 6)))[0].vectors.shape == (0, 768)
