"""Dates and spans in text."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.router.planning.arguments.moments import easter, moment_of, moments

NOW = datetime(2026, 5, 20, 10, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("sold in March 2025", "2025-03-01", "2025-03-31"),
        ("between 1 Feb and 15 March", "2026-02-01", "2026-03-15"),
        ("last month", "2026-04-01", "2026-04-30"),
        ("the last 30 days", "2026-04-21", "2026-05-20"),
        ("Q2 2025", "2025-04-01", "2025-06-30"),
        ("the first quarter of 2024", "2024-01-01", "2024-03-31"),
        ("since 2023", "2023-01-01", None),
        ("from 2020 onwards", "2020-01-01", None),
        ("from 2020", "2020-01-01", "2020-12-31"),
        ("before 2024-03-01", None, "2024-02-29"),
        ("after Jan 5, 2024", "2024-01-06", None),
        ("until June 2025", None, "2025-06-30"),
        ("next Friday", "2026-05-22", "2026-05-22"),
        ("in the 90s", "1990-01-01", "1999-12-31"),
        ("1-15 March 2024", "2024-03-01", "2024-03-15"),
        ("from January to March 2025", "2025-01-01", "2025-03-31"),
        ("Jan-Mar 2025", "2025-01-01", "2025-03-31"),
        ("between 2019 and 2021", "2019-01-01", "2021-12-31"),
        ("31.12.2024", "2024-12-31", "2024-12-31"),
        ("12/31/2024", "2024-12-31", "2024-12-31"),
        ("the 3rd of April", "2026-04-03", "2026-04-03"),
        ("3 weeks ago", "2026-04-29", "2026-04-29"),
        ("year to date", "2026-01-01", "2026-05-20"),
        ("March of last year", "2025-03-01", "2025-03-31"),
        ("yesterday", "2026-05-19", "2026-05-19"),
    ],
)
def test_a_span_is_read(text: str, first: str | None, last: str | None) -> None:
    found = moment_of(text, NOW)
    assert found is not None
    assert found.iso() == (first, last)


@pytest.mark.parametrize(
    "text",
    ["orders over 2000", "may I march", "2-3", "costs 1999 euros", "$2025", "the second one"],
)
def test_numbers_and_verbs_are_no_dates(text: str) -> None:
    assert moments(text, NOW) == ()


def test_a_clock_belongs_to_its_day() -> None:
    found = moment_of("call me tomorrow at 3pm", NOW)
    assert found is not None
    assert found.clock is not None
    assert found.clock.isoformat() == "15:00:00"


def test_easter_sundays() -> None:
    assert [easter(y) for y in (2024, 2025, 2026)] == [
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2026, 4, 5),
    ]


@given(st.dates())
def test_iso_days_are_themselves(day: date) -> None:
    found = moment_of(f"on {day.isoformat()}", NOW)
    assert found is not None
    assert found.first == found.last == day


PIECES = st.sampled_from(
    "1 31 2024 0000 9999 99 Feb March Q1 between and to from - / . : until since last next past 3 weeks ago of the "
    "year month '90s 29 30 Friday Easter new year's eve 12:30 pm in days first quarter half h1".split()
)


@settings(max_examples=300)
@given(st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=12).map(" ".join), st.datetimes())
def test_any_text_is_taken(text: str, now: datetime) -> None:
    for found in moments(text, now):
        assert 0 <= found.start < found.end <= len(text)
        assert found.first is None or found.last is None or found.first <= found.last
