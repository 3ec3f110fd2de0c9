"""Numbers in text: digits in English and continental notation, words, and mixtures of both.

Pure and linear in the length of the text: one scan into tokens, then one pass over them.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

UNITS = {
    word: n
    for n, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split()
    )
}
TENS = {
    word: 10 * n
    for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
SCALES = {
    "hundred": 100,
    "hundreds": 100,
    "thousand": 1_000,
    "thousands": 1_000,
    "million": 10**6,
    "millions": 10**6,
    "billion": 10**9,
    "billions": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "dozens": 12,
    "k": 1_000,
    "mio": 10**6,
    "mn": 10**6,
    "bn": 10**9,
}
CURRENCIES = {
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "usd": "USD",
    "eur": "EUR",
    "gbp": "GBP",
    "chf": "CHF",
    "jpy": "JPY",
    "inr": "INR",
    "dollar": "USD",
    "dollars": "USD",
    "bucks": "USD",
    "euro": "EUR",
    "euros": "EUR",
    "pounds sterling": "GBP",
}
FRACTIONS = {"½": "0.5", "¼": "0.25", "¾": "0.75", "⅓": "0.3333333333", "⅔": "0.6666666667"}

_TOKEN = re.compile(
    r"(?P<digits>(?<![\w.])(?:[$€£¥₹]\s?)?(?:(?<![\w)])[-−+])?(?:[$€£¥₹]\s?)?"
    r"(?:\d{1,3}(?:[,'’_   ]\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}"
    r"|(?<!\d,)\d+,\d{1,2}(?![\d,])|\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?![\w.]))?|\.\d+))"
    r"(?P<suffix>[kKM](?![\w])|\s?(?:bn|mn|mio)\b)?"
    r"|(?P<fraction>[½¼¾⅓⅔])|(?P<word>[^\W\d_]+)|(?P<other>\S)"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number at text[start:end]. `unit`: "%", or a currency's ISO code, or None.

    `worded`: written without digits ("three dozen"), so that a lone "one" can be told from a number.
    """

    value: Decimal
    start: int
    end: int
    unit: str | None = None
    worded: bool = False

    def as_json(self) -> int | float:
        """The value as an integer when it is whole, else as a float."""
        if self.value == self.value.to_integral_value():
            return int(self.value)
        return float(self.value)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    value: Decimal | None = None


def amounts(text: str) -> tuple[Amount, ...]:
    """All numbers in order of appearance."""
    tokens = _tokens(text)
    found: list[Amount] = []
    at = 0
    while at < len(tokens):
        read = _number_at(tokens, at)
        if read is None:
            at += 1
            continue
        value, after = read
        found.append(_with_unit(tokens, at, after, value))
        at = after
    return tuple(found)


def amount_of(text: str) -> Amount | None:
    """The first number of a text."""
    return next(iter(amounts(text)), None)


def decimal_of(written: str) -> Decimal | None:
    """The value of one number in digits, in English ("1,200.50") or continental ("1.200,50") notation."""
    digits = re.sub(r"[$€£¥₹\s'’_  ]", "", written).replace("−", "-")
    if re.fullmatch(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?", digits) and (
        "," in digits or digits.count(".") > 1
    ):
        digits = digits.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[-+]?\d+,\d{1,2}", digits):
        digits = digits.replace(",", ".")
    else:
        digits = digits.replace(",", "")
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if match.group("digits"):
            value = decimal_of(match.group("digits"))
            if value is not None and match.group("suffix"):
                suffix = match.group("suffix").strip()
                value *= 10**6 if suffix == "M" else SCALES[suffix.lower()]
            kind = "digits" if value is not None else "other"
            tokens.append(_Token(kind, match.group(), match.start(), match.end(), value))
        elif kind == "fraction":
            value = Decimal(FRACTIONS[match.group()])
            tokens.append(_Token("digits", match.group(), match.start(), match.end(), value))
        else:
            tokens.append(_Token(kind, match.group().lower(), match.start(), match.end()))
    return tokens


