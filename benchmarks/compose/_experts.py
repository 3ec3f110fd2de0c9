"""The six source experts: an adapter and a head for each task, trained once and kept beside the states."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.compose._tasks import Task, kept, stored, texts_of
from pointsman.experts.models.adapters import LAYERS
from pointsman.experts.models.compose.tuning import (
    BELOW,
    RANK,
    TUNED,
    Fresh,
    Head,
    Kept,
    Recipe,
    Still,
    all_vectors,
    correct,
    tune,
)
from pointsman.experts.models.minilm import WIDTH, MiniLm

KEYS = [(layer, name) for layer in range(BELOW, LAYERS) for name in TUNED]
HELD = 5
"""Every fifth training text is kept for choosing; no adapter is trained on it."""


@dataclass(frozen=True, slots=True)
class Expert:
    """held: training texts that were not trained on. plain: accuracy of a head on the backbone as it is."""

    task: Task
    adapter: Still
    head: Head
    held: tuple[Kept, Tensor]
    test: tuple[Kept, Tensor]

    def score(
        self, model: MiniLm, adapter: object, part: tuple[Kept, Tensor] | None = None
    ) -> float:
        states, labels = part or self.test
        return correct(self.head, all_vectors(model, states, adapter), labels)  # type: ignore[arg-type]


def expert(model: MiniLm, task: Task, seed: int, recipe: Recipe | None = None) -> Expert:
    """From the store, or trained."""
    recipe = recipe or Recipe()
    fitted = [pair for n, pair in enumerate(task.train) if n % HELD]
    states, labels = kept(model, fitted)

    def make() -> dict[str, Tensor]:
        torch.manual_seed(seed)
        adapter = Fresh()
        head = tune(model, states, labels, adapter, classes=task.classes, seed=seed, recipe=recipe)
        made = {"head.weight": head.weight.detach(), "head.bias": head.bias.detach()}
        for at, (down, up) in enumerate(adapter.parts().values()):
            made |= {f"{at}.down": down.detach(), f"{at}.up": up.detach()}
        return made

    what = f"expert {seed} {RANK} {BELOW} {TUNED} {recipe}"
    found = stored(what, texts_of(fitted), make)
    head = Head(torch.zeros(1, WIDTH), torch.zeros(1, dtype=torch.long), task.classes)
    head.load_state_dict({"weight": found["head.weight"], "bias": found["head.bias"]})
    parts = {key: (found[f"{at}.down"], found[f"{at}.up"]) for at, key in enumerate(KEYS)}
    held = kept(model, [pair for n, pair in enumerate(task.train) if not n % HELD])
    return Expert(task, Still(parts), head, held, kept(model, task.test))
