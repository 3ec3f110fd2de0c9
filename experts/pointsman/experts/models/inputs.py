"""What the retrieval experts read from a call: texts with the table they stand in, or documents."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import WithJsonSchema

from pointsman.experts.base import Call
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.tables import document_of, stored, texts_of
from pointsman.router.errors import BadArguments
from pointsman.router.values import TEXTS, Json, Table, is_kind

Texts: TypeAlias = Annotated[Any, WithJsonSchema(dict(TEXTS))]
"""A parameter that takes a table, a list of texts or one text."""

PARTS = frozenset(("line", "paragraph", "sentence"))
"""Columns that number the parts of documents: each row is a text of its own."""

Document: TypeAlias = tuple[str | None, str]


async def rows_in(texts: Any, column: str | None, call: Call) -> tuple[list[str], Table]:
    """The texts, one per row, and the whole table. Raises BadArguments when there is no text at all."""
    found, table = await asyncio.to_thread(texts_of, texts, column, call.files)
    if not any(t.strip() for t in found):
        raise BadArguments(f"{call.capability}: there is no text to read; give at least one")
    return found, table


async def documents_in(texts: Any, column: str | None, call: Call) -> list[Document]:
    """(file name, text) pairs; the rows of a table that holds no documents are one document each."""
    if is_documents(texts) and column is None:
        pairs = await asyncio.to_thread(document_of, texts, call.files)
        if not any(text.strip() for _, text in pairs):
            raise BadArguments(f"{call.capability}: the text is empty; give one with words")
        return pairs
    found, _ = await rows_in(texts, column, call)
    return [(None, text) for text in found]


def is_documents(texts: Any) -> bool:
    """Whether a value is one text, or a table with a text for each file."""
    if isinstance(texts, str):
        return True
    value: Any = texts.to_json() if isinstance(texts, Table) else texts
    if not is_kind(value, "table"):
        return False
    names = {str(c["name"]).casefold() for c in value["columns"]}
    return {"file", "text"} <= names and not names & PARTS


async def vectors_of(
    encoder: Encoder, texts: list[str], call: Call, what: str, *, upto: float = 0.8
) -> Vectors:
    """Embeds with the call's deadline; progress runs from 0 to `upto`."""
    tell: Callable[[float], None] = lambda share: call.progress(  # noqa: E731
        upto * share, f"reading {what}: {share:.0%} of {len(texts):,}"
    )
    return await encoder.embed(texts, deadline=call.deadline, progress=tell)


async def kept(table: Table, call: Call) -> Json:
    """The table as a slot may hold it."""
    whole = await asyncio.to_thread(stored, table, call.files)
    return whole.to_json()
