"""What a request names: files, web addresses, quoted phrases, and lists or texts written into it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import PurePosixPath

from pointsman.router.errors import UnknownFile
from pointsman.router.values import FileProfile

SUFFIXES = (
    "csv|tsv|xlsx|xls|xlsm|ods|jsonl|ndjson|json|parquet|feather|txt|md|markdown|rst|log|html?|pdf|docx?|"
    "pptx?|rtf|xml|ya?ml|eml|png|jpe?g|gif|zip|gz|py|js|ini|toml|sql|sqlite|db"
)
URL = re.compile(r"https?://[^\s<>\"'“”]+[^\s<>\"'“”.,;:!?)\]}]", re.IGNORECASE)
FILE_NAME = re.compile(rf"(?<![\w/@.-])[\w][\w./-]*\.(?:{SUFFIXES})\b(?![\w/])", re.IGNORECASE)
QUOTED = re.compile(
    r"\"([^\"\n]{1,5000})\"|“([^”\n]{1,5000})”|«([^»\n]{1,5000})»|`([^`\n]{1,5000})`"
    r"|(?<![\w])'((?:[^'\n]|(?<=\w)'(?=\w)){1,5000})'(?!\w)|‘([^’\n]{1,5000})’(?!\w)"
)
OUTPUT_NAME = re.compile(
    r"\b(?:as|into|in|to|called|named)\s+(?:a\s+file\s+)?(?:called\s+|named\s+)?$", re.IGNORECASE
)
SAVING = re.compile(r"\b(?:save|export|write|store|output|download|dump)\b", re.IGNORECASE)
BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):]|[a-z]\))\s+(.*\S)\s*$", re.MULTILINE)
COUNTED = re.compile(r"(?<!\S)\(?(\d{1,2})[.):]\s+(?=\S)")
TRAILING = re.compile(r"(?:\s+[—–-]+|\s*[;,.])\s+(?:as|into|by)\s+\S.*$", re.IGNORECASE)
"""What is wanted of items, said after the last of them: "… 3) love it — as praise or complaint"."""
SEVERAL = re.compile(r"\b(?:these|those|following|list|each of|all of|\w{3,}s)\b", re.IGNORECASE)
LEAD = re.compile(
    r"^\W*(?:from|in|for|using|with|about|regarding|re|on|based on|given|according to)\b[^.!?\n]{0,80}$",
    re.I,
)
ASKS = re.compile(
    r"^(?:what|which|who|whom|whose|when|where|why|how|is|are|does|do|did|was|were|can|could)\b",
    re.I,
)
BODY = re.compile(r":[ \t]*(?:\n+|(?=\S))")
DATA_WORDS = (
    r"(?:data ?set|data ?base|spreadsheet|csv|tsv|excel|workbook|sheet|table|parquet|jsonl?|data)"
)
TEXT_WORDS = r"(?:documents?|docs?|texts?|articles?|reports?|notes?|pages?|letters?|essays?|papers?|transcripts?|folder|directory)"


@dataclass(frozen=True, slots=True)
class FileMention:
    """Files named at text[start:end]. `exact`: by full name; otherwise by stem or by folder."""

    start: int
    end: int
    files: tuple[FileProfile, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """A phrase of the request; `text` is what it says (without its quotation marks)."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mentions:
    """Everything that was found. `items`: a list written into the request; `body`: a text written into it.

    `body_start`: where the list or the text begins; the instructions stand before `body_start` or after
    `body_end`. corrected: file names taken for a close one, as (written, taken).
    """

    files: tuple[FileMention, ...] = ()
    urls: tuple[Span, ...] = ()
    quotes: tuple[Span, ...] = ()
    items: tuple[str, ...] = ()
    body: str | None = None
    body_start: int = 0
    body_end: int = 0
    corrected: tuple[tuple[str, str], ...] = ()

    def protected(self) -> list[tuple[int, int]]:
        """Spans that are never cut."""
        spans: Iterable[FileMention | Span] = (*self.files, *self.urls, *self.quotes)
        return [(s.start, s.end) for s in spans]


