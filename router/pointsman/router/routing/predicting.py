"""What is expected of each expert on the very arguments of a task, where a model was fitted for its capability.

The models are files of a folder, one a capability ("text.summarize.safetensors"), written by `pointsman router learn`.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pointsman.router.errors import BadRouterModel, ExpertError
from pointsman.router.planning.base import Embedder
from pointsman.router.routing.quality import QualityModel
from pointsman.router.routing.surface import surface
from pointsman.router.values import Json

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
UNKNOWN: Mapping[str, float] = MappingProxyType({})
LONGEST = 8_000
"""Characters of the arguments that are looked at."""
WAIT = 0.25
"""Seconds that a busy encoder is waited for: a route is not worth more."""


class Predictor:
    """Reads the folder once. A file that cannot be used is told in the log and left out."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        self._models: dict[str, QualityModel] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                self._models[path.name.removesuffix(SUFFIX)] = QualityModel.load(path)
            except BadRouterModel as error:
                log.warning("%s", error)

    async def quality(self, capability: str, arguments: Mapping[str, Json]) -> Mapping[str, float]:
        """Expert -> 0..1; empty where nothing was fitted, or the encoder fails or is too busy."""
        model = self._models.get(capability)
        if model is None:
            return UNKNOWN
        text = text_of(arguments)
        try:
            async with asyncio.timeout(WAIT):
                vectors = await self._embedder.embed([text])
        except (TimeoutError, ExpertError) as error:
            log.warning(
                "%s is routed by its cards alone: %s", capability, error or "no vector in time"
            )
            return UNKNOWN
        expected = model.predict(vectors, surface([text]))[0]
        return dict(zip(model.experts, expected.tolist(), strict=True))


def text_of(arguments: Mapping[str, Json]) -> str:
    """The texts in the arguments, in their order, a line each."""
    return "\n".join(_texts(dict(arguments)))[:LONGEST]


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


__all__ = ["SUFFIX", "Predictor", "text_of"]
