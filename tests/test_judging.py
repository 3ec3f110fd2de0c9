"""Sentiment, emotion, classes, criteria and entities, on sentences that nobody trained on."""

from collections.abc import Iterator

import pytest
from expert_calls import ask, column
from hypothesis import given
from hypothesis import strategies as st

from pointsman.experts.base import Expert
from pointsman.experts.models import classification, patterns
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.names import _runs


@pytest.fixture(scope="module")
def experts() -> Iterator[list[Expert]]:
    encoder = Encoder(threads=2)
    yield classification.experts_on(encoder)
    encoder.close()


def test_clear_sentiments_are_told_apart(experts: list[Expert]) -> None:
    texts = [
        "The screen cracked after two days and nobody would help me.",
        "Absolutely wonderful, my daughter uses it every day.",
        "A waste of money, it never worked.",
        "Great value and it arrived early.",
    ]
    done = ask(experts, "text.sentiment", texts=texts)
    assert column(done.value, "sentiment") == ["negative", "positive", "negative", "positive"]
    scores = column(done.value, "sentiment_score")
    assert all(-1 <= s <= 1 for s in scores)
    assert "2 negative" in done.note


def test_emotions_have_a_name_and_a_score(experts: list[Expert]) -> None:
    texts = ["I am so angry at them!", "Thank you so much for your help", "The meeting is at ten."]
    found = column(ask(experts, "text.emotion", texts=texts).value, "emotion")
    assert found[0] in ("anger", "annoyance")
    assert found[1] == "gratitude"


def test_texts_are_sorted_under_labels_never_seen(experts: list[Expert]) -> None:
    texts = [
        "Our goalkeeper saved two penalties",
        "The central bank raised interest rates",
        "A new vaccine protects infants",
    ]
    done = ask(experts, "text.classify", texts=texts, labels=["sports", "economy", "health"])
    assert column(done.value, "label") == ["sports", "economy", "health"]


def test_rows_are_kept_by_a_criterion_in_words(experts: list[Expert]) -> None:
    texts = [
        "Please refund the second payment on my card",
        "The garden gate squeaks in the wind",
        "My invoice lists a fee that I never agreed to",
        "How beautiful the lake was this morning",
    ]
    kept = column(ask(experts, "text.filter", texts=texts, criterion="about billing").value, "text")
    assert texts[0] in kept
    assert texts[2] in kept
    assert texts[1] not in kept
    assert texts[3] not in kept


def test_no_texts_and_empty_texts_are_no_problem(experts: list[Expert]) -> None:
    for name, more in (("text.sentiment", {}), ("text.filter", {"criterion": "angry"})):
        done = ask(experts, name, texts=["", "  ", "🎉"], **more)
        assert done.value["kind"] == "table"  # type: ignore[index,call-overload]


LETTER = (
    "Dear Ms. Tanaka, on 3 May 2025 Rivera Holdings Ltd paid EUR 1,250.00 to Olaf Brandt in Copenhagen. "
    "Write to olaf@brandt.example or call +45 12 34 56 78. The discount was 7.5 %."
)


def test_a_letter_gives_its_names_dates_and_amounts(experts: list[Expert]) -> None:
    done = ask(experts, "text.entities", texts=LETTER)
    found = set(zip(column(done.value, "type"), column(done.value, "value"), strict=True))
    assert ("organization", "Rivera Holdings Ltd") in found
    assert ("person", "Olaf Brandt") in found
    assert ("location", "Copenhagen") in found
    assert ("email", "olaf@brandt.example") in found
    normal = dict(zip(column(done.value, "type"), column(done.value, "normalized"), strict=True))
    assert normal["date"] == "2025-05-03"
    assert normal["money"] == "1250 EUR" or "1250" in str(normal["money"])


def test_only_the_types_asked_for_are_given(experts: list[Expert]) -> None:
    done = ask(experts, "text.entities", texts=LETTER, types=["date", "money"])
    assert set(column(done.value, "type")) == {"date", "money"}


@given(st.text(max_size=200))
def test_no_text_breaks_the_patterns(text: str) -> None:
    for mention in patterns.mentions_in(text):
        assert text[mention.start : mention.end] == mention.value
    for start, end in _runs(text):
        assert 0 <= start < end <= len(text)
