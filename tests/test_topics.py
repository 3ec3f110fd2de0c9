"""Topics: every text in one, labels that the texts use; key phrases likewise."""

from collections.abc import Iterator

import pytest
from retrieval_calls import call, rows

from pointsman.experts.models.encoder import Encoder

REVIEWS = [
    *(
        "the battery life is far too short",
        "battery life of two hours only",
        "poor battery life",
        "battery life disappoints",
    ),
    *(
        "customer service never answered",
        "rude customer service",
        "customer service hung up",
        "slow customer service",
    ),
    *(
        "the picture quality is blurry",
        "bad picture quality indoors",
        "picture quality lets it down",
    ),
]


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


def test_topics_have_the_names_that_people_use(encoder: Encoder) -> None:
    found = rows(call(encoder, "text.topics", texts=REVIEWS, count=3))
    assert {r["topic"]: r["count"] for r in found} == {
        "battery life": 4,
        "customer service": 4,
        "picture quality": 3,
    }


def test_each_text_is_in_one_topic_also_blank_ones(encoder: Encoder) -> None:
    found = rows(call(encoder, "text.topics", texts=[*REVIEWS, "", "  "]))
    assert sum(r["count"] for r in found) == len(REVIEWS) + 2
    counts = [r["count"] for r in found if r["topic"] != "other"]
    assert counts == sorted(counts, reverse=True)


def test_topics_are_the_same_each_time(encoder: Encoder) -> None:
    assert (
        call(encoder, "text.topics", texts=REVIEWS).value
        == call(encoder, "text.topics", texts=REVIEWS).value
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_texts_have_topics(encoder: Encoder, count: int) -> None:
    found = rows(call(encoder, "text.topics", texts=REVIEWS[:count]))
    assert sum(r["count"] for r in found) == count


def test_key_phrases_are_counted_and_limited(encoder: Encoder) -> None:
    found = rows(call(encoder, "text.key_phrases", texts=REVIEWS, limit=3))
    assert {r["phrase"]: r["count"] for r in found} == {
        "battery life": 4,
        "customer service": 4,
        "picture quality": 3,
    }
