"""Reads stored documents as a table of texts."""

from collections.abc import Iterator
from typing import Final, Literal

from pointsman.experts.base import Call, Done
from pointsman.experts.documents import document_text
from pointsman.experts.models.sentences import split_paragraphs, split_sentences
from pointsman.experts.tables import stored, without_bullet
from pointsman.experts.tools.functions import capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments, BadFile
from pointsman.router.values import TABLE, ColumnType, FileRef, Table

Part = Literal["document", "paragraph", "sentence", "line"]
TOTAL: Final = 256 * 1024 * 1024
"""Characters of all documents of one call."""


@capability(
    "text.read",
    title="read documents",
    examples=[
        "read notes.txt",
        "open the contract",
        "load all documents in the folder",
        "what does the letter say",
        "show me the text of report.md",
        "take the articles in docs/",
        "get the content of page.html",
        "read these Word files",
        "go through my notes",
        "the text of the attached file",
    ],
    composition=[
        "comes first for every question about text files or a folder of them",
        "its table goes to text.search, text.summarize, text.answer, text.entities or text.topics",
    ],
    prior=Prior(quality=0.98, latency=0.05),
    output={
        **TABLE,
        "x-columns": [{"name": "file", "type": "text"}, {"name": "text", "type": "text"}],
    },
)
def read(files: list[FileRef], call: Call, by: Part = "document") -> Done:
    """Reads text files, Markdown, web pages and Word documents, one row for each with its whole text.

    Markup is taken off; encodings are recognised; tables as CSV or JSON are taken as text.

    Args:
        files: the documents to read.
        by: what a row holds: a whole document, or one of its paragraphs, sentences or lines.
    """
    if not files:
        raise BadArguments("there is no document to read; name at least one file")
    rows: list[tuple[str, str]] = []
    skipped: list[BadFile] = []
    for place, file in enumerate(files):
        try:
            rows.append((file.name, document_text(call.files.path(file), file.name)))
        except BadFile as error:
            skipped.append(error)
        call.progress((place + 1) / len(files), f"{place + 1} of {len(files)} documents")
        if sum(len(text) for _, text in rows) > TOTAL:
            raise BadArguments(f"the documents are too long together; read fewer than {place + 1}")
    if not rows:
        raise skipped[0]
    whole = by == "document"
    table = Table.of([("file", "text"), ("text", "text")], rows) if whole else _parts(rows, by)
    words = sum(len(text.split()) for _, text in rows)
    left_out = f"; left out: {'; '.join(str(e) for e in skipped[:3])}" if skipped else ""
    note = (
        f"{len(rows):,} {'document' if len(rows) == 1 else 'documents'}, {words:,} words{left_out}"
    )
    if not whole:
        note += f", {len(table.rows):,} {by}s"
    return Done(stored(table, call.files).to_json(), note)


def _parts(documents: list[tuple[str, str]], by: Part) -> Table:
    """A row for each part, with its number in its document, and the document's name if there are several."""
    rows = [
        (name, number, part)
        for name, text in documents
        for number, part in enumerate(_cut(text, by), 1)
    ]
    columns: list[tuple[str, ColumnType]] = [("file", "text"), (by, "integer"), ("text", "text")]
    if len(documents) == 1:
        return Table.of(columns[1:], [row[1:] for row in rows])
    return Table.of(columns, rows)


def _cut(text: str, by: Part) -> Iterator[str]:
    if by == "line":
        yield from filter(None, map(without_bullet, text.splitlines()))
    elif by == "sentence":
        yield from split_sentences(text)
    else:
        yield from split_paragraphs(text)


TOOLS = (read,)
