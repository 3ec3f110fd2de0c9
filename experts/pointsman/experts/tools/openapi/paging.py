"""Pages after the first: found in the answer, asked for up to a cap, laid together.

Four ways are known: a `Link` header with rel="next" (RFC 8288), a number of the page beside a number of pages,
a cursor that the answer gives and a parameter takes, and an address of the next page in the answer. A call that
says itself which page it wants is not continued.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pointsman.experts.tools.openapi.operations import Operation, Parameter

NUMBERS = ("page", "page_number", "pagenumber", "page_no", "p")
CURSORS = ("cursor", "page_token", "pagetoken", "next_token", "nexttoken", "continuation", "after",
           "starting_after", "next_cursor")  # fmt: skip
GIVEN = ("next_cursor", "nextcursor", "next_page_token", "nextpagetoken", "next_token", "nexttoken", "cursor",
         "continuation", "after")  # fmt: skip
TOTALS = ("total_pages", "totalpages", "page_count", "pages", "last_page")
ADDRESSES = ("next", "next_url", "next_page_url", "nextlink", "@odata.nextlink")
ROOMS = ("meta", "pagination", "paging", "links", "_links", "page_info", "response_metadata")
LINK = re.compile(r'<([^>]*)>\s*;[^,]*?\brel="?next"?', re.I)

More = Mapping[str, Any]


class Paging:
    """Which arguments ask for the next page of one operation."""

    def __init__(self, operation: Operation) -> None:
        query = [p for p in operation.parameters if p.place == "query"]
        self._query = {p.name: p for p in query}
        self._number = _named(query, NUMBERS)
        self._cursor = _named(query, CURSORS)
        self.possible = operation.method == "GET"

    def asked(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call says which page it wants."""
        own = [p.argument for p in (self._number, self._cursor) if p is not None]
        return any(arguments.get(a) is not None for a in own)

    def following(
        self, arguments: Mapping[str, Any], headers: Mapping[str, str], value: Any
    ) -> More | None:
        """The arguments of the next page; None when this was the last, or nobody can tell."""
        link = LINK.search(headers.get("link", ""))
        if link is not None:
            return self._by_address(arguments, link.group(1))
        if not isinstance(value, Mapping):
            return None
        rooms = [value, *(value[r] for r in ROOMS if isinstance(value.get(r), Mapping))]
        return (
            self._by_number(arguments, rooms)
            or self._by_cursor(arguments, rooms)
            or self._by_next(arguments, rooms)
        )

    def _by_number(self, arguments: Mapping[str, Any], rooms: list[Any]) -> More | None:
        if self._number is None:
            return None
        total = _found(rooms, TOTALS)
        page = arguments.get(self._number.argument) or 1
        if not _counts(total) or not _counts(page) or page >= total:
            return None
        return {**arguments, self._number.argument: page + 1}

    def _by_cursor(self, arguments: Mapping[str, Any], rooms: list[Any]) -> More | None:
        if self._cursor is None:
            return None
        cursor = _found(rooms, GIVEN)
        if not isinstance(cursor, str | int) or cursor in (
            "",
            arguments.get(self._cursor.argument),
        ):
            return None
        return {**arguments, self._cursor.argument: cursor}

    def _by_next(self, arguments: Mapping[str, Any], rooms: list[Any]) -> More | None:
        address = _found(rooms, ADDRESSES)
        if isinstance(address, Mapping):
            address = address.get("href")
        return self._by_address(arguments, address) if isinstance(address, str) else None

    def _by_address(self, arguments: Mapping[str, Any], address: str) -> More | None:
        """What an address changes of the query. It is not called as it stands: only its arguments are taken."""
        changed: dict[str, Any] = {}
        for name, text in parse_qsl(urlsplit(address).query):
            parameter = self._query.get(name)
            if parameter is None:
                continue
            kind = parameter.schema.get("type")
            value: Any = int(text) if kind == "integer" and text.isdecimal() else text
            if kind in ("integer", "string") and arguments.get(parameter.argument) != value:
                changed[parameter.argument] = value
        own = {p.argument for p in (self._number, self._cursor) if p is not None}
        return {**arguments, **changed} if changed.keys() & own else None


def _named(parameters: list[Parameter], names: tuple[str, ...]) -> Parameter | None:
    return next((p for n in names for p in parameters if p.name.casefold() == n), None)


def _found(rooms: list[Any], names: tuple[str, ...]) -> Any:
    for room in rooms:
        for name, value in room.items():
            if name.casefold() in names and value is not None:
                return value
    return None


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def together(pages: list[Any]) -> Any:
    """Pages as one value: lists end to end, objects as the first with its list continued."""
    first = pages[0]
    if isinstance(first, list):
        return [item for page in pages if isinstance(page, list) for item in page]
    name = list_of(first)
    if name is None:
        return first
    items = [i for p in pages if isinstance(p, Mapping) for i in p.get(name) or ()]
    return {**first, name: items}


def list_of(value: Any) -> str | None:
    """The one list of objects that a page holds; None when there is none, or more than one."""
    if not isinstance(value, Mapping):
        return None
    lists: list[str] = [n for n, v in value.items() if isinstance(v, list)]
    usual = [n for n in lists if n in ("items", "results", "data", "value", "entries", "records")]
    if usual:
        return usual[0]
    return lists[0] if len(lists) == 1 else None
