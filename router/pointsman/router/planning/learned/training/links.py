"""Fits link heads to plans whose links are known, and the direction in which what comes early lies."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.router.planning.learned.heads import Weights
from pointsman.router.planning.learned.training.fitting import Net

Floats = NDArray[np.float32]
HIDDEN = 24
EPOCHS = 12
BATCH = 256
RIDGE = 10.0


def fit_links(
    features: Floats, right: Floats, *, seed: int, heads: int = 2, initial: Weights | None = None
) -> dict[str, Floats]:
    """features: [pairs, len(PAIR)]; right: [pairs] of 0 and 1. Weights named as LinkHeads.of reads them.

    initial: weights of as many heads to go on from.
    """
    made: dict[str, Floats] = {}
    spread = features.std(0)
    scale = np.where(spread > 1e-4, 1 / np.maximum(spread, 1e-4), 0).clip(max=50).astype(np.float32)
    for number in range(heads):
        torch.manual_seed(1_000 * seed + number)
        if initial is None:
            net = Net(features.mean(0), scale, HIDDEN)
        else:
            net = Net.of(initial, f"link.{number}")
        _fit(net, torch.from_numpy(features), torch.from_numpy(right), 1_000 * seed + number)
        for field, value in net.eval().arrays().items():
            made[f"link.{number}.{field}"] = value
    return made


def _fit(net: Net, features: torch.Tensor, right: torch.Tensor, seed: int) -> None:
    random = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    for _ in range(EPOCHS):
        order = torch.from_numpy(random.permutation(len(right)))
        for rows in (order[at : at + BATCH] for at in range(0, len(order), BATCH)):
            optimiser.zero_grad()
            scores = net(features[rows], 0.1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, right[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def fit_earliness(steps: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The direction w that separates (earlier, later) description vectors, by ridge regression; [dim].

    Minimises sum (w.(earlier - later) - 1)^2 + RIDGE |w|^2.
    """
    differences = np.stack([earlier - later for earlier, later in steps])
    gram = differences.T @ differences + RIDGE * np.eye(differences.shape[1], dtype=np.float32)
    made: Floats = np.linalg.solve(gram, differences.sum(0)).astype(np.float32)
    return made
