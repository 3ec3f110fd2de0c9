"""What a person reads of values."""

import pytest

from pointsman.router.values import ColumnType, Table
from pointsman.workflows.wording import say


@pytest.mark.parametrize(
    ("column", "type", "cell", "shown"),
    [
        ("year", "integer", 1998, "1998"),
        ("year_built", "integer", 2004, "2004"),
        ("year of Date", "integer", 2025, "2025"),
        ("orderId", "integer", 12345, "12345"),
        ("zip code", "integer", 10115, "10115"),
        ("pages", "integer", 1998, "1,998"),
        ("paid", "integer", 12000, "12,000"),
        ("sum of year", "integer", 4003, "4,003"),
        ("distinct id", "integer", 1200, "1,200"),
        ("years", "number", 1234.5, "1,234.5"),
    ],
)
def test_numbers_that_name_something_have_no_thousands(
    column: str, type: ColumnType, cell: float, shown: str
) -> None:
    one = Table.of([(column, type)], [[cell]])
    assert say(one.to_json()).endswith(f"**{shown}**")
    two = Table.of([(column, type), ("n", "integer")], [[cell, 1], [cell, 2]])
    assert f"| {shown} | 1 |" in say(two.to_json())
