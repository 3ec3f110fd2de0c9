"""A new version of an expert is tried on the canaries of the one that serves before it takes its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.mixing import Mixer
from pointsman.experts.models.readings import Floats, Reading, read
from pointsman.experts.models.registry.folder import ExpertFolder, Registered
from pointsman.experts.models.registry.manifest import Canary, Manifest, read_manifest
from pointsman.router.errors import BadExpert

WORSE = 0.05
"""Share of the canaries by which a new version may be worse."""
ROWS = 32


@dataclass(frozen=True, slots=True)
class Added:
    """served: whether it answers now. breaking: why it does not, or what was accepted."""

    name: str
    version: int
    served: bool
    breaking: tuple[str, ...] = ()


def register(folder: ExpertFolder, source: Path, model: MiniLm, *, accept: bool = False) -> Added:
    """Adds a version, tries it, and lets it serve unless that would break something and is not accepted.

    A version that does not serve is deleted again. Raises BadExpert when its files are not sound.
    """
    manifest = read_manifest(source)
    version = folder.add(source)
    new = folder.open(manifest.name, version)
    try:
        _sound(new, model)
        old = folder.open(manifest.name) if manifest.name in folder else None
        breaking = _breaking(old, new, model) if old is not None else ()
    except BadExpert:
        folder.drop(manifest.name, version)
        raise
    if breaking and not accept:
        folder.drop(manifest.name, version)
        return Added(manifest.name, version, False, breaking)
    folder.serve(manifest.name, version)
    return Added(manifest.name, version, True, breaking)


def _sound(new: Registered, model: MiniLm) -> None:
    for output in outputs(model, new.reading, ["", "a first text", "word " * 300]):
        if not np.isfinite(output).all():
            raise BadExpert(f"{new.manifest.name}: its numbers are not finite on a plain text")


def _breaking(old: Registered, new: Registered, model: MiniLm) -> tuple[str, ...]:
    told = _changes(old.manifest, new.manifest)
    if not told and old.manifest.canaries and new.manifest.kind == "sequence":
        before, after = (share_right(model, r, old.manifest.canaries) for r in (old, new))
        if after < before - WORSE:
            told.append(
                f"of {len(old.manifest.canaries)} canaries it gets {after:.0%} right, "
                f"version {old.version} gets {before:.0%}"
            )
    return tuple(told)


def _changes(old: Manifest, new: Manifest) -> list[str]:
    told = []
    if old.kind != new.kind:
        told.append(f"it was a {old.kind} expert and is a {new.kind} expert")
    gone = [label for label in old.labels if label not in new.labels]
    if gone:
        told.append(f"labels that are gone: {', '.join(gone[:5])}")
    fresh = [label for label in new.labels if label not in old.labels]
    if fresh:
        told.append(f"labels that are new: {', '.join(fresh[:5])}")
    if old.column != new.column:
        told.append(f"its column is {new.column!r} and was {old.column!r}")
    return told


def share_right(model: MiniLm, expert: Registered, canaries: Sequence[Canary]) -> float:
    made = outputs(model, expert.reading, [c.text for c in canaries])
    labels = expert.manifest.labels
    return sum(labels[int(m.argmax())] == c.label for m, c in zip(made, canaries, strict=True)) / len(canaries)  # fmt: skip


def outputs(model: MiniLm, reading: Reading, texts: Sequence[str]) -> list[Floats]:
    """Read on the caller's thread, without a host."""
    rows = [(t.ids, reading) for t in model.tokenize(list(texts))]
    mixer = Mixer()
    return [o for at in range(0, len(rows), ROWS) for o in read(model, mixer, rows[at : at + ROWS])]
