"""Plain operations on text: counting, finding, replacing, case, order. All take linear time.

Regular expressions that a user gives run under a time limit (the `regex` package has one).
"""

import asyncio
import re
import time
from collections import Counter
from typing import Annotated, Any, Literal, TypeAlias

import regex
from pydantic import Field, WithJsonSchema

from pointsman.experts.base import Call, Done
from pointsman.experts.tables import document_of, stored
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, TEXTS, Quantity, Table

Texts: TypeAlias = Annotated[Any, WithJsonSchema(dict(TEXTS))]
Count: TypeAlias = Literal["words", "characters", "lines", "sentences", "paragraphs"]

PATTERN_SECONDS = 2.0
"""How long a user's regular expression may run on all of the text."""
LONGEST_PATTERN = 1_000
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
SENTENCE = re.compile(r"(?<![.!?…])[.!?…]+(?:[\"'”’)\]]*)(?=\s|$)")
STOPWORDS = frozenset(
    """a about after all also am an and any are as at be because been but by can could did do does for from had has
    have he her here him his how i if in into is it its just me more most my no not of on one or our out over she
    so some than that the their them then there these they this those to too up us very was we were what when where
    which while who why will with would you your s t""".split()
)
PRIOR = Prior(quality=0.98, latency=0.02)


async def _documents(text: Any, call: Call) -> list[tuple[str | None, str]]:
    return await asyncio.to_thread(document_of, text, call.files)


async def _whole(text: Any, call: Call) -> str:
    return "\n\n".join(body for _, body in await _documents(text, call))


@capability(
    "text.count",
    title="count words, lines or a phrase",
    examples=(
        "how many words are in speech.txt",
        "word count of this document",
        "how many lines does the log have",
        "count the characters in this text",
        "how many sentences are there",
        "how many paragraphs does the letter have",
        "how often does the word 'budget' occur",
        "how many times is Berlin mentioned",
        "number of occurrences of 'error'",
        "what is the length of this essay in words",
    ),
    composition=("text.read goes before it, for files",),
    prior=PRIOR,
)
async def count(
    call: Call, text: Texts, what: Count = "words", phrase: str | None = None
) -> Quantity:
    """Counts the words, characters, lines, sentences or paragraphs of a text, or how often a phrase occurs.

    Args:
        text: the text.
        what: what is counted when no phrase is given.
        phrase: count how often this word or phrase occurs, without regard to case.
    """
    body = await _whole(text, call)
    if phrase:
        pattern = rf"(?<!\w){re.escape(phrase)}(?!\w)" if phrase[0].isalnum() else re.escape(phrase)
        return Quantity(_decimal(len(re.findall(pattern, body, re.IGNORECASE))), "occurrences")
    counted = {
        "words": lambda: sum(any(c.isalnum() for c in w) for w in body.split()),
        "characters": lambda: len(body),
        "lines": lambda: len(body.splitlines()),
        "sentences": lambda: _sentences(body),
        "paragraphs": lambda: len([p for p in re.split(r"\n\s*\n", body) if p.strip()]),
    }[what]()
    return Quantity(_decimal(counted), what)


def _decimal(number: int) -> Any:
    return Quantity.from_json(number).value


def _sentences(body: str) -> int:
    ends = len(SENTENCE.findall(body))
    tail = SENTENCE.split(body)[-1]
    return ends + bool(WORD.search(tail))


@capability(
    "text.word_frequency",
    title="list the most frequent words",
    examples=(
        "what are the most common words in speech.txt",
        "ten most frequent words",
        "which words are used most often",
        "word frequency of this text",
        "top 20 words in the reviews",
        "show the most used words",
        "which word occurs most",
        "frequency table of words",
    ),
    output={
        **TABLE,
        "x-columns": [{"name": "word", "type": "text"}, {"name": "count", "type": "integer"}],
    },
    prior=PRIOR,
)
async def word_frequency(
    call: Call, text: Texts, limit: Annotated[int, Field(ge=1, le=1000)] = 10
) -> Done:
    """Lists the words that occur most often in a text, without the commonest function words.

    Args:
        text: the text.
        limit: how many words.
    """
    body = (await _whole(text, call)).lower().replace("’", "'")
    counts = Counter(w for w in WORD.findall(body) if w not in STOPWORDS and not w.isdigit())
    rows = sorted(counts.items(), key=lambda wc: (-wc[1], wc[0]))[:limit]
    table = Table.of([("word", "text"), ("count", "integer")], rows)
    return Done(table.to_json(), "common function words (the, and, of ...) are left out")


@capability(
    "text.replace",
    title="replace words in a text",
    examples=(
        "replace 'Acme' with 'Globex' in contract.txt",
        "change every 'colour' to 'color'",
        "substitute Berlin by Munich in the letter",
        "find and replace foo with bar",
        "swap the name Smith for Jones",
        "replace all dates matching \\d{4} with YEAR using a regex",
        "turn every comma into a semicolon",
        "replace the word apple by pear",
    ),
    prior=PRIOR,
)
async def replace(
    call: Call, text: Texts, find: str, replacement: str, regex: bool = False
) -> Done:
    """Replaces every occurrence of a word, phrase or regular expression in a text.

    Args:
        text: the text.
        find: what is replaced.
        replacement: what stands in its place.
        regex: whether `find` is a regular expression.
    """
    if not find:
        raise BadArguments("there is nothing to find; say which words are to be replaced")
    body = await _whole(text, call)
    if regex:
        changed, number = await asyncio.to_thread(_replaced, find, replacement, body)
    else:
        number = body.count(find)
        changed = body.replace(find, replacement)
        if not number:
            pattern = re.compile(re.escape(find), re.IGNORECASE)
            changed, number = pattern.subn(lambda _: replacement, body)
    times = "once" if number == 1 else f"{number:,} times"
    return Done(changed, f"{find!r} was replaced {times}" if number else f"{find!r} does not occur")


