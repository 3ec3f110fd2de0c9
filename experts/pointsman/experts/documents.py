"""Stored documents as text: plain text and Markdown as they are, HTML and Word without their markup."""

import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from pointsman.experts.formats import decoded, format_of
from pointsman.router.errors import BadFile

TEXT_LIMIT: Final = 64 * 1024 * 1024
WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
UNSEEN: Final = frozenset(("script", "style", "head", "template", "noscript", "svg"))
BLOCKS: Final = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "table", "section", "article", "header", "footer")
) | {f"h{n}" for n in range(1, 7)}


def document_text(path: Path, name: str) -> str:
    """The text of a document. Raises BadFile when it is empty, too long, or has no text."""
    if path.stat().st_size > TEXT_LIMIT:
        raise BadFile(name, f"a document may have {TEXT_LIMIT // 1024**2} MiB; split it")
    form = format_of(path, name)
    if form == "docx":
        return _word_text(path, name)
    if form in ("parquet", "xlsx"):
        raise BadFile(name, "it is a table, not a text; read it as a table")
    if form == "picture":
        raise BadFile(name, "it is a picture; there is no text to read in it")
    if form == "pdf":
        raise BadFile(name, "PDF is not read; save its text as .txt or .docx")
    text = decoded(path.read_bytes(), name).lstrip("\ufeff").replace("\r\n", "\n")
    text = text.replace("\r", "\n").replace("\x00", "")
    return html_text(text) if form == "html" else text


def html_text(html: str) -> str:
    """What a reader of the page sees, blocks on lines of their own."""
    stripper = _Stripper()
    stripper.feed(html)
    stripper.close()
    lines = (" ".join(line.split()) for line in "".join(stripper.seen).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Stripper(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in UNSEEN
        if tag in BLOCKS:
            self.seen.append("\n")
        elif tag in ("td", "th"):
            self.seen.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "body":
            self._hidden = 0
        if tag in BLOCKS:
            self.seen.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(re.sub(r"\s+", " ", data))


def _word_text(path: Path, name: str) -> str:
    """Paragraphs of the body, one a line (ECMA-376: w:p holds w:t, w:tab and w:br)."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("word/document.xml").file_size > TEXT_LIMIT:
                raise BadFile(name, "its text is too long; split it")
            content = archive.read("word/document.xml")
        if b"<!DOCTYPE" in content[:1024]:
            raise BadFile(name, "it declares a document type, which no Word document does")
        root = ElementTree.fromstring(content)
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, OSError, EOFError) as error:
        raise BadFile(name, "it is a damaged document; save it again") from error
    except (RuntimeError, NotImplementedError, ValueError) as error:
        raise BadFile(name, "it is protected or damaged; save it without a password") from error
    paragraphs = ("".join(map(_word_piece, p.iter())) for p in root.iter(f"{WORD}p"))
    return "\n".join(paragraphs).strip()


def _word_piece(node: ElementTree.Element) -> str:
    if node.tag == f"{WORD}t":
        return node.text or ""
    return {f"{WORD}tab": "\t", f"{WORD}br": "\n"}.get(node.tag, "")
