"""Reading task tokens (tokens.py has the grammar): in pieces, and tolerant of how models write them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pointsman.router.planning.llm.tokens import ATTRIBUTE, RESERVED, TokenFault

LONGEST: Final = 100_000
"""Characters of one token; more is text that never closes."""
BEGIN = re.compile(r"<(?:task:|answer\b|assume\b|unserved\b|ask\b)")
BEGINNINGS: Final = ("<task:", "<answer", "<assume", "<unserved", "<ask")
WORD = re.compile(r"[^\s\"'<>\[\]{},=]+")
BARE = re.compile(r"[^\s<>\[\]{},\"]+")
DECODER = json.JSONDecoder()


class TokenScanner:
    """Finds the tokens of a text that comes in pieces; each task's form as soon as its token closes.

    What is no token is prose and skipped. rest() tells the plan's other parts at the end.
    """

    def __init__(self) -> None:
        self._held = ""
        self._at = 0
        """How far `_held` was looked at for the end of the token that begins it."""
        self._quote = ""
        self._depth = 0
        self._escaped = False
        self._opened = False
        self._parts: dict[str, Any] = {"answer": [], "assumptions": [], "unserved": []}
        self.tasks = 0
        """Tasks found so far."""

    def feed(self, piece: str) -> list[dict[str, Any]]:
        """The forms of the tasks whose tokens this piece closes. Raises TokenFault."""
        self._held += piece
        found: list[dict[str, Any]] = []
        while (token := self._next()) is not None:
            task = self._taken(token)
            if task is not None:
                self.tasks += 1
                found.append(task)
        return found

    def rest(self) -> dict[str, Any]:
        """answer, assumptions, unserved, question. Raises TokenFault when a token was never closed."""
        if self._opened:
            raise TokenFault(f"the token {self._held[:60]!r} is not closed")
        return self._parts

    def _next(self) -> str | None:
        """The next whole token."""
        if not self._opened and not self._open():
            return None
        while self._at < len(self._held):
            char = self._held[self._at]
            self._at += 1
            if self._ends(char):
                token, self._held = self._held[: self._at], self._held[self._at :]
                self._opened = False
                return token
        if len(self._held) > LONGEST:
            raise TokenFault(f"the token {self._held[:60]!r} has no end")
        return None

    def _open(self) -> bool:
        """Drops the prose before the next token; true when one begins."""
        begin = BEGIN.search(self._held)
        if begin is None or (begin.end() == len(self._held) and begin.group()[-1] != ":"):
            # the beginning of a token may have come in part
            cut = self._held.rfind("<") if begin is None else begin.start()
            short = cut >= 0 and any(
                b.startswith(self._held[cut:]) for b in BEGINNINGS if begin is None
            )
            self._held = self._held[cut:] if short or begin is not None else ""
            return False
        self._held = self._held[begin.start() :]
        self._at, self._quote, self._depth, self._escaped = 1, "", 1, False
        self._opened = True
        return True

    def _ends(self, char: str) -> bool:
        """One character inside a token; true for the one that closes it."""
        if self._quote:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == self._quote:
                self._quote = ""
        elif char == '"' or (char == "'" and self._held[self._at - 2] in "= [,:"):
            self._quote = char
        elif char == "<":
            self._depth += 1
        elif char == ">":
            self._depth -= 1
        return self._depth == 0

    def _taken(self, token: str) -> dict[str, Any] | None:
        inner = token[1:-1].strip().removesuffix("/").strip()
        if inner.startswith("task:"):
            return _task_form(inner.removeprefix("task:"))
        word, _, more = inner.partition(" ")
        if word == "answer":
            self._parts["answer"] += re.split(r"[\s,]+", more.strip()) if more.strip() else []
        elif word == "assume":
            self._parts["assumptions"].append(_text(more))
        elif word == "unserved":
            self._parts["unserved"].append(_text(more))
        elif word == "ask":
            self._parts["question"] = _text(more)
        return None


def _text(said: str) -> str:
    value, at = _read(said, 0) if said.strip()[:1] in "\"'" else (said, len(said))
    return str(value).strip() if not said[at:].strip() else said.strip()


def _task_form(inner: str) -> dict[str, Any]:
    """A task's JSON form from what stands in its token."""
    name = WORD.match(inner)
    if name is None:
        raise TokenFault(f"the token '<task:{inner[:40]}' names no capability")
    form: dict[str, Any] = {"capability": name.group(), "arguments": {}}
    for attribute, plain, value in _attributes(inner, name.end()):
        if not plain or attribute not in RESERVED:
            form["arguments"][attribute] = value
        elif attribute in ("id", "title"):
            form[attribute] = value if isinstance(value, str) else json.dumps(value)
        elif attribute == "after":
            form["after"] = _ids(value)
        elif attribute == "each":
            over, limit = _parted(value)
            form["for_each"] = {"over": over, **({"limit": limit[0]} if limit else {})}
        else:
            ref, more = _parted(value)
            form["when"] = {"ref": ref, **dict(zip(("op", "value"), more, strict=False))}
    return form


def _parted(value: Any) -> tuple[Any, list[Any]]:
    """A value and what follows it after colons."""
    return (value.head, value.tail) if isinstance(value, _Colons) else (value, [])


class _Colons:
    """A value with further ones after colons: "<ref a>:eq:3"."""

    def __init__(self, head: Any, tail: list[Any]) -> None:
        self.head, self.tail = head, tail


def _ids(value: Any) -> list[str]:
    given = value if isinstance(value, list) else [value]
    ids: list[str] = []
    for one in given:
        if isinstance(one, Mapping) and isinstance(one.get("$task"), str):
            ids.append(one["$task"])
        else:
            ids += [i for i in re.split(r"[\s,]+", str(one)) if i]
    return ids


