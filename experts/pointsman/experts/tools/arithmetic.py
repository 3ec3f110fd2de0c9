"""Numbers on the way through a calculation: exact fractions with a unit, their operations and functions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from pointsman.router.errors import BadArguments
from pointsman.router.values import Quantity

__all__ = [
    "FUNCTIONS",
    "MAX_MAGNITUDE",
    "Value",
    "bounded",
    "combined",
    "factorial",
    "given",
    "shown",
]

MAX_MAGNITUDE = 1_000
"""Results are below 10 ** MAX_MAGNITUDE and, unless zero, above 10 ** -MAX_MAGNITUDE."""
MAX_BITS = 12_000
SHOWN_DIGITS = 28
EXACT_DIGITS = 50
WORKING = Context(prec=60, Emax=10_000, Emin=-10_000)
SHOWN = Context(prec=SHOWN_DIGITS, Emax=10_000, Emin=-10_000, rounding=ROUND_HALF_UP)
_LARGEST = 10**MAX_MAGNITUDE
_BEYOND = math.log(10) * MAX_MAGNITUDE


@dataclass(frozen=True, slots=True)
class Value:
    """A number on the way. `exact` is false once a root, a logarithm or a rounding went into it."""

    number: Fraction
    exact: bool = True
    unit: str | None = None
    percent: bool = False


def shown(value: Value) -> Quantity:
    """As a decimal: exact when it ends within EXACT_DIGITS digits or is whole, else rounded."""
    number = value.number
    decimal = _terminating(number) if value.exact else None
    if decimal is None or (
        number.denominator != 1 and len(decimal.as_tuple().digits) > EXACT_DIGITS
    ):
        decimal = SHOWN.divide(Decimal(number.numerator), Decimal(number.denominator))
        if decimal == decimal.to_integral_value():
            return Quantity(Decimal(int(decimal)), value.unit)
        decimal = SHOWN.normalize(decimal)
    return Quantity(decimal, value.unit)


def _terminating(number: Fraction) -> Decimal | None:
    """The exact decimal of a fraction whose denominator is 2^a 5^b, else None."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = number.numerator * 10**places // number.denominator
    return Decimal((int(digits < 0), Decimal(abs(digits)).as_tuple().digits, -places))


def given(name: str, quantity: Quantity) -> Value:
    value = quantity.value
    if not value.is_finite() or abs(value.adjusted()) > MAX_MAGNITUDE:
        raise BadArguments(f"variable {name!r} is {value}, which is not a number that can be used")
    return Value(Fraction(value), unit=quantity.unit)


def bounded(value: Value) -> Value:
    """Refuses what is too large or too small; rounds to 60 digits what has become too long."""
    top, bottom = abs(value.number.numerator), value.number.denominator
    if top >= bottom * _LARGEST:
        raise BadArguments(f"the result would have more than {MAX_MAGNITUDE:,} digits")
    if top and top * _LARGEST <= bottom:
        raise BadArguments(f"the result would be smaller than 10^-{MAX_MAGNITUDE:,}")
    if top.bit_length() + bottom.bit_length() <= MAX_BITS:
        return value
    rounded = WORKING.divide(Decimal(value.number.numerator), Decimal(bottom))
    return Value(Fraction(rounded), False, value.unit, value.percent)


