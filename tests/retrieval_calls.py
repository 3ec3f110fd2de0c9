"""Calls of the retrieval experts, for their tests."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.retrieval import experts_on
from pointsman.router.values import FileRef


class NoFiles:
    """These experts are given values whole; a file that is asked for is a defect."""

    def path(self, file: FileRef | str) -> Path:
        raise AssertionError(f"no file is stored: {file}")

    def create(self, name: str, media_type: str, content: bytes) -> FileRef:
        raise AssertionError(f"no file is to be stored: {name}")

    def adopt(self, name: str, media_type: str, path: Path) -> FileRef:
        raise AssertionError(f"no file is to be stored: {name}")


def call(encoder: Encoder, capability: str, **arguments: Any) -> Done:
    expert = next(e for e in experts_on(encoder) if capability in e.card.serves)
    return asyncio.run(expert.run(Call(capability, arguments, NoFiles(), time.time() + 60)))


def rows(done: Done) -> list[dict[str, Any]]:
    table: Any = done.value
    names = [c["name"] for c in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def texts(count: int) -> Sequence[str]:
    return [f"text number {n} " + "word " * (n % 40) for n in range(count)]
