"""Arithmetic in words and signs, as an exact expression."""

import re
from dataclasses import dataclass
from decimal import Decimal

from pointsman.router.planning.arguments.amounts import Amount, amounts

EARLIER = "x"
"""The variable that stands for the earlier result."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """An expression for math.calculate. variables: names in it that stand for the earlier result.

    unit: the currency (ISO code) of the numbers, or None. span: characters of the text that were read.
    """

    expression: str
    variables: tuple[str, ...] = ()
    span: tuple[int, int] = (0, 0)
    unit: str | None = None


_N = r"(?P<{}>[#x])"
_WORD_OPERATORS = (
    (r"\bto\s+the\s+power\s+of\b|\braised\s+to(?:\s+the)?(?:\s+power(?:\s+of)?)?\b", "^"),
    (r"\bmultiplied\s+by\b|\btimes\b|×|·|(?<=[#x)])\s*x\s*(?=[#(])", "*"),
    (r"\bdivided\s+by\b|\bover\b|÷", "/"),
    (r"\bplus\b|\badded\s+to\b", "+"),
    (r"\bminus\b|−|–|\bless\b", "-"),
    (r"\bmod(?:ulo)?\b", "%"),
    (r"\bsquared\b", "^2"),
    (r"\bcubed\b", "^3"),
)  # fmt: skip
_LEAD = re.compile(
    r"^(?:(?:please|now|then|and|so|ok|hey|can\s+you|could\s+you|tell\s+me|give\s+me|i\s+need|what(?:'s|’s|\s+is|\s+are|\s+would\s+be)|"
    r"how\s+much\s+(?:is|are|would\s+be)|calculate|compute|work\s+out|evaluate|solve|find|show\s+me|the\s+(?:result|value)\s+of|result\s+of|value\s+of|is|are)\s+)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"[\s?.!=,;:]+$|\s+(?:please|equals?|in\s+total|altogether|equal\s+to)\s*[?.!]*$", re.IGNORECASE
)
_EARLIER = re.compile(
    r"\b(?:that|it|this|the\s+(?:earlier\s+|previous\s+|last\s+)?(?:result|answer|number|total|sum|amount|value))\b",
    re.IGNORECASE,
)
_LIST = r"(?P<list>[#x](?:\s*(?:,\s*(?:and\s+)?|\s+and\s+|\s+)\s*[#x])+)"
_FUNCTIONS = {
    "sum": "sum", "total": "sum", "average": "mean", "mean": "mean", "avg": "mean", "minimum": "min",
    "min": "min", "smallest": "min", "maximum": "max", "max": "max", "largest": "max", "product": "product",
}  # fmt: skip
_PEOPLE = r"(?:\s+(?:people|persons?|ways|friends|of\s+us|parts|equal\s+parts|colleagues|guests|shares|men|women|kids|children|teams?))?"

# Whole sentences, over "#" for a number, "%" kept after it, "x" for the earlier result.
_SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(p, re.IGNORECASE), form)
    for p, form in (
        (r"(?P<a>[#x])%\s+of\s+(?P<b>(?:(?!\b(?:plus|minus|added|less)\b|\s[-+−–]\s).)+)", "({b}) * {a} / 100"),
        (r"(?P<a>[#x])%\s+(?:off|discount\s+(?:on|off)|less\s+than)\s+(?:of\s+)?(?P<b>[#x])", "{b} * (100 - {a}) / 100"),
        (r"(?P<b>[#x])\s+(?:with|after|at)\s+(?:an?\s+)?(?P<a>[#x])%\s+(?:off|discount|reduction)", "{b} * (100 - {a}) / 100"),
        (r"(?:take|deduct|subtract)\s+(?P<a>[#x])%(?:\s+\w+)?\s+(?:off|from|of)\s+(?P<b>[#x])", "{b} * (100 - {a}) / 100"),
        (r"(?:add|put)\s+(?:an?\s+)?(?P<a>[#x])%(?:\s+(?:of\s+)?(?:vat|tax|sales\s+tax|tip|gst|interest|markup|surcharge))?\s+(?:to|on|onto)\s+(?P<b>[#x])", "{b} * (100 + {a}) / 100"),
        (r"(?:increase|raise)\s+(?P<b>[#x])\s+by\s+(?P<a>[#x])%", "{b} * (100 + {a}) / 100"),
        (r"(?:decrease|reduce|lower|discount)\s+(?P<b>[#x])\s+by\s+(?P<a>[#x])%", "{b} * (100 - {a}) / 100"),
        (r"(?P<b>[#x])\s*(?:plus|\+|with|including|incl\.?)\s*(?P<a>[#x])%(?:\s+(?:vat|tax|sales\s+tax|tip|gst))?", "{b} * (100 + {a}) / 100"),
        (r"(?P<b>[#x])\s*(?:minus|-)\s*(?P<a>[#x])%", "{b} * (100 - {a}) / 100"),
        (r"(?:split|share|divide)\s+(?:an?\s+|the\s+)?(?:bill|check|cost|price|total|sum|amount)?\s*(?:of\s+)?(?P<b>[#x])\s+(?:with|plus|and|including)\s+(?:an?\s+)?(?P<a>[#x])%\s*(?:tip|vat|tax|service|service\s+charge|gratuity)?\s*,?\s+(?:equally\s+|evenly\s+)?(?:between|among|amongst|by|into|over|across)\s+(?P<c>[#x])" + _PEOPLE, "{b} * (100 + {a}) / 100 / {c}"),
        (r"(?:if\s+)?(?:i|we|you|one)?\s*(?:invest|put|save|deposit|borrow|have)(?:\s+\w+)?\s+(?P<b>[#x])\s+(?:\w+\s+)?(?:at|with|for)\s+(?:an?\s+)?(?:interest\s+(?:rate\s+)?of\s+)?(?P<a>[#x])%(?:\s+(?:interest|compound\s+interest))?(?:\s+(?:per|a|each|every)\s+year|\s+annually|\s+yearly)?\s+(?:for|over|during|in|after)\s+(?P<c>[#x])\s+years?(?:,?\s+(?:how\s+much|what)\b.*)?", "{b} * (1 + {a} / 100) ^ {c}"),
        (r"(?:an?\s+)?(?P<a>[#x])%\s+(?:tip|vat|tax|interest|commission)\s+(?:on|for|of)\s+(?P<b>[#x])", "{b} * {a} / 100"),
        (r"what\s+percent(?:age)?\s+(?:of\s+(?P<b>[#x])\s+is\s+(?P<a>[#x]))", "{a} / {b} * 100"),
        (r"(?P<a>[#x])\s+(?:is|as)\s+(?:what|a)\s+percent(?:age)?\s+of\s+(?P<b>[#x])", "{a} / {b} * 100"),
        (r"percent(?:age)?\s+(?:change|increase|growth)\s+(?:from|between)\s+(?P<a>[#x])\s+(?:to|and)\s+(?P<b>[#x])", "({b} - {a}) / {a} * 100"),
        (r"(?P<a>#)\s*/\s*(?P<c>#)\s+of\s+(?P<b>[#x])", "{b} * {a} / {c}"),
        (r"(?:a\s+)?half\s+(?:of\s+)?(?P<a>[#x])", "{a} / 2"),
        (r"(?:a|one)?\s*third\s+of\s+(?P<a>[#x])", "{a} / 3"),
        (r"(?:a|one)?\s*quarter\s+of\s+(?P<a>[#x])", "{a} / 4"),
        (r"three\s+quarters\s+of\s+(?P<a>[#x])", "{a} * 3 / 4"),
        (r"two\s+thirds\s+of\s+(?P<a>[#x])", "{a} * 2 / 3"),
        (r"(?:twice|double)\s+(?P<a>[#x])", "{a} * 2"),
        (r"(?:triple|thrice)\s+(?P<a>[#x])", "{a} * 3"),
        (r"halve\s+(?P<a>[#x])", "{a} / 2"),
        (r"(?:multiply)\s+(?P<a>[#x])\s+(?:by|with)\s+(?P<b>[#x])", "{a} * {b}"),
        (r"(?:divide)\s+(?P<a>[#x])\s+by\s+(?P<b>[#x])", "{a} / {b}"),
        (r"(?:split|share|divide)\s+(?:(?:an?\s+|the\s+)?(?:bill|check|cost|price|total|sum|amount)\s+(?:of\s+)?)?(?P<a>[#x])\s+(?:equally\s+|evenly\s+)?(?:between|among|amongst|by|into|over|across)\s+(?P<b>[#x])" + _PEOPLE, "{a} / {b}"),
        (r"(?P<a>[#x])\s+(?:split|divided|shared)\s+(?:equally\s+|evenly\s+)?(?:between|among|by|into)\s+(?P<b>[#x])" + _PEOPLE, "{a} / {b}"),
        (r"(?:add)\s+(?P<a>[#x])\s+(?:to|and|with)\s+(?P<b>[#x])", "{b} + {a}"),
        (r"(?:subtract|take|deduct)\s+(?P<a>[#x])\s+(?:from|away\s+from|off)\s+(?P<b>[#x])", "{b} - {a}"),
        (r"(?:the\s+)?difference\s+between\s+(?P<a>[#x])\s+and\s+(?P<b>[#x])", "{a} - {b}"),
        (r"(?:the\s+)?product\s+of\s+(?P<a>[#x])\s+and\s+(?P<b>[#x])", "{a} * {b}"),
        (r"(?:the\s+)?ratio\s+of\s+(?P<a>[#x])\s+(?:to|and)\s+(?P<b>[#x])", "{a} / {b}"),
        (r"(?:square|the\s+square\s+of)\s+(?P<a>[#x])", "{a} ^ 2"),
        (r"(?:add|sum|total)(?:\s+up)?\s+" + _LIST, "sum({list})"),
        (r"(?:the\s+)?(?P<fn>sum|total|average|mean|avg|minimum|min|maximum|max|smallest|largest)\s+(?:of|for|between|among)?\s*(?:the\s+numbers\s+|these\s+numbers:?\s+)?:?\s*" + _LIST, "{fn}({list})"),
        (r"round\s+(?P<a>[#x])", "round({a})"),
    )
)  # fmt: skip
_ROUNDED = re.compile(
    r",?\s+(?:(?:and\s+)?round(?:ed)?(?:\s+(?:it|that|off))?\s+)?(?:to|with)\s+(?P<digits>#|one|two|three|four|five|six|ten)\s+"
    r"(?:decimals?|(?:decimal\s+)?(?:places?|digits?)|digits?\s+after\s+the\s+(?:point|comma))$",
    re.IGNORECASE,
)
"""How many digits after the point are wanted, at the end of a calculation."""
_DIGITS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}
_SHARE = re.compile(r"#%\s+of\s+(?=#(?!%))", re.IGNORECASE)
_ROOT = re.compile(r"(?:the\s+)?(?:square\s+root|sqrt|root)\s+of\s+", re.IGNORECASE)
_CHARS = re.compile(r"(?:[#x]|\^[23](?!\d)|sqrt|abs|round|min|max|sum|mean|[-+*/^%(),\s])+")


def arithmetic(text: str) -> Arithmetic | None:
    """Reads a whole text as one calculation; None when any of its words is not arithmetic."""
    if len(text) > 1_000:
        return None
    start, end = _trimmed(text)
    body = text[start:end]
    numbers = [a for a in amounts(body) if a.unit in (None, "%") or len(a.unit) == 3]
    masked, values = _masked(body, numbers)
    expression = _read(masked, values)
    if expression is None:
        return None
    variables = (EARLIER,) if re.search(r"\bx\b", expression) else ()
    unit = next((a.unit for a in numbers if a.unit and a.unit != "%"), None)
    return Arithmetic(expression, variables, (start, end), unit)


def _read(masked: str, values: list[str]) -> str | None:
    rounded = _ROUNDED.search(masked)
    if rounded is None:
        return _sentence(masked, values) or _formula(masked, values)
    digits = values[-1] if rounded["digits"] == "#" else str(_DIGITS[rounded["digits"].lower()])
    rest = re.sub(r"^round\s+", "", masked[: rounded.start()], flags=re.IGNORECASE)
    inner = rest if rest in ("#", "x") else None
    inner = _fill(inner, values) if inner else _sentence(rest, values) or _formula(rest, values)
    return None if inner is None or not digits.isdigit() else f"round({inner}, {digits})"


def _trimmed(text: str) -> tuple[int, int]:
    lead = _LEAD.match(text.lstrip())
    start = len(text) - len(text.lstrip()) + (lead.end() if lead else 0)
    end = len(text)
    while (tail := _TAIL.search(text, start, end)) is not None and tail.start() < end:
        end = tail.start()
    return start, end


def _masked(body: str, numbers: list[Amount]) -> tuple[str, list[str]]:
    """The text with "#" for each number ("#%" for a percentage) and "x" for the earlier result."""
    parts: list[str] = []
    values: list[str] = []
    at = 0
    for number in numbers:
        gap = body[at : number.start]
        if number.value < 0 and re.search(r"[\d#)]\s*$", "".join(parts) + gap):
            gap += body[number.start]
        parts += [gap, "#%" if number.unit == "%" else "#"]
        values.append(format(abs(number.value) if gap.endswith(("-", "−")) else number.value, "f"))
        at = number.end
    parts.append(body[at:])
    masked = (
        _EARLIER.sub("x", "".join(parts)) if "x" not in body.split() or numbers else "".join(parts)
    )
    return re.sub(r"\s+", " ", masked.replace("the #", "#")).strip(), values


def _fill(form: str, values: list[str]) -> str:
    """Numbers back in the places of "#", in order; negative ones in brackets."""
    left = iter(values)
    return re.sub("#", lambda _m: _bracketed(next(left)), form)


def _bracketed(value: str) -> str:
    trimmed = value.rstrip("0").rstrip(".") if "." in value else value
    return f"({trimmed})" if trimmed.startswith("-") else trimmed


def _sentence(masked: str, values: list[str]) -> str | None:
    for pattern, form in _SENTENCES:
        match = pattern.fullmatch(masked)
        if match is None:
            continue
        groups = {k: v for k, v in match.groupdict().items() if v is not None}
        filled = {
            k: _filled_group(masked, match.start(k), v, values)
            for k, v in groups.items()
            if k != "fn"
        }
        if any(v is None for v in filled.values()):
            continue
        fn = _FUNCTIONS.get(groups.get("fn", "").lower(), "")
        return re.sub(r"^\(([\w.]+)\) ", r"\1 ", form.format(fn=fn, **filled))
    return None


def _filled_group(masked: str, start: int, part: str, values: list[str]) -> str | None:
    before = masked[:start].count("#")
    own = values[before : before + part.count("#")]
    if len(part) == 1:
        return _fill(part, own)
    if re.fullmatch(_LIST, part):
        return ", ".join(_fill(t, own[i : i + 1]) if t == "#" else t for i, t in _listed(part))
    return _sentence(part, own) or _formula(part, own)


def _listed(part: str) -> list[tuple[int, str]]:
    seen, out = 0, []
    for token in re.findall(r"[#x]", part):
        out.append((seen, token))
        seen += token == "#"
    return out


def _formula(masked: str, values: list[str]) -> str | None:
    """Signs and operator words between numbers, with roots and functions; None when a word is left."""
    form = masked
    for pattern, sign in _WORD_OPERATORS:
        form = re.sub(pattern, sign, form, flags=re.IGNORECASE)
    form, values = _shares(form.replace("**", "^").replace("√", "sqrt "), values)
    form = _ROOT.sub("sqrt ", form)
    form = re.sub(r"sqrt\s+([#x])", r"sqrt(\1)", form)
    if not _CHARS.fullmatch(form) or not _is_expression(form):
        return None
    form = re.sub(r"\s*([-+*/^])\s*", r" \1 ", form).strip()
    return _fill(re.sub(r"^- ", "-", re.sub(r"([(,]) - ", r"\1-", form)), values)


def _shares(form: str, values: list[str]) -> tuple[str, list[str]]:
    """ "18% of 50" as 0.18 * 50: it binds as tightly as a product."""
    found = list(values)
    for share in _SHARE.finditer(form):
        place = form[: share.start()].count("#")
        found[place] = format(Decimal(found[place]) / 100, "f")
    return _SHARE.sub("# * ", form), found


_OPERANDS = re.compile(r"[-f(]*n[)p]*(?:[-o,][-f(]*n[)p]*)*")


def _is_expression(form: str) -> bool:
    """At least one operation, brackets in pairs, operators between operands."""
    tokens = re.findall(r"[#x]|\^[23]|sqrt|abs|round|min|max|sum|mean|[-+*/^%(),]", form)
    shape = "".join(_shape(t) for t in tokens)
    if not re.search(r"[fop]|n[)p]*-", shape) or shape.count("(") != shape.count(")"):
        return False
    depth, lowest = 0, 0
    for sign in shape:
        depth += (sign == "(") - (sign == ")")
        lowest = min(lowest, depth)
    return lowest == 0 and _OPERANDS.fullmatch(shape) is not None


def _shape(token: str) -> str:
    """n operand, f function, p power written after its operand, o operation; brackets and "-" as they are."""
    if token in "#x":
        return "n"
    if token.isalpha():
        return "f"
    if token[1:].isdigit():
        return "p"
    return token if token in "(),-" else "o"
