"""Numbers in text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.router.planning.arguments.amounts import amount_of, amounts


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,200.50 and 1.200,50", ["1200.50", "1200.50"]),
        ("1.5k", ["1500"]),
        ("three and a half million", ["3500000"]),
        ("a dozen eggs and two dozen more", ["12", "24"]),
        ("twenty-five, thirty and five", ["25", "30", "5"]),
        ("one hundred and twenty thousand three hundred", ["120300"]),
        ("half a million", ["500000"]),
        ("3, 4 and 5", ["3", "4", "5"]),
        ("7-5", ["7", "5"]),
        ("from -5 to +3", ["-5", "3"]),
        ("1,2,3", ["1", "2", "3"]),
        ("1,5 kg", ["1.5"]),
        ("1 200 000 people", ["1200000"]),
        ("2½ cups", ["2.5"]),
        ("no numbers, only abc1", []),
    ],
)
def test_numbers_are_read(text: str, values: list[str]) -> None:
    assert [a.value for a in amounts(text)] == [Decimal(v) for v in values]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("$1,000", "USD"),
        ("15%", "%"),
        ("15 per cent", "%"),
        ("20 euros", "EUR"),
        ("£3.50", "GBP"),
        ("7", None),
    ],
)
def test_the_unit_is_kept(text: str, unit: str | None) -> None:
    found = amount_of(text)
    assert found is not None
    assert found.unit == unit
    assert (found.start, found.end) == (0, len(text))


@given(st.integers(-(10**12), 10**12))
def test_whole_numbers_with_separators_survive(number: int) -> None:
    found = amount_of(f"{number:,}")
    assert found is not None
    assert found.as_json() == number


@given(st.text(max_size=200))
def test_any_text_is_taken_and_spans_are_in_order(text: str) -> None:
    ends = 0
    for found in amounts(text):
        assert ends <= found.start < found.end <= len(text)
        ends = found.end