def combined(operator: str, left: Value, right: Value) -> Value:
    exact = left.exact and right.exact
    a, b = left.number, right.number
    if operator in ("+", "-"):
        if right.percent and not left.percent:
            share = 1 + b if operator == "+" else 1 - b
            return bounded(Value(a * share, exact, left.unit))
        unit = _common_unit(operator, left, right)
        percent = left.percent and right.percent
        return bounded(Value(a + b if operator == "+" else a - b, exact, unit, percent))
    if operator == "*":
        return bounded(Value(a * b, exact, _product_unit(left.unit, right.unit)))
    if operator == "^":
        return _power(left, right)
    if b == 0:
        raise BadArguments("division by zero; the result is not a number")
    if operator == "/":
        return bounded(Value(a / b, exact, _quotient_unit(left.unit, right.unit)))
    if operator == "//":
        return bounded(Value(Fraction(a // b), exact, _quotient_unit(left.unit, right.unit)))
    return bounded(Value(a % b, exact, _common_unit(operator, left, right)))


def _same(a: str, b: str) -> bool:
    return a.casefold().removesuffix("s") == b.casefold().removesuffix("s")


def _common_unit(operator: str, *values: Value) -> str | None:
    """The one unit of the values that have one."""
    units = [v.unit for v in values if v.unit is not None]
    for unit in units[1:]:
        if not _same(units[0], unit):
            raise BadArguments(
                f"{operator}: {units[0]} and {unit} do not go together; convert one of them first"
            )
    return units[0] if units else None


def _product_unit(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return a if b is None else b
    for rate, other in ((a, b), (b, a)):
        top, _, bottom = rate.partition(" per ")
        if bottom and _same(bottom, other):
            return top
    raise BadArguments(f"{a} times {b} has no unit that can be named; multiply by a bare number")


def _quotient_unit(a: str | None, b: str | None) -> str | None:
    if b is None:
        return a
    if a is None:
        raise BadArguments(f"a bare number divided by {b} has no unit that can be named")
    return None if _same(a, b) else f"{a} per {b}"


def _bare(name: str, *values: Value) -> None:
    for value in values:
        if value.unit is not None:
            raise BadArguments(f"{name} takes a bare number, not one in {value.unit}")


def _power(base: Value, exponent: Value) -> Value:
    """Exact for whole exponents while the result is short enough, else to 60 digits."""
    _bare("^", exponent)
    if base.unit is not None and exponent.number != 1:
        _bare("^", base)
    x, y = base.number, exponent.number
    if x == 0 and y < 0:
        raise BadArguments("zero to a negative power is a division by zero")
    if x in (0, 1):
        return Value(Fraction(x**0 if y == 0 else x), base.exact, base.unit)
    if x < 0 and y.denominator != 1:
        raise BadArguments("a negative number to a power that is not whole is not a real number")
    if abs(y) * abs(_log(abs(x))) > _BEYOND:
        raise BadArguments(
            f"the power is beyond 10^{MAX_MAGNITUDE:,}; nothing that large is worked out"
        )
    exact = base.exact and exponent.exact
    size = x.numerator.bit_length() + x.denominator.bit_length()
    if y.denominator == 1 and abs(y) * size <= MAX_BITS:
        return bounded(Value(Fraction(x ** int(y)), exact, base.unit))
    if exact and y == Fraction(1, 2) and (root := _exact_root(x)) is not None:
        return Value(root)
    result = Fraction(WORKING.power(_decimal(abs(x)), _decimal(y)))
    odd = x < 0 and y.numerator % 2 == 1
    return bounded(Value(-result if odd else result, False, base.unit))


def _log(x: Fraction) -> Fraction:
    """Natural logarithm of a positive fraction, good enough to judge a size by."""
    return Fraction(WORKING.ln(_decimal(x)))


def _decimal(x: Fraction) -> Decimal:
    return WORKING.divide(Decimal(x.numerator), Decimal(x.denominator))


def _exact_root(x: Fraction) -> Fraction | None:
    root = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
    return root if root * root == x else None


Function = Callable[[str, Sequence[Value]], Value]


def _single(name: str, values: Sequence[Value]) -> Value:
    if len(values) != 1:
        raise BadArguments(f"{name} takes one argument, not {len(values)}")
    return values[0]


def _whole(name: str, value: Value, limit: int) -> int:
    _bare(name, value)
    if value.number.denominator != 1 or abs(value.number) > limit:
        raise BadArguments(f"{name} takes a whole number up to {limit} here")
    return int(value.number)


def factorial(name: str, values: Sequence[Value]) -> Value:
    n = _whole(name, _single(name, values), 450)
    if n < 0:
        raise BadArguments(f"{name} takes a whole number that is not negative")
    return bounded(Value(Fraction(math.factorial(n))))


def _sqrt(name: str, values: Sequence[Value]) -> Value:
    value = _single(name, values)
    _bare(name, value)
    if value.number < 0:
        raise BadArguments(f"{name} of a negative number is not a real number")
    return _power(value, Value(Fraction(1, 2)))


def _cbrt(name: str, values: Sequence[Value]) -> Value:
    value = _single(name, values)
    _bare(name, value)
    size = _power(Value(abs(value.number), value.exact), Value(Fraction(1, 3)))
    whole = Fraction(round(size.number))
    if whole**3 == abs(value.number):
        size = Value(whole, value.exact)
    return Value(-size.number if value.number < 0 else size.number, size.exact)


def _logarithm(base: int | None) -> Function:
    def logarithm(name: str, values: Sequence[Value]) -> Value:
        if base == 10 and name.lower() == "log" and len(values) == 2:
            _bare(name, *values)
            argument, other = values
        else:
            argument = _single(name, values)
            _bare(name, argument)
            other = Value(Fraction(base or 1))
        if argument.number <= 0 or other.number <= 0 or (base and other.number == 1):
            raise BadArguments(f"{name} takes numbers above zero (and a base other than 1)")
        if argument.number == 1:
            return Value(Fraction(0))
        result = _log(argument.number)
        return bounded(Value(result / _log(other.number) if base else result, False))

    return logarithm


def _exp(name: str, values: Sequence[Value]) -> Value:
    x = _single(name, values)
    _bare(name, x)
    if abs(x.number) > _BEYOND:
        raise BadArguments(f"{name} would be beyond 10^{MAX_MAGNITUDE:,}")
    return bounded(Value(Fraction(WORKING.exp(_decimal(x.number))), False))


def _by_float(function: Callable[[float], float]) -> Function:
    """A trigonometric function, in radians, to 15 significant digits."""

    def computed(name: str, values: Sequence[Value]) -> Value:
        value = _single(name, values)
        _bare(name, value)
        try:
            result = function(float(value.number))
        except (ValueError, OverflowError) as error:
            raise BadArguments(f"{name} is not defined there") from error
        if abs(result) < 1e-15:
            return Value(Fraction(0), False)
        return bounded(Value(Fraction(f"{result:.15g}"), False))

    return computed


def _abs(name: str, values: Sequence[Value]) -> Value:
    value = _single(name, values)
    return Value(abs(value.number), value.exact, value.unit)


def _rounded(rule: Callable[[Fraction], int]) -> Function:
    """round(x) and round(x, digits); halves go away from zero, as people expect."""

    def rounded(name: str, values: Sequence[Value]) -> Value:
        if len(values) not in (1, 2):
            raise BadArguments(f"{name} takes a number and, if wanted, how many digits")
        digits = _whole(name, values[1], 100) if len(values) == 2 else 0
        scale = Fraction(10) ** digits
        number = Fraction(rule(values[0].number * scale)) / scale
        return Value(number, unit=values[0].unit)

    return rounded


def _half_away(x: Fraction) -> int:
    size = math.floor(abs(x) + Fraction(1, 2))
    return -size if x < 0 else size


def _folded(fold: Callable[[list[Fraction]], Fraction]) -> Function:
    def folded(name: str, values: Sequence[Value]) -> Value:
        unit = _common_unit(name, *values)
        number = fold([v.number for v in values])
        return bounded(Value(number, all(v.exact for v in values), unit))

    return folded


def _mean(numbers: list[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0)) / len(numbers)


def _median(numbers: list[Fraction]) -> Fraction:
    ordered, half = sorted(numbers), len(numbers) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _total(numbers: list[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0))


FUNCTIONS: Mapping[str, Function] = {
    "sqrt": _sqrt,
    "cbrt": _cbrt,
    "abs": _abs,
    "round": _rounded(_half_away),
    "floor": _rounded(math.floor),
    "ceil": _rounded(math.ceil),
    "min": _folded(min),
    "max": _folded(max),
    "sum": _folded(_total),
    "mean": _folded(_mean),
    "average": _folded(_mean),
    "avg": _folded(_mean),
    "median": _folded(_median),
    "factorial": factorial,
    "ln": _logarithm(None),
    "log": _logarithm(10),
    "log10": _logarithm(10),
    "log2": _logarithm(2),
    "exp": _exp,
    "sin": _by_float(math.sin),
    "cos": _by_float(math.cos),
    "tan": _by_float(math.tan),
    "asin": _by_float(math.asin),
    "acos": _by_float(math.acos),
    "atan": _by_float(math.atan),
}
"""By lower-case name. Each takes the name it was called by and the arguments."""
