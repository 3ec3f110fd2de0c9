"""A new task from the adapters of other tasks: only how much of each is used, and where, is trained.

The sources stay as they are; what is learned are weights of their products. Poly (2202.13914): a distribution over
the sources for each map. MHR-z (2211.03831): one for each block of a map's outputs, the sources shut. ScaLearn
(2310.01217): free scales, of each source in each layer, or of each source alone (uniform). MHR-mu starts from the
mean of the sources and trains all of it; see `mean_of`. The papers train the sources and the routes together, here
the sources are experts that exist.

What comes out is an adapter as any other: the sources' matrices side by side, the weights in `up`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pointsman.experts.models.adapters import Pair
from pointsman.experts.models.compose.ranks import truncated_pair
from pointsman.experts.models.compose.tuning import Parts

Way: TypeAlias = Literal["poly", "mhr", "scale", "uniform"]
Key: TypeAlias = tuple[int, str]
BLOCKS = 8
"""Of a map's outputs, each with a route of its own (mhr)."""


class Routed(nn.Module):
    """Weights over the sources, all of one shape. At first each source has an equal share."""

    def __init__(self, sources: Sequence[Parts], way: Way) -> None:
        super().__init__()
        self.way = way
        held = [s.parts() for s in sources]
        self._keys = sorted(held[0])
        self._joined = {key: _joined([h[key] for h in held]) for key in self._keys}
        self._ranks = [h[self._keys[0]][1].shape[0] for h in held]
        count, layers = len(held), sorted({layer for layer, _ in self._keys})
        self._layer = [layers.index(layer) for layer, _ in self._keys]
        shapes: Mapping[Way, tuple[int, ...]] = {
            "poly": (len(self._keys), count, 1),
            "mhr": (len(self._keys), count, BLOCKS),
            "scale": (len(layers), count, 1),
            "uniform": (1, count, 1),
        }
        start = 0.0 if way in ("poly", "mhr") else 1 / count
        self.weights = nn.Parameter(torch.full(shapes[way], start))

    def shares(self) -> Tensor:
        """[keys, sources, blocks]: how much of each source is used in each map."""
        if self.way in ("poly", "mhr"):
            return self.weights.softmax(1)
        if self.way == "scale":
            return self.weights[self._layer]
        return self.weights.expand(len(self._keys), -1, -1)

    def parts(self) -> Mapping[Key, Pair]:
        ranks = torch.tensor(self._ranks)
        made = {}
        for key, share in zip(self._keys, self.shares(), strict=True):
            down, up = self._joined[key]
            rows = share.repeat_interleave(ranks, 0)
            blocks = up.view(len(up), share.shape[1], -1) * rows[..., None]
            made[key] = (down, blocks.flatten(1))
        return made


def _joined(pairs: Sequence[Pair]) -> Pair:
    """Their products' sum, as one product."""
    return torch.cat([d for d, _ in pairs], 1).detach(), torch.cat(
        [u for _, u in pairs], 0
    ).detach()


def mean_of(sources: Sequence[Parts], rank: int) -> dict[Key, Pair]:
    """The mean of the sources' products, as near as a rank allows: what MHR-mu begins with."""
    held = [s.parts() for s in sources]
    made = {}
    for key in held[0]:
        down, up = _joined([h[key] for h in held])
        made[key] = truncated_pair(down, up / len(held), rank)
    return made
