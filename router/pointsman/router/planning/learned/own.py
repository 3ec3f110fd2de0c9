"""What the planner learned in one place: a folder with the plans to remember and, if better, own weights.

planner = FittedPlanner(OwnPlanner(home / "planner"), encoder)
"""

import logging
import os
import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError

from pointsman.router.catalog import Catalog
from pointsman.router.errors import BadExample
from pointsman.router.planning.base import Embedder, Proposal, Refusal, Request
from pointsman.router.planning.learned.chooser import Weights
from pointsman.router.planning.learned.heads import load, save
from pointsman.router.planning.learned.past import PastPlan, read_past
from pointsman.router.planning.learned.planner import LearnedPlanner

log = logging.getLogger(__name__)


class OwnPlanner:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._weights = folder / "planner.safetensors"
        self._plans = folder / "plans.jsonl"

    def keep(self, weights: Weights | None, plans: Path) -> None:
        """Keeps a copy of the plans and the weights (None: as shipped). Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            copy = Path(place) / self._plans.name
            shutil.copyfile(plans, copy)
            if weights is None:
                self._weights.unlink(missing_ok=True)
            else:
                made = Path(place) / self._weights.name
                save(weights, made)
                os.replace(made, self._weights)
            os.replace(copy, self._plans)

    def past(self) -> list[PastPlan]:
        """Raises BadExample when somebody wrote into the file what is no plan."""
        return read_past(self._plans) if self._plans.exists() else []

    def weights(self) -> Weights | None:
        """None: as shipped."""
        return load(self._weights) if self._weights.exists() else None

    @property
    def state(self) -> tuple[int, int] | None:
        """Changes when something else is kept (times of the files, nanoseconds); None: nothing is."""
        plans, weights = _changed(self._plans), _changed(self._weights)
        return None if plans is None else (plans, weights or 0)


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


class FittedPlanner:
    """Plans from what `pointsman planner fit` kept; what is kept anew counts from the next request on.

    It speaks of requests that are like the ones it was shown, and leaves the others to other planners. A file
    that cannot be read is told to the log, and nothing is planned from it.
    """

    name = "learned"

    def __init__(self, own: OwnPlanner, embedder: Embedder) -> None:
        self._own = own
        self._embedder = embedder
        self._state: tuple[int, int] | None = None
        self._planner: LearnedPlanner | None = None

    @property
    def ready(self) -> bool:
        """Whether anything was fitted."""
        return self._own.state is not None

    async def warm(self, catalog: Catalog) -> None:
        planner = self._current()
        if planner is not None:
            await planner.warm(catalog)

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        planner = self._current()
        if planner is None:
            return Proposal(Refusal("I was shown no plans"), 0.0)
        return await planner.plan(request, catalog)

    def _current(self) -> LearnedPlanner | None:
        state = self._own.state
        if state != self._state:
            self._state = state
            self._planner = self._made() if state is not None else None
        return self._planner

    def _made(self) -> LearnedPlanner | None:
        try:
            past, weights = self._own.past(), self._own.weights()
            return LearnedPlanner(self._embedder, weights=weights, memory=past, strict=True)
        except (BadExample, OSError, SafetensorError, KeyError) as error:
            log.warning("what the planner was fitted to cannot be read: %s", error)
            return None
