"""Keeps what an answer is made of as files in a folder."""

import json
import re
from pathlib import Path

from pointsman.client import Answer, Client, Part

EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}


def save(client: Client, answer: Answer, folder: Path) -> list[Path]:
    """Writes answer.md and each part: tables as CSV with all rows, pictures and files as they are, texts
    as text, the rest as JSON. Files that are there are never overwritten. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = [_write(folder, "answer.md", (answer.text + "\n").encode())]
    for part in answer.parts:
        name, content = _content(client, answer, part)
        kept.append(_write(folder, name, content))
    return kept


def _content(client: Client, answer: Answer, part: Part) -> tuple[str, bytes]:
    value, stem = part.value, safe_name(part.title or part.task)
    if part.kind == "table":
        return f"{stem}.csv", client.download(answer.run, part.task, "csv")
    if part.kind == "picture" and isinstance(value, dict):
        extension = EXTENSIONS.get(str(value.get("media_type")), "")
        return f"{stem}{extension}", client.content(str(value["file"]))
    if part.kind == "file" and isinstance(value, dict):
        return safe_name(str(value["name"])), client.content(str(value["id"]))
    if isinstance(value, str):
        return f"{stem}.txt", f"{value}\n".encode()
    return f"{stem}.json", json.dumps(value, ensure_ascii=False, indent=2).encode()


def safe_name(name: str) -> str:
    """The last part of a name, of characters that every file system takes; never hidden or empty."""
    last = re.split(r"[/\\]", name)[-1]
    kept = re.sub(r"[^\w.()-]+", "-", last).strip("-. ")
    return kept[:100] or "result"


def _write(folder: Path, name: str, content: bytes) -> Path:
    first = folder / name
    path, number = first, 2
    while True:
        try:
            with path.open("xb") as out:
                out.write(content)
            return path
        except FileExistsError:
            path = first.with_stem(f"{first.stem}-{number}")
            number += 1
