"""Texts cut into paragraphs, sentences and passages, with the place of each in the text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


LONGEST = 1_000
"""Characters; a "sentence" without an end (a log, a table pasted as text) is cut here, at a space."""

_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_END = re.compile(
    r"""[.!?\u2026\u3002\uff01\uff1f]+["'\u201d\u2019)\]]*(?=\s|$)|[\u3002\uff01\uff1f]|\n+"""
)
_BULLET = re.compile(r"[-*\u2022\u2013]\s|\d{1,3}[.)]\s|#{1,6}\s|[A-Z][\w ]{0,30}:")
_ABBREVIATIONS = _listed(
    """
    mr mrs ms dr prof sr jr st vs etc e.g i.e eg ie cf al fig figs no nos vol pp p inc ltd co corp
    llc dept approx est ca jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri
    sat sun u.s u.k a.m p.m gen col sgt capt lt rev hon gov sen rep ed eds tel ext min max avg art
    sec par
    """
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """text == whole[start:end]; `number` counts from 0 over the whole text, `paragraph` likewise."""

    text: str
    start: int
    end: int
    number: int
    paragraph: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring sentences of one text, as it is written there: text == whole[start:end]."""

    text: str
    start: int
    end: int
    sentences: tuple[Sentence, ...]


def sentences_of(text: str) -> list[Sentence]:
    """Sentences in order. Headings, list items and lines that look like records stand alone."""
    found: list[Sentence] = []
    for paragraph, (start, end) in enumerate(_paragraphs(text)):
        for low, high in _spans(text, start, end):
            found.append(Sentence(text[low:high], low, high, len(found), paragraph))
    return found


def split_sentences(text: str) -> list[str]:
    """Only the texts of the sentences."""
    return [s.text for s in sentences_of(text)]


def split_paragraphs(text: str) -> list[str]:
    """What stands between blank lines."""
    return [text[low:high].strip() for low, high in _paragraphs(text)]


def passages_of(text: str, *, size: int = 3, overlap: int = 1, longest: int = 900) -> list[Passage]:
    """Passages of `size` sentences, `overlap` of them shared with the one before, within `longest` characters.

    A passage does not reach over a blank line unless the paragraph has fewer than `size` sentences.
    """
    sentences = sentences_of(text)
    passages: list[Passage] = []
    at = 0
    while at < len(sentences):
        end = at + 1
        while (
            end < len(sentences)
            and end - at < size
            and sentences[end].end - sentences[at].start <= longest
        ):
            end += 1
        part = tuple(sentences[at:end])
        passages.append(
            Passage(text[part[0].start : part[-1].end], part[0].start, part[-1].end, part)
        )
        if end >= len(sentences):
            break
        at = max(at + 1, end - overlap)
    return passages


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _BLANK_LINE.finditer(text):
        if text[start : gap.start()].strip():
            yield start, gap.start()
        start = gap.end()
    if text[start:].strip():
        yield start, len(text)


def _spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Trimmed spans of the sentences in text[start:end]."""
    low = start
    for stop in _END.finditer(text, start, end):
        if stop.end() <= low:
            continue
        if _ends_here(text, low, stop, end):
            yield from _trimmed(text, low, stop.end())
            low = stop.end()
    if low < end:
        yield from _trimmed(text, low, end)


def _ends_here(text: str, low: int, stop: re.Match[str], end: int) -> bool:
    mark = stop.group()
    if mark[0] == "\n":
        return _line_ends(text, low, stop, end)
    after = text[stop.end() : end].lstrip()
    if mark[0] != ".":
        return not after or not after[0].islower()
    word = re.search(r"[\w.]*$", text[low : stop.start()])
    before = word.group().casefold() if word else ""
    abbreviated = before in _ABBREVIATIONS and not (before == "no" and after[:1].isupper())
    if abbreviated or (len(before) == 1 and before.isalpha() and after[:1].isupper()):
        return not after
    if before.isdigit() and text[low : stop.start()].strip() == before:
        return False
    return not after or not after[0].islower()


def _line_ends(text: str, low: int, stop: re.Match[str], end: int) -> bool:
    """A line break ends a sentence unless the line was only wrapped."""
    line = text[low : stop.start()].strip()
    following = text[stop.end() : end].lstrip()
    if not line or not following:
        return bool(line)
    if _BULLET.match(following) or line[0] == "#":
        return True
    wrapped = len(line) >= 50 and not line.endswith((":", ";"))
    continues = following[0].islower() or line.endswith(",")
    return not (wrapped or continues)


def _trimmed(text: str, low: int, high: int) -> Iterator[tuple[int, int]]:
    while low < high and text[low].isspace():
        low += 1
    while high > low and text[high - 1].isspace():
        high -= 1
    while high - low > LONGEST:
        space = text.rfind(" ", low, low + LONGEST)
        cut = space if space > low else low + LONGEST
        yield low, cut
        low = cut + (1 if space > low else 0)
    if high > low:
        yield low, high


def joined(sentences: Sequence[Sentence], text: str) -> str:
    """Sentences as running text; a blank line where paragraphs between them change is kept as a space."""
    return " ".join(" ".join(text[s.start : s.end].split()) for s in sentences)
