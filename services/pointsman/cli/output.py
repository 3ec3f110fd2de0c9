"""What is printed, and where: results on stdout, everything else on stderr, nothing that a terminal would
obey."""

import json
import os
import re
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

PIPE_COLUMNS = 160
"""How wide lists are where there is no terminal to say it."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of text."""
PATHLIKE = re.compile(r"[^\s'\"`“”‘’()<>|]+")


def console(*, error: bool = False) -> Console:
    """Made when it is needed: tests and programs may have put other streams in place."""
    made = Console(stderr=error, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_COLUMNS
    return made


def clean(text: str) -> str:
    """Text from files, servers and models without what a terminal would obey."""
    return CONTROL.sub("�", text.replace("\r\n", "\n"))


def document(value: object) -> None:
    """The one JSON document on stdout."""
    sys.stdout.write(json.dumps(jsonable(value), ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def jsonable(value: object) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def complain(message: str) -> None:
    """One clear line on stderr (more only when a server's last words are part of it)."""
    sys.stderr.write(f"pointsman: {clean(message)}\n")


def note(message: str) -> None:
    sys.stderr.write(f"{clean(message)}\n")


def seconds(value: float) -> str:
    """0.12 s, 3.4 s, 2 min 5 s."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def dollars(micro: int) -> str:
    """Micro-dollars in words; most experts cost nothing."""
    return "no cost" if micro == 0 else f"${micro / 1e6:,.6f}".rstrip("0").rstrip(".")


def unsent_files(request: str, sent: list[Path]) -> list[str]:
    """Files and folders here that the request names and that were not sent along."""
    known = {p.resolve() for p in sent}
    found = []
    for match in PATHLIKE.finditer(request):
        word = match.group().strip(",;:!?").rstrip(".")
        if not word.strip("./\\~") or not re.search(r"[./\\]", word):
            continue
        try:
            path = Path(word)
            there = path.exists() and path.resolve() not in known
        except (OSError, ValueError):
            continue
        if there and not any(k in path.resolve().parents for k in known):
            found.append(word)
    return list(dict.fromkeys(found))
