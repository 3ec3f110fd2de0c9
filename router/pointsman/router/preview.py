"""A value in one short line, for events and prompts; the value itself stays in its slot."""

from typing import Any

from pointsman.router.values import kind_of

LONGEST = 200


def preview(value: Any, longest: int = LONGEST) -> str:
    """What a person would say of a value ("23 rows: text, sentiment, sentiment_score")."""
    match kind_of(value):
        case "table":
            count = value.get("row_count", len(value["rows"]))
            names = ", ".join(str(c["name"]) for c in value["columns"])
            text = f"{count:,} {'row' if count == 1 else 'rows'}: {names}"
        case "quantity":
            text = f"{value['value']} {value.get('unit') or ''}".strip()
        case "picture":
            text = str(value.get("alt") or "a picture")
        case "file":
            text = str(value["name"])
        case "answer":
            text = str(value["text"] or "no answer in the text")
        case "text":
            text = " ".join(value.split())
        case "list":
            text = f"{len(value):,} items"
        case "object":
            text = ", ".join(
                f"{k}: {v}" for k, v in value.items() if not isinstance(v, dict | list)
            )
        case _:
            text = "nothing" if value is None else str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"
