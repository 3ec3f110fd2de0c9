"""Exact arithmetic, and limits that answer at once."""

from contextlib import suppress
from fractions import Fraction

import pytest
from expert_calls import run
from hypothesis import given
from hypothesis import strategies as st

from pointsman.experts.tools.calculator import TOOLS
from pointsman.router.errors import BadArguments

(calculate,) = TOOLS


def value(expression: str, **variables: object) -> str:
    return str(
        run(calculate, expression=expression, **({"variables": variables} if variables else {}))[
            "value"
        ]
    )


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("0.1 + 0.2", "0.3"),
        ("2 + 3 * 4", "14"),
        ("-2 ^ 2", "-4"),
        ("2 ^ 3 ^ 2", "512"),
        ("(12.5 + 7.25) * 4", "79"),
        ("1 / 3 * 3", "1"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("sqrt(144)", "12"),
        ("max(3, 9, 4) - min(3, 9, 4)", "6"),
        ("round(2.5)", "3"),
        ("mean(1, 2, 3, 6)", "3"),
        ("1,200 * 2", "2400"),
    ],
)
def test_expressions(expression: str, result: str) -> None:
    assert value(expression) == result


def test_variables_bring_their_units() -> None:
    area = {"kind": "quantity", "value": "14163.9974784", "unit": "square metre"}
    result = run(calculate, expression="x * 12", variables={"x": area})
    assert (result["value"], result["unit"]) == ("169967.9697408", "square metre")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "2 +",
        "(1",
        "1)",
        "9**9**9",
        "1/0",
        "x + 1",
        "__import__('os')",
        "1e999999999",
        "sqrt(-1)",
        "2 @ 3",
    ],
)
def test_what_is_no_calculation_is_refused_with_a_reason(expression: str) -> None:
    with pytest.raises(BadArguments) as raised:
        value(expression)
    assert len(str(raised.value)) > 10


NUMBERS = st.integers(-999, 999).map(str).map(lambda n: f"({n})")
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_whole_numbers_agree_with_exact_fractions(expression: str) -> None:
    assert Fraction(value(expression)) == Fraction(
        eval(expression)
    )  # ours is a parser; this is the check


@given(st.text(alphabet="0123456789+-*/^%(). ,xsqrtmaxin!π°e", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    with suppress(BadArguments):
        value(text)