def _attributes(text: str, at: int) -> Iterator[tuple[str, bool, Any]]:
    """(name, without "arg:", value) of each. Raises TokenFault."""
    while text[at:].strip():
        name = ATTRIBUTE.match(text, at)
        if name is None:
            raise TokenFault(f"at {text[at : at + 40].strip()!r}: name=value is missing")
        plain = name.group(1) is None
        value, at = _read(text, name.end())
        if plain and name.group(2) in ("each", "when"):
            tail: list[Any] = []
            while text[at : at + 1] == ":":
                one, at = _read(text, at + 1, bare=re.compile(r"[^\s<>\[\]{},\":]+"))
                tail.append(one)
            value = _Colons(value, tail) if tail else value
        elif plain and name.group(2) == "after":
            while text[at : at + 1] == ",":
                one, at = _read(text, at + 1)
                value = [*_ids(value), *_ids(one)]
        yield name.group(2), plain, value


def _read(text: str, at: int, *, bare: re.Pattern[str] = BARE) -> tuple[Any, int]:
    """One value and where it ends. Raises TokenFault."""
    at = _past(text, at)
    first = text[at : at + 1]
    try:
        if first == "<":
            return _ground_form(text, at)
        if first == "[":
            return _list(text, at)
        if first == "{":
            return _object(text, at)
        if first == '"':
            value: Any
            value, end = DECODER.raw_decode(text, at)
            return value, end
    except RecursionError as error:
        raise TokenFault("a value is nested too deeply") from error
    except ValueError as error:
        raise TokenFault(f"at {text[at : at + 40]!r}: {error}") from error
    if first == "'":
        return _single_quoted(text, at)
    word = bare.match(text, at)
    if word is None:
        raise TokenFault(f"at {text[at : at + 40]!r}: a value is missing")
    return _word(word.group()), word.end()


def _word(word: str) -> Any:
    try:
        return json.loads(word, parse_constant=_no_number)
    except ValueError:
        return word


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _single_quoted(text: str, at: int) -> tuple[str, int]:
    end = at + 1
    while end < len(text) and text[end] != "'":
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise TokenFault(f"at {text[at : at + 40]!r}: the quotation does not end")
    return text[at + 1 : end].replace("\\'", "'"), end + 1


def _past(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _list(text: str, at: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _past(text, at + 1)
    while text[at : at + 1] != "]":
        value, at = _read(text, at)
        found.append(value)
        at = _past(text, at)
        if text[at : at + 1] == ",":
            at = _past(text, at + 1)
        elif text[at : at + 1] != "]":
            raise TokenFault(f"at {text[at : at + 40]!r}: the list is not closed")
    return found, at + 1


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _past(text, at + 1)
    while text[at : at + 1] != "}":
        name, at = _read(text, at, bare=re.compile(r"[^\s<>\[\]{},\":]+"))
        at = _past(text, at)
        if text[at : at + 1] != ":":
            raise TokenFault(f"at {text[at : at + 40]!r}: ':' is missing")
        found[str(name)], at = _read(text, at + 1)
        at = _past(text, at)
        if text[at : at + 1] == ",":
            at = _past(text, at + 1)
        elif text[at : at + 1] != "}":
            raise TokenFault(f"at {text[at : at + 40]!r}: the object is not closed")
    return found, at + 1


GROUND = re.compile(r"<\s*(ref|item)(?::(\w+))?((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*)>")


def _ground_form(text: str, at: int) -> tuple[dict[str, Any], int]:
    """A grounding token's JSON form."""
    found = GROUND.match(text, at)
    if found is None:
        raise TokenFault(f"at {text[at : at + 40]!r}: no grounding token")
    word, kind, more = found.groups()
    said = list(_words(more))
    if word == "item":
        return {"$item": _pointer(said[0] if said else "")}, found.end()
    if not said:
        raise TokenFault(f"{found.group()!r} names no result")
    return _reference(found.group(), kind or "", said[0], said[1:]), found.end()


def _words(text: str) -> Iterator[str]:
    at = _past(text, 0)
    while at < len(text):
        if text[at] == '"':
            value, at = DECODER.raw_decode(text, at)
            yield str(value)
        else:
            word = re.compile(r"[^\s\"]+").match(text, at)
            assert word is not None
            at = word.end()
            yield word.group()
        at = _past(text, at)


def _pointer(path: str) -> str:
    return path if not path or path.startswith("/") else f"/{path}"


def _reference(token: str, kind: str, id: str, more: list[str]) -> dict[str, Any]:
    if kind == "artifact":
        return {"$file": " ".join([id, *more])}
    if kind in ("", "result", "table", "text"):
        return {"$task": id, **({"path": _pointer(more[0])} if more else {})}
    numbers = _numbers(more)
    match kind, len(numbers):
        case "row", 1:
            return {"$task": id, "path": f"/rows/{int(numbers[0])}"}
        case "cell", 2:
            return {"$task": id, "path": f"/rows/{int(numbers[0])}/{int(numbers[1])}"}
        case "span", 2:
            start, end = int(numbers[0]), int(numbers[1])
            return {"kind": "span", "of": {"$task": id}, "start": start, "end": end}
        case "region", 4:
            return {"kind": "region", "of": {"$task": id}, "box": numbers}
        case _:
            raise TokenFault(f"{token!r} is no grounding token; see the grammar")


def _numbers(words: Iterable[str]) -> list[int | float]:
    """Numbers between spaces, commas and the dash of a span."""
    found: list[int | float] = []
    for word in re.split(r"[\s,]+|(?<=\d)-(?=\d)", " ".join(words)):
        value = _word(word) if word else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.append(value)
        elif word:
            return []
    return found


__all__ = ["TokenScanner"]
