"""Near-duplicates: the same in almost the same words, and only that."""

from collections.abc import Iterator

import pytest
from retrieval_calls import call, rows

from pointsman.experts.models.encoder import Encoder
from pointsman.router.errors import BadArguments


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


def test_reworded_texts_are_grouped_representative_first(encoder: Encoder) -> None:
    found = rows(
        call(
            encoder,
            "text.duplicates",
            texts=["My card has not arrived yet", "bread recipe", "my card hasn't arrived yet!"],
        )
    )
    assert [r["group"] for r in found] == [1, 1]
    assert found[0]["similarity"] >= found[1]["similarity"] > 0.85


@pytest.mark.parametrize(
    "pair",
    [
        ["Where is my order 123?", "Where is my order 124?"],
        ["I love this phone", "I do not love this phone"],
        ["How do I top up my card?", "Why was my card payment declined?"],
    ],
)
def test_texts_that_differ_in_what_matters_are_not_duplicates(
    encoder: Encoder, pair: list[str]
) -> None:
    done = call(encoder, "text.duplicates", texts=pair)
    assert rows(done) == []
    assert "no near-duplicates" in done.note


def test_a_threshold_out_of_range_is_refused(encoder: Encoder) -> None:
    with pytest.raises(BadArguments, match="threshold"):
        call(encoder, "text.duplicates", texts=["a", "b"], threshold=85)
