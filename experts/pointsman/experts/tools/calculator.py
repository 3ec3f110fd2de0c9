"""Arithmetic on an expression, exact, by a parser of its own: nothing is ever evaluated as Python.

Values are rational numbers (`fractions.Fraction`), so that 0.1 + 0.2 is 0.3 and 2^200 has all its
digits; roots, logarithms and non-integer powers are worked out to 60 digits. What ends, is shown
exactly; what does not end is rounded to 28 significant digits. Parsing is by operator precedence
(V. R. Pratt, "Top Down Operator Precedence", POPL 1973), evaluating as it goes.

    + -   * / // % mod of, and nothing at all as in 2(3 + 4)   -x   ^ ** (right to left)   x% x! x°

A percentage that is added or taken away is a share of what it is added to: 200 + 10% is 220.
Units of variables are carried along: equal ones through + and -, any one through * and / by a number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from pointsman.experts.tools.arithmetic import (
    FUNCTIONS,
    MAX_MAGNITUDE,
    Value,
    bounded,
    combined,
    factorial,
    given,
    shown,
)
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import Quantity

__all__ = ["CALCULATOR", "TOOLS", "calculate", "evaluate"]

MAX_LENGTH = 2_000
MAX_DEPTH = 80
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\w.]))?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<money>[$€£¥])"
    r"|(?P<sign>\*\*|//|[-+*/%^!(),°]))"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])")
_SPELLINGS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "\u00a0": " "}
)
_MONEY = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")
_CONSTANTS = {
    "pi": _PI,
    "π": _PI,
    "tau": 2 * _PI,
    "e": Fraction("2.71828182845904523536028747135266249775724709369995957496696763"),
}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int


def evaluate(expression: str, variables: Mapping[str, Quantity] | None = None) -> Quantity:
    """The value of an expression. Raises BadArguments, and nothing else, when there is none."""
    values = {name: given(name, quantity) for name, quantity in (variables or {}).items()}
    return shown(_Parser(expression, values).whole())


def _tokens(expression: str) -> list[Token]:
    """Raises BadArguments at the first character that starts nothing."""
    if len(expression) > MAX_LENGTH:
        raise BadArguments(
            f"the expression has {len(expression):,} characters, the limit is {MAX_LENGTH:,}; "
            "work it out in parts"
        )
    text = expression.translate(_SPELLINGS).rstrip().rstrip("=?").rstrip()
    tokens: list[Token] = []
    calls: list[bool] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise BadArguments(
                f"{text[at:].strip()[:20]!r} in {expression[:80]!r} is not arithmetic; "
                "use numbers, + - * / ^ % ( ) and functions such as sqrt, round, min, max, mean"
            )
        kind, word, start = match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
        if kind == "number" and not any(calls) and (long := _THOUSANDS.match(text, start)):
            tail = re.compile(r"\.\d+").match(text, long.end())
            at = tail.end() if tail else long.end()
            tokens.append(Token("number", text[start:at].replace(",", ""), start))
            continue
        if word == "(":
            calls.append(bool(tokens) and tokens[-1].kind == "name")
        elif word == ")" and calls:
            calls.pop()
        tokens.append(Token(kind, word, start))
        at = match.end()
    return tokens


_BINARY: Mapping[str, tuple[int, int]] = {
    "+": (10, 11),
    "-": (10, 11),
    "*": (20, 21),
    "/": (20, 21),
    "//": (20, 21),
    "%": (20, 21),
    "^": (41, 40),
}
"""Binding power to the left and to the right; a unary sign binds with 30."""
_SAME = {"**": "^", "mod": "%", "of": "*", "x": "*", "plus": "+", "minus": "-", "times": "*"}


class _Parser:
    def __init__(self, expression: str, variables: Mapping[str, Value]) -> None:
        self._expression, self._variables = expression, variables
        self._tokens = _tokens(expression)
        self._next = 0
        self._depth = 0

    def whole(self) -> Value:
        if not self._tokens:
            raise BadArguments("the expression is empty; give one such as '12 * (3 + 4)'")
        value = self._expression_from(0)
        if self._next < len(self._tokens):
            raise self._unexpected()
        return value

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _unexpected(self) -> BadArguments:
        token = self._peek()
        if token is None:
            return BadArguments(f"{self._expression[:80]!r} ends too early; something is missing")
        return BadArguments(
            f"{token.text!r} at position {token.at + 1} of {self._expression[:80]!r} is out of place"
        )

    def _operator(self) -> str | None:
        """The binary operator that stands next; "" is the multiplication nobody wrote."""
        token = self._peek()
        if token is None or token.text in (")", ",", "!", "°"):
            return None
        if token.kind == "name" and token.text in self._variables:
            return ""
        operator = _SAME.get(token.text, token.text)
        if operator in _BINARY:
            return operator
        return "" if token.kind in ("name", "money") or token.text == "(" else None

    def _expression_from(self, least: int) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadArguments(
                f"the expression is nested more than {MAX_DEPTH} deep; work it out in parts"
            )
        left = self._postfix(self._prefix())
        while (operator := self._operator()) is not None:
            to_left, to_right = _BINARY[operator or "*"]
            if to_left < least:
                break
            self._next += bool(operator)
            left = combined(operator or "*", left, self._expression_from(to_right))
        self._depth -= 1
        return left

    def _prefix(self) -> Value:
        token = self._peek()
        if token is None:
            raise self._unexpected()
        self._next += 1
        if token.kind == "number":
            return _literal(token.text)
        if token.kind == "money":
            value = self._postfix(self._prefix())
            return Value(value.number, value.exact, _MONEY[token.text])
        if token.text in ("+", "-"):
            value = self._expression_from(30)
            sign = -1 if token.text == "-" else 1
            return Value(sign * value.number, value.exact, value.unit, value.percent)
        if token.text == "(":
            value = self._expression_from(0)
            self._expect(")")
            return Value(value.number, value.exact, value.unit)
        if token.kind == "name":
            return self._named(token.text)
        self._next -= 1
        raise self._unexpected()

    def _named(self, name: str) -> Value:
        if name in self._variables:
            return self._variables[name]
        function = FUNCTIONS.get(name.lower())
        following = self._peek()
        if function is not None and following is not None and following.text == "(":
            return function(name, self._arguments())
        if function is None and name.lower() in _CONSTANTS:
            return Value(_CONSTANTS[name.lower()], exact=False)
        known = ", ".join(repr(v) for v in sorted(self._variables)) or "none"
        what = (
            f"{name!r} needs its arguments in parentheses" if function else f"{name!r} is unknown"
        )
        raise BadArguments(
            f"{what} in {self._expression[:80]!r}; variables: {known}; "
            f"functions: {', '.join(sorted(FUNCTIONS))}"
        )

    def _arguments(self) -> list[Value]:
        self._expect("(")
        values = [self._expression_from(0)]
        while (token := self._peek()) is not None and token.text == ",":
            self._next += 1
            values.append(self._expression_from(0))
        self._expect(")")
        return values

    def _expect(self, sign: str) -> None:
        token = self._peek()
        if token is None:
            raise BadArguments(f"a {sign!r} is missing in {self._expression[:80]!r}")
        if token.text != sign:
            raise self._unexpected()
        self._next += 1

    def _postfix(self, value: Value) -> Value:
        while (token := self._peek()) is not None:
            if token.text == "%" and self._ends_operand(self._next + 1):
                value = Value(value.number / 100, value.exact, value.unit, percent=True)
            elif token.text == "!":
                value = factorial("!", [value])
            elif token.text == "°":
                value = Value(value.number * _PI / 180, exact=False)
            else:
                break
            value = bounded(value)
            self._next += 1
        return value

    def _ends_operand(self, at: int) -> bool:
        """Whether no operand starts there, so that the % before it is per cent and not modulo."""
        if at >= len(self._tokens):
            return True
        token = self._tokens[at]
        if token.kind == "name" and token.text not in self._variables:
            return token.text in _SAME
        return token.kind == "sign" and token.text != "("


def _literal(text: str) -> Value:
    mantissa, _, exponent = text.replace("_", "").lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_MAGNITUDE:
        raise BadArguments(
            f"{text[:40]} is beyond the numbers that can be used (10^{MAX_MAGNITUDE})"
        )
    return bounded(Value(Fraction(f"{mantissa.rstrip('.')}e{exponent or 0}")))


@capability(
    "math.calculate",
    title="calculate",
    examples=[
        "what is 17 * 23 + 4",
        "15% of 240",
        "add 19 % VAT to 1,250",
        "how much is 80 euros with 20 % off",
        "square root of 2",
        "2 to the power of 64",
        "split a bill of 126.40 among 5 people",
        "what's the average of 12, 15 and 19.5",
        "compound interest on 1000 at 5 % over 10 years",
        "divide the total by 3 and round to 2 decimals",
        "(3 + 4) * 2 / 7",
        "how many per cent is 45 of 180",
        "what is 7 factorial",
        "remainder of 100 divided by 7",
    ],
    composition=[
        "numbers of earlier tasks (a count, a sum, a conversion) come in as variables: "
        "expression 'total / days' with variables total and days",
        "a unit of the result can be converted with units.convert afterwards",
    ],
    prior=Prior(quality=0.99, latency=0.002),
)
def calculate(expression: str, variables: dict[str, Quantity] | None = None) -> Quantity:
    """Works out an arithmetic expression exactly: sums, products, powers, percentages, roots, rounding, averages.

    Args:
        expression: arithmetic with + - * / // ^ ( ) and sqrt, abs, round, min, max, sum, mean; 15% is
            0.15, and 200 + 10% is 220; names stand for variables.
        variables: values of the names in the expression, with or without units.
    """
    return evaluate(expression, variables)


TOOLS = (calculate,)
CALCULATOR = ToolExpert("calculator", "Exact decimal arithmetic", TOOLS)
