"""Tasks out of public sets: six that experts are trained for, and five that are held out.

A part of each training set is the test here where its own test file has too few of a task's texts; files named
test are never trained on. Labels are 0..classes - 1.
"""

import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pointsman.experts.models.compose.exits import layer_means
from pointsman.experts.models.compose.tuning import BELOW, LONGEST, Kept, keep
from pointsman.experts.models.minilm import MiniLm

Labelled = list[tuple[str, str]]
Wanted = Callable[[str], bool]
TRAINED, TESTED = 1_000, 300
"""Texts of a task at most."""
NEUTRAL = 0.5
"""Ratings nearer to zero are left out."""
OTHER = ("love", "anger", "sadness", "fear", "surprise", "optimism")
"""Emotions of the held-out task."""
CARDS = (
    "card_not_working", "declined_card_payment", "pending_card_payment", "card_payment_not_recognised",
    "card_payment_fee_charged", "card_payment_wrong_exchange_rate", "reverted_card_payment?", "request_refund",
    "Refund_not_showing_up", "transaction_charged_twice",
)  # fmt: skip
FAR_DOMAIN = "travel"


@dataclass(frozen=True, slots=True)
class Task:
    """train and test: texts with their label's number. test is shared by all seeds."""

    name: str
    classes: int
    train: list[tuple[str, int]]
    test: list[tuple[str, int]]


def sources(data: Path) -> list[Task]:
    emotions = _emotions(data, lambda e: e not in OTHER and e != "neutral")
    clinc = [_clinc(data, part, lambda d: d != FAR_DOMAIN) for part in ("train", "test")]
    bank = [_bank(data, part, lambda i: i not in CARDS) for part in ("train", "test")]
    home = [_lines(data / f"nlu_home/{part}.jsonl", "intent") for part in ("train", "test")]
    return [
        _task("goods", *_rated(data, "amazonReviewSnippets")),
        _task("films", *_rated(data, "movieReviewSnippets")),
        _task("emotions", *emotions),
        _task("intents", *clinc),
        _task("banking", *bank),
        _task("assistant", *home),
    ]


def held_out(data: Path) -> list[Task]:
    """What no source was trained on: other texts, other labels."""
    travel = [_clinc(data, part, lambda d: d == FAR_DOMAIN) for part in ("train", "test")]
    cards = [_bank(data, part, lambda i: i in CARDS) for part in ("train", "test")]
    return [
        _task("tweets", *_rated(data, "tweets")),
        _task("editorials", *_rated(data, "nytEditorialSnippets")),
        _task("other emotions", *_emotions(data, lambda e: e in OTHER)),
        _task("travel", *travel),
        _task("cards", *cards),
    ]


def _task(
    name: str, train: Labelled, test: Labelled, limits: tuple[int, int] = (TRAINED, TESTED)
) -> Task:
    labels = sorted({label for _, label in train})
    at = {label: n for n, label in enumerate(labels)}
    draw = random.Random(name)
    parts = []
    for part, limit in zip((train, test), limits, strict=True):
        known = sorted({(text, at[label]) for text, label in part if label in at})
        draw.shuffle(known)
        parts.append(known[:limit])
    seen = {text for text, _ in parts[0]}
    return Task(name, len(labels), parts[0], [t for t in parts[1] if t[0] not in seen])


def _read(path: Path) -> Iterable[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines():
        yield json.loads(line)


def _lines(path: Path, label: str) -> Labelled:
    return [(row["text"], row[label]) for row in _read(path)]


def _rated(data: Path, name: str) -> tuple[Labelled, Labelled]:
    """Positive or negative; every fourth document is for the test."""
    parts: tuple[Labelled, Labelled] = ([], [])
    for row in _read(data / f"rated_snippets/{name}.jsonl"):
        if abs(row["rating"]) >= NEUTRAL:
            document = int(row["id"].split("_")[0])
            label = "positive" if row["rating"] > 0 else "negative"
            parts[document % 4 == 0].append((row["text"], label))
    return parts


def _emotions(data: Path, wanted: Wanted) -> tuple[Labelled, Labelled]:
    """Comments with one emotion."""
    names = (data / "goemotions/labels.txt").read_text("utf-8").split()
    made: list[Labelled] = []
    for part in ("train", "dev"):
        rows = [r for r in _read(data / f"goemotions/{part}.jsonl") if len(r["labels"]) == 1]
        named = [(r["text"], names[r["labels"][0]]) for r in rows]
        made.append([(text, name) for text, name in named if wanted(name)])
    return made[0], made[1]


def _clinc(data: Path, part: str, wanted: Wanted) -> Labelled:
    domains = json.loads((data / "clinc150/domains.json").read_text("utf-8"))
    of = {intent: domain for domain, intents in domains.items() for intent in intents}
    rows = _lines(data / f"clinc150/{part}.jsonl", "intent")
    return [(text, intent) for text, intent in rows if intent in of and wanted(of[intent])]


def _bank(data: Path, part: str, wanted: Wanted) -> Labelled:
    return [(t, i) for t, i in _lines(data / f"banking77/{part}.jsonl", "intent") if wanted(i)]


def texts_of(part: Sequence[tuple[str, int]]) -> list[str]:
    return [text for text, _ in part]


def stored(
    what: str, texts: Sequence[str], make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """What was made of these texts before, from the folder for temporary files; else it is made and kept there."""
    digest = hashlib.sha256("\0".join([what, *texts]).encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / "pointsman-compose" / f"{digest}.safetensors"
    if path.exists():
        return load_file(path)
    made = make()
    path.parent.mkdir(exist_ok=True)
    save_file(made, path)
    return made


def kept(model: MiniLm, part: Sequence[tuple[str, int]]) -> tuple[Kept, Tensor]:
    """States of the texts below the adapters, and their labels."""

    def make() -> dict[str, Tensor]:
        found = keep(model, texts_of(part))
        return {"tokens": found.tokens, "starts": found.starts}

    found = stored(f"kept {BELOW} {LONGEST}", texts_of(part), make)
    return Kept(found["tokens"], found["starts"]), torch.tensor([label for _, label in part])


def whole(data: Path) -> list[Task]:
    """Three sets of intents with all their labels, and a part of their texts."""
    made = []
    for folder, name, limits in (
        ("clinc150", "intents", (4_000, 1_200)),
        ("banking77", "banking", (2_000, 800)),
        ("nlu_home", "assistant", (2_000, 800)),
    ):
        train, test = (
            _lines(data / folder / f"{part}.jsonl", "intent") for part in ("train", "test")
        )
        made.append(_task(name, train, test, limits))
    return made


def means_of(model: MiniLm, part: Sequence[tuple[str, int]]) -> tuple[Tensor, Tensor]:
    """Unit vectors after each layer, [LAYERS, texts, 384], and the labels."""
    texts = texts_of(part)
    found = stored("layers", texts, lambda: {"means": layer_means(model, texts)})
    return found["means"], torch.tensor([label for _, label in part])
