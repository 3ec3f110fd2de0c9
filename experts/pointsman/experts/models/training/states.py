"""Token states of corpora for training: made once with the encoder that serves, kept on disk if asked."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.encoder import Encoder

CHUNK = 256


@dataclass(frozen=True, slots=True)
class States:
    """Token states of many texts in one array. flat: [all tokens, 384] float16; ends: [texts] int64."""

    flat: NDArray[np.float16]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> NDArray[np.float16]:
        start = self.ends[place - 1] if place else 0
        return self.flat[start : self.ends[place]]

    @property
    def means(self) -> NDArray[np.float32]:
        """Unit mean of each text's states, [texts, 384]: all but the sentence embedding."""
        made = np.stack([self[i].astype(np.float32).mean(0) for i in range(len(self))])
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def states_of(texts: Sequence[str], cache: Path | None, name: str) -> States:
    """States of the texts; read from `cache`/name if they are there, else made and kept there."""
    if cache is not None and (cache / f"{name}.lens.npy").exists():
        lens = np.load(cache / f"{name}.lens.npy")
        if len(lens) == len(texts):
            return States(np.load(cache / f"{name}.tok.npy", mmap_mode="r"), np.cumsum(lens))
    parts = asyncio.run(_made(texts))
    lens = np.array([len(p) for p in parts])
    flat = np.concatenate(parts)
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(cache / f"{name}.tok.npy", flat)
        np.save(cache / f"{name}.lens.npy", lens)
    return States(flat, np.cumsum(lens))


async def _made(texts: Sequence[str]) -> list[NDArray[np.float16]]:
    encoder = Encoder(threads=1)
    made: list[NDArray[np.float16]] = []
    try:
        for start in range(0, len(texts), CHUNK):
            states = await encoder.tokens(texts[start : start + CHUNK])
            made += [s.vectors.astype(np.float16) for s in states]
    finally:
        encoder.close()
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