def find_mentions(text: str, files: Sequence[FileProfile]) -> Mentions:
    """Raises UnknownFile when a file is named that is not at hand."""
    urls = tuple(Span(m.start(), m.end(), m.group()) for m in URL.finditer(text))
    items, body, start, end = _written_in(text)
    quotes = tuple(
        Span(m.start(), m.end(), next(g for g in m.groups() if g is not None))
        for m in QUOTED.finditer(text)
        if not (start <= m.start() < end)
    )
    if not items and len(quotes) >= 3 and _is_listing(text, quotes):
        items, start, end = tuple(q.text for q in quotes), quotes[0].start, quotes[-1].end
        quotes = ()
    taken = [(s.start, s.end) for s in (*urls, *quotes)] + ([(start, end)] if end else [])
    named, corrected = _named(text, files, taken)
    return Mentions(named, urls, quotes, items, body, start, end, corrected)


def _is_listing(text: str, quotes: Sequence[Span]) -> bool:
    gaps = [text[a.end : b.start] for a, b in pairwise(quotes)]
    return all(re.fullmatch(r"[\s,;|]*(?:and|or|&)?\s*", g) for g in gaps)


def _written_in(text: str) -> tuple[tuple[str, ...], str | None, int, int]:
    """A list (bullets, or lines after a colon) or a longer text after a colon."""
    bullets = list(BULLET.finditer(text))
    if len(bullets) >= 2:
        return (
            tuple(b.group(1).strip("\"'“”") for b in bullets),
            None,
            bullets[0].start(),
            bullets[-1].end(),
        )
    counted = _counted_in(text)
    if counted is not None:
        return counted
    for colon in BODY.finditer(text):
        rest = text[colon.end() :].rstrip()
        if URL.match(text, max(0, colon.start() - 5)) or text[colon.start() + 1 :][:2] == "//":
            continue
        lines = [line.strip() for line in rest.splitlines() if line.strip()]
        start = colon.end()
        if LEAD.match(text[: colon.start()]) or (len(lines) == 1 and ASKS.match(rest)):
            continue  # "In lease.txt: what is the rent" introduces a question, not a text
        if len(lines) >= 2 and "\n" in colon.group():
            if max(len(line) for line in lines) <= 300:
                return tuple(line.strip("\"'“”,") for line in lines), None, start, start + len(rest)
            return (), rest, start, start + len(rest)
        listed = _listed_in(rest, text[: colon.start()])
        if listed:
            return listed, None, start, start + len(rest)
        if len(rest.split()) >= 4 and not QUOTED.match(rest):
            return (), rest, start, start + len(rest)
    return (), None, 0, 0


def _counted_in(text: str) -> tuple[tuple[str, ...], None, int, int] | None:
    """ "1) one thing 2) another": items that are numbered from 1 on in one line."""
    marks: list[re.Match[str]] = []
    for mark in COUNTED.finditer(text):
        if int(mark[1]) == len(marks) + 1:
            marks.append(mark)
    if len(marks) < 2:
        return None
    ends = [m.start() for m in marks[1:]] + [len(text.rstrip())]
    items = tuple(
        text[m.end() : end].strip(' \t\n,;"“”') for m, end in zip(marks, ends, strict=True)
    )
    wish = TRAILING.search(items[-1])
    if wish is not None:
        ends[-1] -= len(items[-1]) - wish.start()
        items = (*items[:-1], items[-1][: wish.start()])
    return (items, None, marks[0].start(), ends[-1]) if all(items) else None


def _listed_in(rest: str, before: str) -> tuple[str, ...]:
    """Items between semicolons; or between commas, where several things were announced and all are short."""
    if rest.count(";") >= 2:
        return tuple(p.strip() for p in rest.split(";") if p.strip())
    parts = [re.sub(r"^(?:and|or)\s+", "", p.strip()).strip("\"'“”.") for p in rest.split(",")]
    if len(parts) == 2 or not SEVERAL.search(before):
        parts = []
    if parts and (two := re.fullmatch(r"(.+?)\s+(?:and|or)\s+(.+)", parts[-1])):
        parts[-1:] = [two[1], two[2]]
    short = all(0 < len(p.split()) <= 4 for p in parts)
    return tuple(parts) if len(parts) >= 3 and short else ()


