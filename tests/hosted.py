"""Experts made up for tests: random adapters and heads, in memory and in folders."""

from pathlib import Path

import torch

from pointsman.experts.models.adapters import MODULES, Adapter, Pair, save_adapter
from pointsman.experts.models.readings import Head, Kind, Reading
from pointsman.experts.models.registry.folder import digests, save_head
from pointsman.experts.models.registry.manifest import (
    HEAD,
    MANIFEST,
    Canary,
    Card,
    Manifest,
    backbone_sha256,
)

QV = ("attention.self.query", "attention.self.value")


def weights(rank: int, seed: int, modules: tuple[str, ...] = QV) -> dict[tuple[int, str], Pair]:
    random = torch.Generator().manual_seed(seed)
    return {
        (layer, name): (
            torch.randn(MODULES[name].inputs, rank, generator=random) / 20,
            torch.randn(rank, MODULES[name].outputs, generator=random) / 20,
        )
        for layer in range(6)
        for name in modules
    }


def head(outputs: int, seed: int) -> Head:
    random = torch.Generator().manual_seed(seed)
    return Head(torch.randn(384, outputs, generator=random).half().float(), torch.zeros(outputs))


def reading(kind: Kind, seed: int, rank: int = 0, outputs: int = 3) -> Reading:
    adapter = Adapter(weights(rank, seed), str(seed)) if rank else None
    return Reading(kind, adapter, head(outputs, seed) if kind in ("sequence", "token") else None)


def written(
    folder: Path,
    name: str,
    seed: int,
    *,
    rank: int = 0,
    labels: tuple[str, ...] = ("a", "b", "c"),
    canaries: tuple[Canary, ...] = (),
    column: str = "label",
) -> Path:
    """A folder that can be added."""
    folder.mkdir(parents=True)
    save_head(folder / HEAD, head(len(labels), seed))
    if rank:
        save_adapter(folder, weights(rank, seed), alpha=rank, base="all-MiniLM-L6-v2")
    manifest = Manifest(
        name=name,
        kind="sequence",
        labels=labels,
        column=column,
        backbone_sha256=backbone_sha256(),
        files=digests(folder),
        card=Card(source="made up"),
        canaries=canaries,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return folder
