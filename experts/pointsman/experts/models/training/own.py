"""Makes an expert from labelled texts: probe, adapter, choice on the validation part, calibration, card.

What is chosen is chosen on the validation part; the test part is looked at once, for the card.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pointsman.experts.models.adapters import save_adapter
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.readings import EMBEDDING, Head
from pointsman.experts.models.registry.folder import digests, opened, save_head
from pointsman.experts.models.registry.manifest import (
    BACKBONE,
    HEAD,
    MANIFEST,
    Canary,
    Card,
    Manifest,
    Scores,
    backbone_sha256,
)
from pointsman.experts.models.registry.updating import outputs
from pointsman.experts.models.training.adapting import ALPHA, Adapted, adapt, prefixes
from pointsman.experts.models.training.examples import Example, Labelled, Parts, split
from pointsman.experts.models.training.probing import (
    Vectors,
    calibration_error,
    centroids,
    judged,
    linear_probe,
    majority,
    scores,
    temperature,
)

MINUTES = 5.0
BETTER = 0.005
"""By how much more of the validation part an adapter must get right to be worth its weight."""
TOKENS = 1_000_000
"""Of the train part: what an adapter is trained on is kept in memory, 768 bytes a token."""
CANARIES = 64

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an expert is to be called and where its texts come from, for the card and the catalog."""

    name: str
    column: str = "label"
    title: str = ""
    description: str = ""
    examples: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    made_by: str = ""


def fit_expert(
    model: MiniLm,
    given: Labelled,
    wish: Wish,
    folder: Path,
    *,
    test: Sequence[Example] | None = None,
    minutes: float = MINUTES,
    seed: int = 0,
    told: Told = lambda _: None,
) -> Manifest:
    """Writes an expert to an empty folder, as the registry takes it. Same input and seed, same expert, unless the
    minutes end first. Raises BadExpert.
    """
    began = time.monotonic()
    labels = given.labels
    parts = split(given.examples, seed=seed, test=test)
    told(
        f"{len(parts.train):,} texts to train on, {len(parts.validation):,} to choose by, "
        f"{len(parts.test):,} to test with, {len(labels)} labels"
    )
    ids = {p: _tokens(model, getattr(parts, p)) for p in ("train", "validation", "test")}
    places = {p: _places(getattr(parts, p), labels) for p in ("train", "validation", "test")}
    train, validation = (
        Vectors(_embedded(model, getattr(parts, p)), places[p]) for p in ("train", "validation")
    )
    probe = linear_probe(train, validation, len(labels))
    probed = scores(probe, validation.vectors)
    right = {"linear probe": judged(probed, places["validation"]).accuracy}
    told(f"frozen encoder and linear probe: validation accuracy {right['linear probe']:.3f}")
    notes = list(given.notes)
    adapted = None
    ends = began + 60 * minutes
    if time.monotonic() >= ends:
        notes.append("the minutes were over before an adapter was tried")
    elif right["linear probe"] + BETTER < 1.0:
        rows = _within(ids["train"])
        if len(rows) < len(ids["train"]):
            notes.append(f"the adapter was trained on {len(rows):,} of the train texts")
        adapted = adapt(
            model,
            prefixes(model, [ids["train"][i] for i in rows], places["train"][rows]),
            prefixes(model, ids["validation"], places["validation"]),
            probe,
            ends=ends,
            seed=seed,
            told=told,
        )
        right["adapter"] = judged(adapted.validation, places["validation"]).accuracy
        if right["adapter"] <= right["linear probe"] + BETTER:
            adapted = None
    numbers = adapted.validation if adapted is not None else probed
    heat = temperature(numbers, places["validation"])
    _write(folder, adapted, adapted.head if adapted is not None else probe, heat)
    kept: Literal["adapter", "head"] = "adapter" if adapted is not None else "head"
    told(f"kept: the {kept}; temperature {heat:.2f}")
    base = {"nearest centroid": centroids(train, len(labels)), "majority": majority(train, len(labels)), "linear probe": probe}  # fmt: skip
    card = Card(
        source=wish.source,
        licence=wish.licence,
        made_by=wish.made_by,
        train_texts=len(parts.train),
        validation_texts=len(parts.validation),
        test_texts=len(parts.test),
        validation={k: round(v, 4) for k, v in right.items()},
        temperature=round(heat, 4),
        kept=kept,
        notes=tuple(notes),
    )
    manifest = Manifest(
        name=wish.name,
        kind="sequence",
        labels=labels,
        column=wish.column,
        title=wish.title,
        description=wish.description,
        examples=wish.examples,
        backbone_sha256=backbone_sha256(),
        files=digests(folder),
        card=card,
        canaries=_canaries(parts.validation),
    )
    _keep(folder, manifest)
    tested, errors = _tested(model, folder, parts, places["test"], base, heat)
    seconds = round(time.monotonic() - began, 1)
    card = card.model_copy(
        update={"scores": tested, "calibration_error": errors, "seconds": seconds}
    )
    manifest = manifest.model_copy(update={"card": card})
    _keep(folder, manifest)
    return manifest