def _word(tokens: list[_Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) and tokens[at].kind != "digits" else ""


def _number_at(tokens: list[_Token], at: int) -> tuple[Decimal, int] | None:
    """Value and the index after it, of the number that starts at a token."""
    token = tokens[at]
    if token.kind == "digits" and token.value is not None:
        return _scaled(tokens, token.value, at + 1)
    if token.kind != "word":
        return None
    if token.text in ("a", "an", "half"):
        return _article(tokens, at)
    if token.text in ("no", "nought"):
        return None
    if token.text in UNITS or token.text in TENS:
        value, after = _words(tokens, at)
        return _scaled(tokens, Decimal(value), after)
    return None


def _article(tokens: list[_Token], at: int) -> tuple[Decimal, int] | None:
    """ "a dozen", "half a million", "a hundred and twenty", "a couple of"."""
    first, second, third = tokens[at].text, _word(tokens, at + 1), _word(tokens, at + 2)
    if first == "half":
        if second in ("a", "an") and third in SCALES:
            return Decimal(SCALES[third]) / 2, at + 3
        return None
    if second == "half" and third in SCALES:
        return Decimal(SCALES[third]) / 2, at + 3
    if second == "couple":
        return Decimal(2), at + 2 + (third == "of")
    if second in SCALES and len(second) > 2:
        value, after = _words(tokens, at + 1, Decimal(1))
        return _scaled(tokens, value, after)
    return None


def _words(tokens: list[_Token], at: int, start: Decimal = Decimal(0)) -> tuple[Decimal, int]:
    """ "two hundred and forty-five thousand": scales multiply what stands before, the rest adds up."""
    total, current, last = Decimal(0), start, Decimal(1000)
    while at < len(tokens):
        word = _word(tokens, at)
        small = UNITS.get(word, TENS.get(word))
        if small is not None:
            if not _fits(current, small, last):
                break
            current += small
            last = Decimal(small)
        elif word in SCALES and len(word) > 2 and current:
            scale = SCALES[word]
            current *= scale
            if scale >= 1000:
                total, current = total + current, Decimal(0)
            last = Decimal(1000)
        elif not (word in ("and", "-") and _continues(tokens, at, bool(total or current))):
            break
        at += 1
    return total + current, at


def _fits(current: Decimal, small: int, last: Decimal) -> bool:
    """Whether a small number may follow: tens before ones, both after hundreds."""
    if not current or last == 1000:
        return True
    return 20 <= last < 100 and 0 < small < 10


def _continues(tokens: list[_Token], at: int, started: bool) -> bool:
    """ "hundred and twenty" goes on; "twenty and thirty", "five and six" are two numbers."""
    following, before = _word(tokens, at + 1), _word(tokens, at - 1)
    small = UNITS.get(following, TENS.get(following))
    if not started or small is None:
        return False
    if _word(tokens, at) == "-":
        return before in TENS and small < 10
    return before in SCALES and before != "dozen"


def _scaled(tokens: list[_Token], value: Decimal, after: int) -> tuple[Decimal, int]:
    """Applies what may follow a number: "and a half", "million", "dozen"."""
    if [_word(tokens, after + i) for i in range(3)] == ["and", "a", "half"]:
        value, after = value + Decimal("0.5"), after + 3
    elif after < len(tokens) and tokens[after].text in FRACTIONS:
        value, after = value + Decimal(FRACTIONS[tokens[after].text]), after + 1
    while len(_word(tokens, after)) > 2 and _word(tokens, after) in SCALES:
        value, after = value * SCALES[_word(tokens, after)], after + 1
    return value, after


def _with_unit(tokens: list[_Token], at: int, after: int, value: Decimal) -> Amount:
    unit = next((CURRENCIES[c] for c in tokens[at].text if c in CURRENCIES), None)
    end = tokens[after - 1].end
    following = _word(tokens, after)
    if following == "%" or following in ("percent", "pct"):
        unit, end = "%", tokens[after].end
    elif following == "per" and _word(tokens, after + 1) == "cent":
        unit, end = "%", tokens[after + 1].end
    elif following in CURRENCIES:
        unit, end = CURRENCIES[following], tokens[after].end
    worded = all(t.kind != "digits" for t in tokens[at:after])
    return Amount(value, tokens[at].start, end, unit, worded)
