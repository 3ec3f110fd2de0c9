"""Arithmetic on calendar dates."""

import pytest
from expert_calls import run

from pointsman.experts.tools.dates import TOOLS
from pointsman.router.errors import BadArguments

BY_NAME = {t.capability.name: t for t in TOOLS}


@pytest.mark.parametrize(
    ("start", "end", "unit", "value"),
    [
        ("2024-03-03", "2025-08-17", "days", "532"),
        ("2024-01-01", "2024-12-31", "months", "11"),
        ("1990-05-05", "2026-11-24", "years", "36"),
        ("2025-12-01", "2025-12-08", "workdays", "5"),
        ("2025-08-17", "2024-03-03", "days", "-532"),
    ],
)
def test_differences(start: str, end: str, unit: str, value: str) -> None:
    found = run(BY_NAME["date.difference"], start=start, end=end, unit=unit)
    assert found["value"] == value


@pytest.mark.parametrize(
    ("date", "amount", "unit", "result"),
    [
        ("2026-01-15", 45, "days", "2026-03-01"),
        ("2023-01-31", 1, "months", "2023-02-28"),
        ("2024-02-29", 1, "years", "2025-02-28"),
        ("2025-11-28", 1, "workdays", "2025-12-01"),
        ("2026-03-01", -1, "weeks", "2026-02-22"),
    ],
)
def test_shifts_keep_to_the_month(date: str, amount: int, unit: str, result: str) -> None:
    assert run(BY_NAME["date.shift"], date=date, amount=amount, unit=unit) == result


def test_a_date_is_described() -> None:
    found = run(BY_NAME["date.describe"], date="1976-07-04")
    assert (found["weekday"], found["leap_year"]) == ("Sunday", True)


@pytest.mark.parametrize("date", ["", "not a date", "2023-02-30", "03/04/2024"])
def test_what_is_no_clear_date_is_refused(date: str) -> None:
    with pytest.raises(BadArguments):
        run(BY_NAME["date.describe"], date=date)