def _tokens(model: MiniLm, examples: Sequence[Example]) -> list[list[int]]:
    return [t.ids for t in model.tokenize([e.text for e in examples])]


def _places(examples: Sequence[Example], labels: Sequence[str]) -> Tensor:
    at = {label: place for place, label in enumerate(labels)}
    return torch.tensor([at.get(e.label, -1) for e in examples], dtype=torch.int64)


def _embedded(model: MiniLm, examples: Sequence[Example]) -> Tensor:
    """By the order of their lengths, so that little is padded."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].text))
    made = outputs(model, EMBEDDING, [examples[i].text for i in order])
    found = torch.empty(len(order), 384)
    found[order] = torch.stack([torch.from_numpy(m) for m in made])
    return found


def _within(ids: Sequence[list[int]]) -> list[int]:
    """Texts whose states have room, spread evenly over all labels."""
    total = sum(len(i) + 2 for i in ids)
    step = max(1, -(-total // TOKENS))
    return list(range(0, len(ids), step))


def _write(folder: Path, adapted: Adapted | None, head: Head, heat: float) -> None:
    save_head(folder / HEAD, Head(head.weights / heat, head.bias / heat))
    if adapted is not None:
        save_adapter(folder, adapted.weights, alpha=ALPHA, base=BACKBONE, dtype=torch.float16)


def _keep(folder: Path, manifest: Manifest) -> None:
    text = manifest.model_dump_json(indent=1, exclude_defaults=True)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def _tested(
    model: MiniLm,
    folder: Path,
    parts: Parts,
    labels: Tensor,
    base: dict[str, Head],
    heat: float,
) -> tuple[dict[str, Scores], tuple[float, float]]:
    """Scores of what was written, as it will be served, and of what one would use otherwise."""
    order = sorted(range(len(parts.test)), key=lambda i: len(parts.test[i].text))
    texts, labels = [parts.test[i].text for i in order], labels[order]
    numbers = torch.stack([torch.from_numpy(o) for o in outputs(model, opened(folder), texts)])
    plain = torch.stack([torch.from_numpy(o) for o in outputs(model, EMBEDDING, texts)])
    found = {"expert": judged(numbers, labels)}
    found |= {name: judged(scores(head, plain), labels) for name, head in base.items()}
    return found, (calibration_error(numbers * heat, labels), calibration_error(numbers, labels))


def _canaries(validation: Sequence[Example]) -> tuple[Canary, ...]:
    """Some of the validation part, of as many labels as there is room for."""
    step = max(1, len(validation) // CANARIES)
    chosen = validation[::step][:CANARIES]
    return tuple(Canary(text=e.text, label=e.label) for e in chosen)
