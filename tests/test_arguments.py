"""Arguments of capabilities, calculations, conversions, dates and lists from requests."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_questions import LexicalEmbedder

from pointsman.router.catalog import Capability
from pointsman.router.planning.arguments.filling import (
    Filled,
    arithmetic,
    conversion,
    date_question,
    fill,
    inline_items,
    labels,
    limit,
)

NOW = datetime(2026, 5, 20, 10, tzinfo=UTC)
TEXT = {"type": "string"}
DAY = {"type": "string", "format": "date"}


def taking(required: list[str], **properties: Any) -> Capability:
    parameters = {"type": "object", "properties": properties, "required": required}
    return Capability("some.thing", "does something", parameters, {})


def filled(text: str, capability: Capability, **given_: Any) -> Filled:
    return asyncio.run(fill(text, capability, given_, now=NOW, embedder=LexicalEmbedder()))


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("15% of 240", "240 * 15 / 100"),
        ("20% off 80", "80 * (100 - 20) / 100"),
        ("add 19% VAT to 240", "240 * (100 + 19) / 100"),
        ("half of 90", "90 / 2"),
        ("how much is 1/3 of 90", "90 * 1 / 3"),
        ("multiply that by 12", "x * 12"),
        ("the square root of 2 to the power of 10", "sqrt(2) ^ 10"),
        ("three squared", "3 ^ 2"),
        ("sum of 3, 4 and 5", "sum(3, 4, 5)"),
        ("average of 10, 20, 60", "mean(10, 20, 60)"),
        ("split 250 between 4 people", "250 / 4"),
        ("what is 12 times 7 minus 5?", "12 * 7 - 5"),
        ("(3+4)*2^5", "(3 + 4) * 2 ^ 5"),
        ("$1,200.50 * 3", "1200.5 * 3"),
        ("what percentage of 80 is 20", "20 / 80 * 100"),
        ("15% of 20% of 500", "(500 * 20 / 100) * 15 / 100"),
        ("18% of 240 plus 15", "0.18 * 240 + 15"),
        (
            "If I invest 1000 at 5% for 10 years, how much will I have?",
            "1000 * (1 + 5 / 100) ^ 10",
        ),
        ("what is 1/7 rounded to 3 digits", "round(1 / 7, 3)"),
        ("round 2.71828 to two decimal places", "round(2.71828, 2)"),
        ("split a bill of 84.60 with 15% tip between 4 people", "84.6 * (100 + 15) / 100 / 4"),
    ],
)
def test_arithmetic_is_written_as_an_expression(text: str, expression: str) -> None:
    found = arithmetic(text)
    assert found is not None
    assert found.expression == expression
    assert found.variables == (("x",) if "x" in expression else ())


@pytest.mark.parametrize(
    "text", ["sum of amount by region", "what is 2024", "show me the first 10", "10 20", "", "that"]
)
def test_what_is_no_calculation_is_left_alone(text: str) -> None:
    assert arithmetic(text) is None


def test_a_currency_is_kept_as_the_unit() -> None:
    found = arithmetic("15 percent of $80")
    assert found is not None
    assert found.unit == "USD"


@pytest.mark.parametrize(
    ("text", "value", "from_unit", "to_unit"),
    [
        ("3.5 acres to square metres", "3.5", "acre", "square metre"),
        ("how many km is 26.2 miles", "26.2", "mile", "kilometre"),
        ("how many feet in a mile", "1", "mile", "foot"),
        ("100 °F in celsius", "100", "degree fahrenheit", "degree celsius"),
        ("what's 2 hours 30 minutes in seconds", "2.5", "hour", "second"),
        ("10 kg in lbs", "10", "kilogram", "pound"),
        ("in miles", None, None, "mile"),
        ("convert it to pounds", None, None, "pound"),
    ],
)
def test_a_conversion_is_read(
    text: str, value: str | None, from_unit: str | None, to_unit: str
) -> None:
    found = conversion(text)
    assert found is not None
    assert (None if found.value is None else str(found.value), found.from_unit, found.to_unit) == (
        value,
        from_unit,
        to_unit,
    )


def test_feet_and_inches_are_one_measure() -> None:
    for text in ("5 ft 11 in in cm", "convert 5'11\" to cm"):
        found = conversion(text)
        assert found is not None
        assert found.from_unit == "foot"
        assert found.to_unit == "centimetre"
        assert round(float(found.value or 0) * 12) == 71


@pytest.mark.parametrize(
    "text", ["convert 100 USD to EUR", "5 km to kg", "orders in 2024", "how many orders in 2 days"]
)
def test_money_and_other_things_are_no_conversion(text: str) -> None:
    assert conversion(text) is None


@pytest.mark.parametrize(
    ("text", "capability", "arguments"),
    [
        (
            "days between 3 March 2024 and 1 June 2025",
            "date.difference",
            {"start": "2024-03-03", "end": "2025-06-01", "unit": "days"},
        ),
        (
            "how long until Christmas",
            "date.difference",
            {"start": "2026-05-20", "end": "2026-12-25", "unit": "days"},
        ),
        (
            "how old is someone born on 5 May 1990",
            "date.difference",
            {"start": "1990-05-05", "end": "2026-05-20", "unit": "years"},
        ),
        (
            "workdays between 2026-01-01 and 2026-02-01",
            "date.difference",
            {"start": "2026-01-01", "end": "2026-02-01", "unit": "workdays"},
        ),
        (
            "what date is 45 days after 2026-01-15",
            "date.shift",
            {"date": "2026-01-15", "amount": 45, "unit": "days"},
        ),
        ("90 days from today", "date.shift", {"date": "2026-05-20", "amount": 90, "unit": "days"}),
        ("what weekday was 4 July 1976", "date.describe", {"date": "1976-07-04"}),
    ],
)
def test_a_date_question_becomes_a_step(
    text: str, capability: str, arguments: dict[str, Any]
) -> None:
    step = date_question(text, NOW)
    assert step is not None
    assert (step.capability, step.arguments) == (capability, arguments)


def test_rows_with_dates_are_no_date_question() -> None:
    assert date_question("how many orders between 1 May and 3 June", NOW) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("classify the tickets as billing, technical or other", ["billing", "technical", "other"]),
        ("sort the mails into spam and ham", ["spam", "ham"]),
        ("label each review: positive, negative", ["positive", "negative"]),
        (
            "tag each ticket as bug, feature request or question and count them",
            ["bug", "feature request", "question"],
        ),
        ("group customers by country", []),
    ],
)
def test_labels_are_read(text: str, expected: list[str]) -> None:
    assert labels(text) == expected


def test_limits_and_items_are_read() -> None:
    assert limit("the top five words") == 5
    assert limit("all of the words") is None
    assert inline_items("summarise:\n- one\n- two") == ["one", "two"]
    assert inline_items("which is positive: I love it; I hate it") == ["I love it", "I hate it"]
    assert inline_items('classify "good" and "bad"') == ["good", "bad"]


def test_places_dates_and_counts_find_their_parameters() -> None:
    book = taking(
        ["origin", "destination", "date"],
        origin=TEXT,
        destination=TEXT,
        date=DAY,
        passengers={"type": "integer"},
    )
    found = filled("book a flight from Berlin to Rome on 3 June for 2 passengers", book)
    assert found.arguments == {
        "origin": "Berlin",
        "destination": "Rome",
        "date": "2026-06-03",
        "passengers": 2,
    }
    assert found.missing == ()


def test_what_is_not_said_is_missing_and_not_guessed() -> None:
    found = filled("what's the weather like", taking(["city"], city=TEXT))
    assert found.arguments == {}
    assert found.missing == ("city",)


def test_mails_quotations_and_free_text_find_their_parameters() -> None:
    send = taking(
        ["to", "subject"], to={"type": "string", "format": "email"}, subject=TEXT, body=TEXT
    )
    found = filled(
        'send an email to anna@example.org with subject "Hello there" saying we are late', send
    )
    assert found.arguments == {
        "to": "anna@example.org",
        "subject": "Hello there",
        "body": "we are late",
    }


def test_numbers_go_where_their_words_say() -> None:
    described = {"type": "number", "description": "interest in percent"}
    loan = taking(
        ["principal", "rate", "years"],
        principal={"type": "number", "description": "amount of the loan"},
        rate=described,
        years={"type": "integer"},
    )
    assert filled("loan of 20,000 at 5% over 10 years", loan).arguments == {
        "principal": 20000,
        "rate": 5,
        "years": 10,
    }


def test_currencies_languages_choices_and_switches() -> None:
    money = taking(
        ["amount", "from_currency", "to_currency"],
        amount={"type": "number"},
        from_currency=TEXT,
        to_currency=TEXT,
    )
    assert filled("convert 100 dollars to euros", money).arguments == {
        "amount": 100,
        "from_currency": "USD",
        "to_currency": "EUR",
    }
    translate = taking(["text", "target_language"], text=TEXT, target_language=TEXT)
    assert filled("translate 'good morning' into French", translate).arguments == {
        "text": "good morning",
        "target_language": "French",
    }
    ticket = taking([], priority={"enum": ["low", "medium", "high"]}, urgent={"type": "boolean"})
    assert filled("an urgent ticket with high priority", ticket).arguments == {
        "priority": "high",
        "urgent": True,
    }
    assert filled("a ticket that is not urgent", ticket).arguments == {"urgent": False}


def test_given_arguments_stay_as_they_are() -> None:
    assert filled("weather in Paris", taking(["city"], city=TEXT), city="Rome").arguments == {
        "city": "Rome"
    }


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                '15 % of 240 that * ( ) plus half in to km miles how many days until March 2024 from now : , " and'.split()
            ),
            max_size=10,
        ).map(" ".join),
    )
)
def test_any_text_is_taken(text: str) -> None:
    arithmetic(text)
    conversion(text)
    date_question(text, NOW)
    labels(text)
    limit(text)
    inline_items(text)
    every = taking(
        [],
        a=TEXT,
        n={"type": "number"},
        d=DAY,
        b={"type": "boolean"},
        e={"enum": ["x", "y"]},
        tags={"type": "array", "items": TEXT},
        to=TEXT,
        city=TEXT,
    )
    filled(text, every)
