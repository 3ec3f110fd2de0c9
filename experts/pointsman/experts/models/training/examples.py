"""Labelled texts from a person's file, and how they are split: read strictly, with errors that name the line."""

import csv
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.experts.models.registry.manifest import MOST_LABELS
from pointsman.router.errors import BadExpert

FORMS = (".csv", ".tsv", ".jsonl", ".ndjson")
LEAST = 5
"""Texts of each label: with fewer there is none left to check by."""
MOST = 200_000
SHARE = 0.15
"""Of the texts of a label, for validation and for testing each."""
LONGEST = 2_000
"""Characters of a text that are used: more than the 256 tokens that the encoder reads."""
csv.field_size_limit(1 << 24)


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a file holds. notes: what was left out and why, for people."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({e.label for e in self.examples}))


@dataclass(frozen=True, slots=True)
class Parts:
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


def read_examples(path: Path, text: str, label: str, *, to_test: bool = False) -> Labelled:
    """The texts in a column and their labels in another. Raises BadExpert.

    to_test: nothing is learned from them, so a label may have a single text.
    """
    if path.suffix.casefold() not in FORMS:
        raise BadExpert(f"{path.name}: give a file that ends with {', '.join(FORMS)}")
    try:
        rows = list(_rows(path, text, label))
    except OSError as error:
        raise BadExpert(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadExpert(
            f"{path.name} is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise BadExpert(f"{path.name} is no CSV: {error}") from error
    found = _clean(rows)
    if not to_test:
        _enough(found, path.name)
    elif not found.examples:
        raise BadExpert(f"{path.name} has no text with a label")
    return found


def _rows(path: Path, text: str, label: str) -> Iterator[tuple[str, str]]:
    lined = path.suffix.casefold() in (".jsonl", ".ndjson")
    for number, row in _objects(path) if lined else _records(path, text, label):
        missing = [c for c in (text, label) if c not in row]
        if missing:
            raise BadExpert(
                f"{path.name}, line {number}: there is no {missing[0]!r}; "
                f"it has {', '.join(map(repr, list(row)[:20])) or 'nothing'}"
            )
        value = row[label]
        if isinstance(value, list | dict):
            raise BadExpert(
                f"{path.name}, line {number}: {label!r} is a {type(value).__name__}; one label a text is needed"
            )
        if number > MOST + 1:
            raise BadExpert(f"{path.name} has more than {MOST:,} rows; take a part of them")
        yield _said(row[text]), _said(value)


def _objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadExpert(f"{path.name}, line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise BadExpert(f"{path.name}, line {number}: an object is needed on each line")
            yield number, row


def _records(path: Path, text: str, label: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        delimiter = max("\t;," if path.suffix == ".tsv" else ",;\t", key=first.count)
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        names = reader.fieldnames or []
        for column in (text, label):
            if column not in names:
                raise BadExpert(
                    f"{path.name} has no column {column!r}; it has {', '.join(map(repr, names[:20])) or 'none'}"
                )
        for row in reader:
            yield reader.line_num, row


def _said(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _clean(rows: Sequence[tuple[str, str]]) -> Labelled:
    """Without what is empty, and each text once: the same text in two parts of a split would be seen before."""
    notes = []
    whole = [(t[:LONGEST], n) for t, n in rows if t and n]
    if len(whole) < len(rows):
        notes.append(f"{len(rows) - len(whole):,} rows without a text or a label are left out")
    told: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, str] = {}
    for text, label in whole:
        key = text.casefold()
        told[key][label] += 1
        first.setdefault(key, text)
    torn = {key for key, labels in told.items() if len(labels) > 1}
    if torn:
        notes.append(f"{len(torn):,} texts that have several labels are left out")
    kept = tuple(Example(first[k], next(iter(told[k]))) for k in first if k not in torn)
    again = len(whole) - len(kept) - sum(sum(told[k].values()) for k in torn)
    if again:
        notes.append(f"{again:,} rows repeat a text and are left out")
    return Labelled(kept, tuple(notes))


def _enough(found: Labelled, name: str) -> None:
    counts = Counter(e.label for e in found.examples)
    if len(counts) < 2:
        have = f"only {next(iter(counts))!r}" if counts else "none"
        raise BadExpert(f"{name}: at least two different labels are needed, there is {have}")
    if len(counts) > MOST_LABELS:
        raise BadExpert(
            f"{name} has {len(counts):,} different labels, at most {MOST_LABELS:,} can be told apart; "
            "is that the right column?"
        )
    few = sorted(f"{label!r} ({n})" for label, n in counts.items() if n < LEAST)
    if few:
        raise BadExpert(
            f"{name}: each label needs at least {LEAST} different texts; too few have {', '.join(few[:10])}"
            + (f" and {len(few) - 10} more" if len(few) > 10 else "")
            + "; add some, or take these rows out"
        )


def split(
    examples: Sequence[Example], *, seed: int, test: Sequence[Example] | None = None
) -> Parts:
    """By label, so that each is in every part. test: given texts; then none of the examples are held back for it,
    and examples with a text of these are left out."""
    seen = {e.text.casefold() for e in test or ()}
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if example.text.casefold() not in seen:
            by_label[example.label].append(example)
    chance = random.Random(seed)
    train: list[Example] = []
    validation: list[Example] = []
    held: list[Example] = []
    for label in sorted(by_label):
        own = sorted(by_label[label], key=lambda e: e.text)
        chance.shuffle(own)
        count = max(1, round(SHARE * len(own)))
        validation += own[:count]
        after = count if test is not None else 2 * count
        held += own[count:after]
        train += own[after:]
    return Parts(tuple(train), tuple(validation), tuple(held if test is None else test))