def _named(
    text: str, files: Sequence[FileProfile], taken: Sequence[tuple[int, int]]
) -> tuple[tuple[FileMention, ...], tuple[tuple[str, str], ...]]:
    found: list[FileMention] = []
    corrected: list[tuple[str, str]] = []
    busy = list(taken)

    def free(start: int, end: int) -> bool:
        return not any(start < e and s < end for s, e in busy)

    def take(mention: FileMention) -> None:
        found.append(mention)
        busy.append((mention.start, mention.end))

    for written, group, exact in _names(files):
        for match in re.finditer(rf"(?<![\w.-]){re.escape(written)}(?![\w-])", text, re.IGNORECASE):
            if free(*match.span()):
                take(FileMention(match.start(), match.end(), group, exact))
    inside = taken[-1:] if taken else ()
    for match in FILE_NAME.finditer(text):
        quoted_name = any(s <= match.start() and match.end() <= e for s, e in taken)
        if not free(*match.span()) or (quoted_name and inside) or _is_output(text, match.start()):
            continue
        close = get_close_matches(
            match.group().lower(), [f.ref.name.lower() for f in files], 1, 0.8
        )
        if not close:
            raise UnknownFile(match.group(), tuple(f.ref.name for f in files))
        file = next(f for f in files if f.ref.name.lower() == close[0])
        corrected.append((match.group(), file.ref.name))
        take(FileMention(match.start(), match.end(), (file,)))
    return tuple(sorted(found, key=lambda m: m.start)), tuple(corrected)


def _names(files: Sequence[FileProfile]) -> list[tuple[str, tuple[FileProfile, ...], bool]]:
    """How each file, and each folder of files, may be written; longest first."""
    names: dict[str, tuple[tuple[FileProfile, ...], bool]] = {}
    for file in files:
        path = PurePosixPath(file.ref.name.replace("\\", "/"))
        names[file.ref.name] = ((file,), True)
        names.setdefault(path.name, ((file,), True))
    for file in files:
        path = PurePosixPath(file.ref.name.replace("\\", "/"))
        for folder in path.parents:
            if str(folder) not in (".", "/"):
                inside = tuple(f for f in files if f.ref.name.startswith(f"{folder}/"))
                names.setdefault(f"{folder}/", (inside, True))
                names.setdefault(str(folder), (inside, False))
        spaced = re.sub(r"[_-]+", " ", path.stem)
        for stem in (path.stem, spaced):
            if len(stem) >= 3:
                names.setdefault(stem, ((file,), False))
    return sorted(((n, g, e) for n, (g, e) in names.items()), key=lambda n: -len(n[0]))


def _is_output(text: str, start: int) -> bool:
    return bool(OUTPUT_NAME.search(text[:start]) and SAVING.search(text[:start]))


def meant_by_kind(text: str, files: Sequence[FileProfile]) -> tuple[FileProfile, ...]:
    """Files that a generic phrase means: "the spreadsheet", "these documents", "both files"."""
    tables = tuple(f for f in files if f.shape == "table")
    texts = tuple(f for f in files if f.shape == "text")
    lowered = text.lower()
    if re.search(
        r"\b(?:all|both|these|those|the|my|each|every|attached)\s+(?:\w+\s+)?files\b", lowered
    ):
        return tuple(files)
    if re.search(
        rf"\b(?:the|this|my|these|those|all|attached|in|each|every)\s+(?:\w+\s+)?{DATA_WORDS}s?\b",
        lowered,
    ):
        return tables
    if re.search(
        rf"\b(?:the|this|my|these|those|all|attached|in|each|every)\s+(?:\w+\s+)?{TEXT_WORDS}\b",
        lowered,
    ):
        return texts
    return ()
