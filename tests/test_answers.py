"""Answers: a piece of the text, or none."""

from collections.abc import Iterator
from typing import Any

import pytest
from retrieval_calls import call

from pointsman.experts.models.encoder import Encoder

TEXT = (
    "The lease begins on April 1, 2024 and ends on March 31, 2025. The monthly rent is $1,450, payable in advance. "
    "Repairs are reported to James Whitfield. Either party may end it with two months' notice. "
    "Smoking is forbidden because of fire insurance rules. The flat is in Springfield."
)


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder(threads=1)
    yield made
    made.close()


MINUTES = (
    "Present: Marta Lindqvist, Tom Becker, Priya Nair. We will move to 12 Mill Lane on Monday, 18 August. "
    "Ida Berg and Jon Holm wrote the report. The desks come on Friday. We paid invoice R-2231."
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When do we move?", "Monday, 18 August"),
        ("When do the desks come?", "Friday"),
        ("Who was present?", "Marta Lindqvist, Tom Becker, Priya Nair"),
        ("Who wrote the report?", "Ida Berg and Jon Holm"),
        ("What is the invoice number?", "R-2231"),
    ],
)
def test_dates_and_lists_of_names_are_given_whole(
    encoder: Encoder, question: str, answer: str
) -> None:
    value: Any = call(encoder, "text.answer", texts=MINUTES, question=question).value
    assert value["text"] == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When does the lease end?", "March 31, 2025"),
        ("When does the lease begin?", "April 1, 2024"),
        ("How much is the rent?", "$1,450"),
        ("Who handles repairs?", "James Whitfield"),
        ("How long is the notice period?", "two months"),
        ("Where is the flat?", "Springfield"),
        ("Why is smoking forbidden?", "Smoking is forbidden because of fire insurance rules."),
    ],
)
def test_the_answer_is_the_span_that_is_asked_for(
    encoder: Encoder, question: str, answer: str
) -> None:
    value: Any = call(encoder, "text.answer", texts=TEXT, question=question).value
    assert value["text"] == answer
    assert value["text"] in value["quote"]


@pytest.mark.parametrize(
    "question", ["Who won the world cup in 2014?", "What is the capital of France?"]
)
def test_what_the_text_does_not_say_is_not_invented(encoder: Encoder, question: str) -> None:
    done = call(encoder, "text.answer", texts=TEXT, question=question)
    value: Any = done.value
    assert value["text"] is None
    assert "does not say" in done.note
