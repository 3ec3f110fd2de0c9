"""Summaries: the text's own sentences, in order, no more than asked."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from retrieval_calls import call

from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.sentences import passages_of, sentences_of, split_sentences

TEXT = (
    "The city council approved a new bridge over the river on Monday. It will cost 40 million euros. "
    "Dr. Weber of the planning office said that work begins in May. Cyclists had asked for the bridge for years. "
    "A local choir sang at the opening of the session. The bridge will carry bikes, buses and pedestrians."
)


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_summary_is_sentences_of_the_text_in_order(encoder: Encoder, count: int) -> None:
    summary = str(call(encoder, "text.summarize", texts=TEXT, sentences=count).value)
    places = [TEXT.index(s) for s in split_sentences(summary)]
    assert len(places) == count
    assert places == sorted(places)


def test_a_short_text_is_given_as_it_is(encoder: Encoder) -> None:
    done = call(encoder, "text.summarize", texts="One thing. Another.", sentences=3)
    assert done.value == "One thing. Another."
    assert "as it is" in done.note


def test_sentences_end_where_people_end_them() -> None:
    text = "Dr. Smith paid $3.50 in Jan. 2020. Really? Yes!\n\n# Title\n- one\n- two. Done."
    assert split_sentences(text) == [
        *(
            "Dr. Smith paid $3.50 in Jan. 2020.",
            "Really?",
            "Yes!",
            "# Title",
            "- one",
            "- two.",
            "Done.",
        ),
    ]
    assert all(text[s.start : s.end] == s.text for s in sentences_of(text))


def test_passages_overlap_and_cover_the_text() -> None:
    passages = passages_of(TEXT)
    assert {s.number for p in passages for s in p.sentences} == set(range(6))
    assert all(a.end > b.start for a, b in pairwise(passages))
