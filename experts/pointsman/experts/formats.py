"""What a file is, from its content first and its name second, and its text in UTF-8."""

import codecs
import csv
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pointsman.router.errors import BadFile

Format = Literal[
    "csv", "json", "jsonl", "parquet", "xlsx", "docx", "html", "text", "picture", "pdf"
]

SAMPLE: Final = 128 * 1024
"""Bytes at the head of a file that are looked at to tell what it is."""

PICTURES: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN: Final = frozenset(
    "ÄÖÜäöüßÀÂÇÈÉÊËÎÏÔÙÛàâçèéêëîïôùûŒœÁÍÓÚÑáíóúñ¿¡ÅÆØåæøÃÕãõÌÒìò€£§°©®™–—‘’“”„«»…·•\u00a0"
)
"""Characters of Windows-1252 that Western languages use; a text with others is in another encoding."""

DELIMITERS: Final = ",\t;|"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the lines of a delimited text are cut. skip: physical lines before the first row of cells."""

    delimiter: str
    skip: int = 0


def format_of(path: Path, name: str) -> Format:
    """Raises BadFile when the file is empty, binary of no known kind, or of a kind that is not read."""
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    if not head.strip():
        raise BadFile(name, "it is empty")
    known = _by_magic(path, name, head)
    if known is not None:
        return known
    text = decoded(head, name)
    if not text.strip("\ufeff \t\r\n"):
        raise BadFile(name, "it has nothing but blank lines")
    return _text_format(text, Path(name).suffix.lower(), len(head) == SAMPLE)


def _by_magic(path: Path, name: str, head: bytes) -> Format | None:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return _packed(path, name)
    if head.startswith(b"%PDF-"):
        return "pdf"
    if head.startswith(PICTURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "picture"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise BadFile(name, "it is in the old format of Office; save it as .xlsx or .docx")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"7z\xbc\xaf")):
        raise BadFile(name, "it is compressed; unpack it first")
    return None


def _packed(path: Path, name: str) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError) as error:
        raise BadFile(name, "it is a damaged archive; upload it again") from error
    if "xl/workbook.xml" in members:
        return "xlsx"
    if "word/document.xml" in members:
        return "docx"
    raise BadFile(name, "it is an archive; unpack it and upload the files in it")


def _text_format(text: str, suffix: str, cut: bool) -> Format:
    start = text.lstrip("\ufeff \t\r\n")
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if start[0] in "[{" and (suffix == ".json" or re.match(r"[\[{]\s*[\[{\"\]}\dtfn-]", start)):
        lines = [line for line in start.splitlines() if line.strip()]
        many = len(lines) > 1 and all(re.fullmatch(r"\{.*\}\s*", x) for x in lines[:2])
        return "jsonl" if many else "json"
    if suffix in (".html", ".htm", ".xhtml") or re.match(r"(?i)<!doctype html|<html", start):
        return "html"
    if suffix in (".csv", ".tsv", ".tab", ".psv"):
        return "csv"
    if suffix in (".md", ".markdown", ".rst", ".xml", ".py", ".yaml", ".yml", ".log", ".json"):
        return "text"
    return "csv" if looks_delimited(text, cut=cut) else "text"


def looks_delimited(text: str, *, cut: bool) -> bool:
    """Whether a text without a suffix that says so is a delimited table, and no prose with commas."""
    dialect = dialect_of(text, cut=cut)
    if dialect is None:
        return False
    cut_rows = _cells(text, dialect.delimiter, cut=cut)[: 200 + dialect.skip]
    rows = [r for r, _ in cut_rows if any(c.strip() for c in r)]
    if not rows:
        return False
    width = max({len(r) for r in rows}, key=[len(r) for r in rows].count)
    regular = [r for r in rows if len(r) == width]
    if len(regular) < 2 or len(regular) < 0.9 * len(rows) or len(rows) * width < 6:
        return False
    if any(not c.strip() or len(c) > 64 for c in regular[0]):
        return False
    cells = [c for r in regular[1:] for c in r[1:]]
    spaced = sum(c.startswith(" ") for c in cells) > len(cells) / 2
    return dialect.delimiter != "," or not spaced or all(re.search(r"\d", c) for c in cells)


def dialect_of(text: str, *, cut: bool) -> Dialect | None:
    """The delimiter that cuts the lines most evenly; None when the text has one column.

    text: the head of the file; cut: whether it ends in the middle of a line.
    """
    declared = re.match(r"\ufeff?sep=(.)\r?\n", text)
    if declared:
        return Dialect(declared.group(1), 1)
    best: tuple[float, Dialect] | None = None
    for delimiter in DELIMITERS:
        rows = [(len(r), line) for r, line in _cells(text, delimiter, cut=cut)[:500] if r]
        widths = [w for w, _ in rows]
        if not widths or max(widths) < 2:
            continue
        if delimiter == "," and _is_prose(text, widths):
            continue
        width = max(set(widths), key=lambda w: (widths.count(w) * (w > 1), w))
        first = widths.index(width)
        share = widths.count(width) / len(widths)
        if width < 2 or share < 0.5 or first > 10 or any(w > 1 for w in widths[:first]):
            continue
        score = share + min(width, 10) / 1000
        if best is None or score > best[0]:
            best = score, Dialect(delimiter, rows[first - 1][1] if first else 0)
    return best[1] if best else None


def _is_prose(text: str, widths: list[int]) -> bool:
    """A single column whose sentences have commas: no comma in its header, spaces after the others."""
    spaced = len(re.findall(r",[ \n]", text)) > 0.8 * text.count(",")
    return widths[0] == 1 and spaced


def _cells(text: str, delimiter: str, *, cut: bool) -> list[tuple[list[str], int]]:
    """Rows of cells with the number of the last line of each."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    rows: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            rows.append((row, reader.line_num))
            if len(rows) > 1_000:
                return rows
    except csv.Error:
        pass  # a field longer than the reader takes: what came before it is what there is to go by
    return rows[:-1] if cut and len(rows) > 1 else rows


