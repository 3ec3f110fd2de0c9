"""Conversions, exact to the digit, in the units people write."""

from contextlib import suppress

import pytest
from expert_calls import run
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman.experts.tools.units import TOOLS
from pointsman.router.errors import BadArguments

(convert,) = TOOLS


def quantity(value: str, unit: str | None) -> dict[str, str | None]:
    return {"kind": "quantity", "value": value, "unit": unit}


@pytest.mark.parametrize(
    ("value", "unit", "to", "result"),
    [
        ("3.5", "acres", "square metres", "14163.9974784"),
        ("100", "°F", "celsius", "37.7777777777777777777777777777"),
        ("26.2", "miles", "km", "42.1648128"),
        ("2", "hours", "seconds", "7200"),
        ("1", "GB", "MB", "1000"),
        ("5", "ft", "cm", "152.4"),
        ("90", "km/h", "m/s", "25"),
    ],
)
def test_conversions(value: str, unit: str, to: str, result: str) -> None:
    found = run(convert, value=quantity(value, unit), to=to)
    assert abs(float(found["value"]) - float(result)) < 1e-9 * max(1.0, abs(float(result)))


@pytest.mark.parametrize(
    ("unit", "to", "words"),
    [("metres", "kilogram", "mass"), ("metres", "flurbs", "flurbs"), (None, "km", "unit")],
)
def test_what_cannot_be_converted_says_why(unit: str | None, to: str, words: str) -> None:
    with pytest.raises(BadArguments, match=words):
        run(convert, value=quantity("1", unit), to=to)


@given(st.text(max_size=20))
@example("¼")
def test_no_unit_name_breaks_the_conversion(name: str) -> None:
    with suppress(BadArguments):
        run(convert, value=quantity("1", "m"), to=name)
