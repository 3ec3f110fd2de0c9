"""What the parts share: sets of texts, their vectors (kept beside the run by content), mean and spread."""

import asyncio
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.encoder import Encoder

Vectors = NDArray[np.float32]
CHUNK = 512


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def embed(texts: Sequence[str]) -> Vectors:
    """[n, 384]. Kept by what the texts are where POINTSMAN_BENCH_CACHE names a folder: nothing else is."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
    folder = os.environ.get("POINTSMAN_BENCH_CACHE")
    kept = Path(folder) / f"{digest}.npy" if folder else None
    if kept is not None and kept.exists():
        found: Vectors = np.load(kept)
        return found
    vectors = asyncio.run(_embed(texts))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, vectors)
    return vectors


async def _embed(texts: Sequence[str]) -> Vectors:
    encoder = Encoder()
    try:
        parts = [await encoder.embed(texts[at : at + CHUNK]) for at in range(0, len(texts), CHUNK)]
    finally:
        encoder.close()
    return np.concatenate(parts)


def summed(values: Sequence[float]) -> dict[str, object]:
    """Mean and spread, for JSON."""
    return {
        "mean": round(float(np.mean(values)), 4),
        "std": round(float(np.std(values)), 4),
        "each": [round(float(v), 4) for v in values],
    }


def told(values: Sequence[float], digits: int = 3) -> str:
    """Mean and spread, for a table."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"
