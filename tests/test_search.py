"""Search: the passage that is meant, the row that is meant, and nothing where there is nothing."""

from collections.abc import Iterator

import pytest
from retrieval_calls import call, rows

from pointsman.experts.models.encoder import Encoder
from pointsman.router.errors import BadArguments
from pointsman.router.values import Table

DOCUMENTS = Table.of(
    [("file", "text"), ("text", "text")],
    [
        [
            "leave.txt",
            "Parents may take sixteen weeks off after the birth of a child. The pay goes on.",
        ],
        [
            "travel.txt",
            "Trains are booked by the office. Invoice INV-203 covers the hotel in Lyon.",
        ],
    ],
).to_json()


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


def test_documents_are_found_by_meaning_and_by_exact_words(encoder: Encoder) -> None:
    assert (
        rows(call(encoder, "text.search", texts=DOCUMENTS, query="maternity leave"))[0]["file"]
        == "leave.txt"
    )
    assert (
        rows(call(encoder, "text.search", texts=DOCUMENTS, query="INV-203"))[0]["file"]
        == "travel.txt"
    )


def test_nothing_relevant_gives_an_empty_table_and_says_so(encoder: Encoder) -> None:
    done = call(encoder, "text.search", texts=DOCUMENTS, query="volcano eruptions on Mars")
    assert rows(done) == []
    assert "nothing" in done.note


def test_rows_keep_their_columns(encoder: Encoder) -> None:
    table = Table.of(
        [("id", "integer"), ("body", "text")],
        [[1, "the parcel came broken"], [2, "I cannot log in"], [3, "lovely colours"]],
    ).to_json()
    hit = rows(call(encoder, "text.search", texts=table, query="password and login problems"))[0]
    assert hit["id"] == 2
    assert 0 < hit["score"] <= 1


def test_an_empty_query_is_refused(encoder: Encoder) -> None:
    with pytest.raises(BadArguments, match="query"):
        call(encoder, "text.search", texts=DOCUMENTS, query=" ")
