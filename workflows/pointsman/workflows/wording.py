"""Values in words: what a person reads of a table, a quantity, an answer."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from pointsman.router.values import Json, Table, kind_of

ROWS = 20
"""Rows of a table that stand in the text; the part carries the rest."""
COLUMNS = 8
NUMBERED = re.compile(
    r"^(?!.*\b(?:count|sum|mean|number of|distinct)\b).*(?:^|[\W_])(?:years?|yr|ids?|zip|postcode|postal code|code|nr|no|key)(?:$|[\W_])"
    r"|(?-i:^[a-z]+(?:Id|ID|Year)$)",
    re.IGNORECASE,
)
"""Names of columns whose numbers name something: years, identifiers, codes."""
CELL = 120
"""Characters of a cell among many rows; a single row has room for more."""
LONE_CELL = 600


def say(value: Json, title: str = "") -> str:
    """Markdown for one result."""
    match kind_of(value):
        case "table":
            return _table(Table.from_json(value))
        case "quantity" if isinstance(value, Mapping):
            return f"**{quantity(str(value['value']), value.get('unit'))}**"
        case "answer" if isinstance(value, Mapping):
            return _answer(value)
        case "picture" if isinstance(value, Mapping):
            return (
                f"![{_inline(str(value.get('alt') or title))}](/v1/files/{value['file']}/content)"
            )
        case "file" if isinstance(value, Mapping):
            return f"[{_inline(str(value['name']))}](/v1/files/{value['id']}/content)"
        case "text":
            return str(value)
        case "number" | "boolean":
            return f"**{number(value)}**"
        case "list" if isinstance(value, list):
            return (
                "\n".join(f"{i}. {_inline(_cell(v))}" for i, v in enumerate(value, 1)) or "Nothing."
            )
        case "object" if isinstance(value, Mapping):
            return "\n".join(
                f"- {_inline(k.replace('_', ' '))}: {_inline(_cell(v))}" for k, v in value.items()
            )
        case _:
            return "Nothing."


def number(value: Any) -> str:
    """With thousands separators, without float noise."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return f"{value:.6g}" if text in ("0", "-0") and value else text


def quantity(value: str, unit: Any = None) -> str:
    """An exact decimal, shortened only when it is long: then to ten significant digits, marked "≈"."""
    try:
        exact = Decimal(value)
    except InvalidOperation:
        return value
    text = f"{exact:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if sum(c.isdigit() for c in text) > 16 and exact != exact.to_integral_value():
        places = max(2, 10 - max(1, exact.adjusted() + 1))
        text = "≈ " + f"{exact:,.{places}f}".rstrip("0").rstrip(".")
    return f"{text} {_plural(str(unit), exact)}" if unit else text


IRREGULAR = {"foot": "feet", "inch": "inches", "celsius": "celsius", "fahrenheit": "fahrenheit"}


def _plural(unit: str, value: Decimal) -> str:
    """ "12 square metres", "1 day": the noun before "per" carries the plural; symbols stay as they are."""
    head, per, rest = unit.partition(" per ")
    words = head.split(" ")
    noun = words[-1]
    if (
        abs(value) == 1
        or len(noun) < 3
        or not noun.isalpha()
        or noun.endswith("s")
        or noun.isupper()
    ):
        return unit
    words[-1] = IRREGULAR.get(noun.lower(), f"{noun}s")
    return " ".join(words) + per + rest


def _answer(value: Mapping[str, Any]) -> str:
    if value["text"] is None:
        return "The text does not say."
    where = f" — {_inline(str(value['file']))}" if value.get("file") else ""
    quote = " ".join(str(value.get("quote") or "").split())
    if not quote or quote == value["text"]:
        return f"**{_inline(str(value['text']))}**{where}"
    return f"**{_inline(str(value['text']))}**\n\n> {_inline(quote)}{where}"


def _table(table: Table) -> str:
    if not table.row_count:
        return "No rows."
    names = [c.name for c in table.columns]
    plain = [NUMBERED.search(n) is not None for n in names]
    if table.row_count == 1 and len(names) == 1:
        return f"{_inline(names[0])}: **{_inline(_cell(_plainly(table.rows[0][0], plain[0])))}**"
    if table.row_count == 1:
        row = [_plainly(c, p) for c, p in zip(table.rows[0], plain, strict=True)]
        pairs = zip(names, row, strict=True)
        return "\n".join(f"- {_inline(n)}: **{_inline(_cell(c, LONE_CELL))}**" for n, c in pairs)
    shown = table.rows[:ROWS]
    columns = range(min(len(names), COLUMNS))
    lines = [_row([names[i] for i in columns]), _row(["---"] * len(columns))]
    lines += [_row([_inline(_cell(_plainly(row[i], plain[i]))) for i in columns]) for row in shown]
    text = "\n".join(lines)
    left_out = []
    if table.row_count > len(shown):
        left_out.append(f"{table.row_count - len(shown):,} more rows")
    if len(names) > COLUMNS:
        left_out.append(f"{len(names) - COLUMNS} more columns")
    return f"{text}\n\n… and {' and '.join(left_out)}." if left_out else text


def _plainly(cell: Any, numbered: bool) -> Any:
    """A year or a number that only names something has no thousands."""
    whole = isinstance(cell, int) and not isinstance(cell, bool)
    return str(cell) if numbered and whole else cell


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any, longest: int = CELL) -> str:
    match kind_of(value):
        case "null":
            text = ""
        case "number" | "boolean":
            text = number(value)
        case "list":
            text = " · ".join(_cell(v) for v in value)
        case "quantity":
            text = quantity(str(value["value"]), value.get("unit"))
        case "text":
            text = " ".join(str(value).split())
        case "object":
            text = ", ".join(f"{k}: {_cell(v)}" for k, v in value.items())
        case _:
            text = say(value).replace("\n", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _inline(text: str) -> str:
    """Data in Markdown: what would be markup is escaped, so that content cannot draw or link anything."""
    return "".join("\\" + c if c in "\\`*_[]|<>" else c for c in text)