def _replaced(find: str, replacement: str, body: str) -> tuple[str, int]:
    try:
        changed, number = _compiled(find).subn(replacement, body, timeout=PATTERN_SECONDS)
    except TimeoutError:
        raise BadArguments(
            f"the pattern {find!r} takes too long on this text; simplify it"
        ) from None
    except (regex.error, IndexError) as error:
        raise BadArguments(f"the replacement {replacement!r} is not valid: {error}") from error
    return str(changed), int(number)


def _compiled(pattern: str) -> "regex.Pattern[str]":
    if len(pattern) > LONGEST_PATTERN:
        raise BadArguments(f"the pattern is longer than {LONGEST_PATTERN} characters")
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise BadArguments(f"{pattern!r} is not a regular expression: {error}") from error


@capability(
    "text.change_case",
    title="change upper and lower case",
    examples=(
        "make this text upper case",
        "convert the headline to title case",
        "lowercase everything in notes.txt",
        "write it in capital letters",
        "uppercase the text",
        "put this in sentence case",
        "turn the letter into all caps",
        "change to small letters",
    ),
    prior=PRIOR,
)
async def change_case(
    call: Call, text: Texts, case: Literal["upper", "lower", "title", "sentence"]
) -> str:
    """Writes a text in upper, lower, title or sentence case.

    Args:
        text: the text.
        case: upper, lower, title (Each Word) or sentence (first word only).
    """
    body = await _whole(text, call)
    match case:
        case "upper":
            return body.upper()
        case "lower":
            return body.lower()
        case "title":
            return re.sub(r"[^\W\d_]+(?:['’][^\W\d_]+)*", lambda m: m.group().capitalize(), body)
        case _:
            return re.sub(
                r"(^\s*|[.!?]\s+)([^\W\d_])",
                lambda m: m.group(1) + m.group(2).upper(),
                body.lower(),
            )


@capability(
    "text.find",
    title="find lines that contain words",
    examples=(
        'show lines in server.log containing "ERROR"',
        "find every line with the word invoice",
        "grep for timeout in the log",
        "which lines mention Berlin",
        "lines that contain an e-mail address by regex",
        "list the lines with 'TODO'",
        "find all lines starting with 2024 by regular expression",
        "where does the word deadline appear",
    ),
    output={
        **TABLE,
        "x-columns": [
            {"name": "file", "type": "text"},
            {"name": "line", "type": "integer"},
            {"name": "text", "type": "text"},
        ],
    },
    prior=PRIOR,
)
async def find(call: Call, text: Texts, pattern: str, regex: bool = False) -> Done:
    """Finds the lines that contain a word, a phrase or a match of a regular expression.

    Args:
        text: the text.
        pattern: what a line must contain; case does not matter unless it is a regular expression.
        regex: whether `pattern` is a regular expression.
    """
    if not pattern:
        raise BadArguments("there is nothing to find; say which words the lines should contain")
    documents = await _documents(text, call)
    rows = await asyncio.to_thread(_found, documents, pattern, regex)
    table = Table.of([("file", "text"), ("line", "integer"), ("text", "text")], rows)
    kept = await asyncio.to_thread(stored, table, call.files)
    return Done(kept.to_json(), f"{len(rows):,} lines contain {pattern!r}")


def _found(
    documents: list[tuple[str | None, str]], pattern: str, is_regex: bool
) -> list[list[Any]]:
    compiled = _compiled(pattern) if is_regex else None
    folded = pattern.casefold()
    rows: list[list[Any]] = []
    until = time.monotonic() + PATTERN_SECONDS
    for name, body in documents:
        for number, line in enumerate(body.splitlines(), 1):
            try:
                hit = compiled and compiled.search(
                    line, timeout=max(0.001, until - time.monotonic())
                )
            except TimeoutError:
                raise BadArguments(f"the pattern {pattern!r} takes too long; simplify it") from None
            if hit or (compiled is None and folded in line.casefold()):
                rows.append([name, number, line.strip()])
    return rows


@capability(
    "text.sort_lines",
    title="sort the lines of a text",
    examples=(
        "sort these lines alphabetically",
        "put the list in alphabetical order",
        "alphabetize names.txt",
        "sort the lines in reverse order",
        "sort and remove duplicate lines",
        "order the entries from A to Z",
        "unique lines, sorted",
        "sort the names from z to a",
    ),
    prior=PRIOR,
)
async def sort_lines(
    call: Call, text: Texts, descending: bool = False, unique: bool = False
) -> str:
    """Sorts the lines of a text, without regard to case.

    Args:
        text: the text, or a list.
        descending: from Z to A.
        unique: each line once.
    """
    body = await _whole(text, call)
    lines = [line for line in body.splitlines() if line.strip()]
    if unique:
        lines = list(dict.fromkeys(lines))
    return "\n".join(sorted(lines, key=lambda line: (line.casefold(), line), reverse=descending))


TOOLS = (count, word_frequency, replace, change_case, find, sort_lines)
TEXTS_EXPERT = ToolExpert("texts", "Counts, finds and changes text", TOOLS)
