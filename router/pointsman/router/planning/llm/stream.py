"""Reading a model's JSON: while it streams, and out of the prose that may stand around it."""

import json
import re
from typing import Any, Final

THOUGHT: Final = "<think>"
THOUGHT_END: Final = "</think>"


class ThoughtFilter:
    """Drops a leading `<think>...</think>`, which some models write before the answer."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "unknown"

    def feed(self, piece: str) -> str:
        """The part of the text so far that is answer and was not given before."""
        if self._state == "answer":
            return piece
        self._held += piece
        if self._state == "unknown":
            start = self._held.lstrip()
            if THOUGHT.startswith(start[: len(THOUGHT)]) and len(start) < len(THOUGHT):
                return ""
            self._state = "thought" if start.startswith(THOUGHT) else "answer"
        if self._state == "thought":
            _, end, rest = self._held.partition(THOUGHT_END)
            if not end:
                return ""
            self._held, self._state = rest, "answer"
        given, self._held = self._held, ""
        return given

    def end(self) -> str:
        """What was held back at the end of the text, when it turned out to be answer."""
        return self._held if self._state == "unknown" else ""


class TaskScanner:
    """Finds the complete objects of the top object's "tasks" array in JSON that comes in pieces.

    Text before the object is skipped, as are objects without "tasks". Each character is looked at once.
    What is not JSON gives no task: the parse of the whole says why.
    """

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._in_string = False
        self._escaped = False
        self._string: list[str] = []
        self._key: str | None = None
        self._in_tasks = False
        self._element: list[str] | None = None
        self._over = False

    def feed(self, piece: str) -> list[dict[str, Any]]:
        """The objects that this piece completes, in order."""
        found: list[dict[str, Any]] = []
        for char in piece:
            if self._over:
                break
            element = self._take(char)
            if element is None:
                continue
            try:
                found.append(json.loads(element))
            except (ValueError, RecursionError):
                self._over = True
        return found

    def _take(self, char: str) -> str | None:
        """One character; the text of an element when it is its last."""
        if self._element is not None:
            self._element.append(char)
        if self._in_string:
            self._take_in_string(char)
        elif char == '"' and self._stack:
            self._in_string, self._string = True, []
        elif char in "{[":
            self._open(char)
        elif char in "}]":
            return self._close(char)
        elif len(self._stack) == 1 and self._stack[0] == "{":
            if char == ":":
                self._key = "".join(self._string)
            elif char == ",":
                self._key = None
        return None

    def _take_in_string(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False
            return
        elif char == "\n":  # not allowed in JSON: this was prose
            self._restart()
            return
        if len(self._stack) == 1:
            self._string.append(char)

    def _open(self, char: str) -> None:
        if not self._stack and char == "[":
            return
        if self._in_tasks and len(self._stack) == 2 and char == "{":
            self._element = [char]
        elif len(self._stack) == 1 and char == "[" and self._key == "tasks":
            self._in_tasks = True
        self._stack.append(char)

    def _close(self, char: str) -> str | None:
        if not self._stack:
            return None
        if self._stack.pop() != ("{" if char == "}" else "["):
            self._restart()
            return None
        depth = len(self._stack)
        if depth == 2 and self._element is not None:
            text, self._element = "".join(self._element), None
            return text
        if depth == 1 and self._in_tasks:
            self._over = True
        elif depth == 0:
            self._restart()
        return None

    def _restart(self) -> None:
        self._over = self._in_tasks
        self._stack, self._in_string, self._escaped = [], False, False
        self._string, self._key, self._element = [], None, None


def extract_json(text: str, *, key: str | None = None) -> Any:
    """The JSON value in a model's answer: the whole text, a fenced block, or the first object in it.

    key: prefer the first object that has this key. Raises ValueError that says what is wrong.
    """
    stripped = text.strip()
    fenced = re.search(r"```(?:json)?\s*\n(.*?)\n?\s*```", stripped, re.DOTALL)
    fault: ValueError | None = None
    for candidate in (stripped, fenced.group(1) if fenced else None):
        if candidate is None:
            continue
        try:
            return json.loads(candidate)
        except ValueError as error:
            fault = fault or error
        except RecursionError as error:
            raise ValueError("the answer is nested too deeply") from error
    found = _objects(stripped)
    for value in found:
        if key is None or key in value:
            return value
    if not stripped:
        raise ValueError("the answer is empty")
    if "{" not in stripped:
        raise ValueError(f"the answer holds no JSON object; it begins {stripped[:80]!r}")
    raise ValueError(f"the answer is not JSON: {fault}")


def _objects(text: str, *, tries: int = 50) -> list[dict[str, Any]]:
    """Objects that stand in a text, left to right, not those inside others."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    at = text.find("{")
    while at >= 0 and tries > 0:
        tries -= 1
        try:
            value, end = decoder.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    return found


__all__ = ["TaskScanner", "ThoughtFilter", "extract_json"]
