"""Which planner and which writer a controller works with: the workflow library, the plan memory, what was fitted to
own plans, the embedded planner, then a language model where one is configured."""

import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.base import Embedder, Planner, Proposal, Request, Vectors
from pointsman.router.planning.cascade import Cascade
from pointsman.router.planning.embedded import EmbeddedPlanner
from pointsman.router.planning.learned.own import FittedPlanner, OwnPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.streaming import Planned
from pointsman.router.planning.workflow_match import WorkflowPlanner
from pointsman.workflows.library import load_libraries

if TYPE_CHECKING:
    from pointsman.router.planning.llm.answer import Writer

log = logging.getLogger(__name__)

MANY = 16
"""A call with at least this many texts is a catalog being read, and worth keeping."""


class KeptVectors:
    """An Embedder that keeps the vectors of catalogs in a folder, so that a start does not embed them again.

    The folder may be deleted at any time. A file that cannot be read is made anew.
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.dim = embedder.dim
        self._embedder = embedder
        self._folder = folder

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if len(texts) < MANY:
            return await self._embedder.embed(texts)
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]
        path = self._folder / f"{digest}.npy"
        kept = self._load(path, len(texts))
        if kept is None:
            kept = await self._embedder.embed(texts)
            self._save(path, kept)
        return kept

    def _load(self, path: Path, count: int) -> Vectors | None:
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = found.shape == (count, self.dim) and found.dtype == np.float32
        return found if fits else None

    def _save(self, path: Path, vectors: Vectors) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".new", delete=False) as file:
                np.save(file, vectors, allow_pickle=False)
            os.replace(file.name, path)
        except OSError as error:
            log.warning("vectors of the catalog are not kept: %s", error)


class WarmPlanner:
    """The cascade, and how it is made ready before the first request."""

    name = "cascade"

    def __init__(
        self,
        embedder: Embedder,
        remote: RemoteSettings | None,
        workflows: Path | None = None,
        memory: Planner | None = None,
        own: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        self._embedded = EmbeddedPlanner(embedder, cache=cache)
        self._fitted = FittedPlanner(OwnPlanner(own), embedder) if own is not None else None
        self.library = load_libraries(workflows)
        planners: list[Planner] = [WorkflowPlanner(embedder, self.library)]
        planners += [memory] if memory is not None else []
        later: list[Planner] = [self._embedded]
        if remote is not None:
            from pointsman.router.planning.llm.planner import (
                LLMPlanner,  # openai takes a second to import
            )

            later.append(LLMPlanner(remote, retrieve=self._nearest))
        self._plain = Cascade([*planners, *later])
        fitted = [self._fitted] if self._fitted is not None else []
        self._with_fitted = Cascade([*planners, *fitted, *later])

    @property
    def _cascade(self) -> Cascade:
        """With the planner that was fitted to own plans as soon as there are some."""
        ready = self._fitted is not None and self._fitted.ready
        return self._with_fitted if ready else self._plain

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        return await self._cascade.plan(request, catalog)

    def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        return self._cascade.plan_stream(request, catalog, deadline=deadline)

    async def _nearest(
        self, request: Request, catalog: Catalog, count: int
    ) -> Sequence[Capability]:
        """What a language model is offered: by the user's words, never by what stands in files."""
        hits = await self._embedded.retrieval.top(request.text, catalog, count)
        return [hit.capability for hit in hits]

    async def warm(self, catalog: Catalog) -> None:
        await self._embedded.warm(catalog)
        if self._fitted is not None:
            await self._fitted.warm(catalog)


def planner_for(
    embedder: Embedder,
    remote: RemoteSettings | None,
    cache: Path,
    workflows: Path | None = None,
    memory: Planner | None = None,
    own: Path | None = None,
) -> WarmPlanner:
    """workflows: a folder with workflows of one's own; it need not exist. memory: planner that reuses past
    plans. own: where `pointsman planner fit` keeps what it learned. Raises BadFile.
    """
    return WarmPlanner(KeptVectors(embedder, cache), remote, workflows, memory, own, cache)


def writer_for(remote: RemoteSettings | None) -> "Writer | None":
    if remote is None:
        return None
    from pointsman.router.planning.llm.answer import LLMAnswerer

    return LLMAnswerer(remote)
