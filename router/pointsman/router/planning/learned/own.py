"""What the planner learned in one place: a folder with the plans to remember and, if better, own weights.

own = OwnPlanner(home / "planner")
planner = own.planner(encoder)          # a LearnedPlanner with what is there
"""

import os
import shutil
import tempfile
from pathlib import Path

from pointsman.router.planning.base import Embedder
from pointsman.router.planning.learned.chooser import Weights
from pointsman.router.planning.learned.heads import load, save
from pointsman.router.planning.learned.past import PastPlan, read_past
from pointsman.router.planning.learned.planner import LearnedPlanner


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

    def planner(self, embedder: Embedder) -> LearnedPlanner:
        """The planner that ships, with what was learned here."""
        return LearnedPlanner(embedder, weights=self.weights(), memory=self.past())