def encoding_of(head: bytes, name: str) -> str:
    """The encoding of a text from its first bytes. Raises BadFile when they are no text."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    sample = head[:4096]
    nulls = sample.count(0)
    if nulls:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if max(even, odd) > 0.3 * len(sample) / 2 and min(even, odd) < 0.05 * len(sample) / 2:
            return "utf-16-le" if odd > even else "utf-16-be"
        raise BadFile(name, "it is binary, not text or a table")
    controls = sum(b < 32 and b not in b"\t\n\r\f\x1b" for b in sample)
    if controls > 0.02 * len(sample):
        raise BadFile(name, "it is binary, not text or a table")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _legacy(head, name)
    return "utf-8"


def _legacy(head: bytes, name: str) -> str:
    """Windows' Western code page when its reading makes Western words, else what is most likely."""
    from charset_normalizer import from_bytes

    high = {c for c in head.decode("cp1252", "replace") if c > "\x7f"}
    foreign = {c for c in high if c not in WESTERN}
    share = sum(b >= 128 for b in head) / len(head)
    if not foreign and share <= 0.5:
        return "cp1252"
    best = from_bytes(head[:16384]).best()
    if best is None and share < 0.05:
        return "latin-1"
    return _guessed(head, name, best)


def _guessed(head: bytes, name: str, best: object) -> str:
    encoding = getattr(best, "encoding", None)
    if encoding is None or not looks_written(head.decode(str(encoding), "replace")):
        raise BadFile(name, "it is binary, or text in an unknown encoding; save it as UTF-8")
    return str(encoding)


def looks_written(text: str) -> bool:
    """Whether characters are mostly letters, digits, spaces and common marks, as in real text."""
    if not text:
        return False
    usual = sum(c.isalnum() or c.isspace() or c in ".,;:!?'\"()-/%€$&@#_|\t" for c in text)
    return usual / len(text) > 0.85


def decoded(content: bytes, name: str) -> str:
    """A text whose head this is; a character cut off at the end is left out. Raises BadFile."""
    decoder = codecs.getincrementaldecoder(encoding_of(content[:SAMPLE], name))("replace")
    return decoder.decode(content)


def head_text(path: Path, name: str) -> tuple[str, bool]:
    """The beginning of a text file, and whether there is more of it. Raises BadFile."""
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    return decoded(head, name), path.stat().st_size > SAMPLE


def utf8_path(path: Path, name: str, folder: Path) -> Path:
    """The file itself when it is UTF-8, else a copy in UTF-8 in `folder`. Reads a MiB at a time."""
    with path.open("rb") as file:
        encoding = encoding_of(file.read(SAMPLE), name)
    if encoding.startswith("utf-8") and _is_utf8(path):
        return path
    fallback = "cp1252" if encoding.startswith("utf-8") else encoding
    copy = folder / "utf8.txt"
    with (
        path.open("r", encoding=fallback, errors="replace", newline="") as source,
        copy.open("w", encoding="utf-8", newline="") as target,
    ):
        while block := source.read(1024 * 1024):
            target.write(block)
    return copy


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(1024 * 1024):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
