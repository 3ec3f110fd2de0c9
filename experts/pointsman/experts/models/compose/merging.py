"""One adapter for the tasks of many: averaging, task arithmetic, and coefficients found without labels.

A merged adapter is the sum of the sources' products, each with a coefficient: 1 / n (averaging), one number for all
(task arithmetic, Ilharco et al. 2023, arXiv 2212.04089), or one for each source and map that makes the heads sure of
unlabelled requests (layer-wise AdaMerging, 2310.02575, eq. 5). Entropy alone can be made small by being sure and
wrong, so a small labelled canary says where to stop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointsman.experts.models.adapters import Pair
from pointsman.experts.models.compose.routed import Key
from pointsman.experts.models.compose.tuning import Kept, Parts, vectors
from pointsman.experts.models.minilm import MiniLm


class Merged(nn.Module):
    """coefficients: [sources, maps]; maps in the order of their keys. All sources change the same maps."""

    def __init__(self, sources: Sequence[Parts], start: float) -> None:
        super().__init__()
        self._held = [s.parts() for s in sources]
        self._keys = sorted(self._held[0])
        self.coefficients = nn.Parameter(torch.full((len(sources), len(self._keys)), start))

    def parts(self) -> Mapping[Key, Pair]:
        made = {}
        for at, key in enumerate(self._keys):
            down = torch.cat([h[key][0].detach() for h in self._held], 1)
            scaled = [
                h[key][1].detach() * c[at]
                for h, c in zip(self._held, self.coefficients, strict=True)
            ]
            made[key] = (down, torch.cat(scaled))
        return made


@dataclass(frozen=True, slots=True)
class Requests:
    """Unlabelled texts of one source's task, and the head that reads them."""

    kept: Kept
    head: nn.Module


def arithmetic(
    sources: Sequence[Parts], canary: Callable[[Parts], float], tried: Sequence[float]
) -> Merged:
    """One coefficient for all, the best of those tried on the canary (higher is better)."""
    return max((Merged(sources, value) for value in tried), key=canary)


def ada_merged(
    model: MiniLm,
    sources: Sequence[Parts],
    requests: Sequence[Requests],
    canary: Callable[[Parts], float],
    *,
    start: float,
    seed: int,
    steps: int = 120,
    every: int = 20,
    batch: int = 16,
    rate: float = 2e-2,
) -> tuple[Merged, int]:
    """Coefficients for each source and map with the least entropy, from `start`; those of the step (told too) at which
    the canary was best, looked at every `every` steps. Entropies count by the share of the greatest possible one.
    """
    torch.manual_seed(seed)
    merged = Merged(sources, start)
    optimiser = torch.optim.Adam(merged.parameters(), rate)
    best, best_step, state = canary(merged), 0, merged.coefficients.detach().clone()
    for step in range(1, steps + 1):
        parts = Fixed(merged.parts())
        loss = torch.stack(
            [
                _entropy(r.head(vectors(model, r.kept, _some(r.kept, batch), parts)))
                for r in requests
            ]
        ).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % every == 0 and (score := canary(merged)) > best:
            best, best_step, state = score, step, merged.coefficients.detach().clone()
    with torch.no_grad():
        merged.coefficients.copy_(state)
    return merged, best_step


@dataclass(frozen=True, slots=True)
class Fixed:
    """Parts that were computed once for several batches."""

    held: Mapping[Key, Pair]

    def parts(self) -> Mapping[Key, Pair]:
        return self.held


def _some(kept: Kept, batch: int) -> Tensor:
    return torch.randint(len(kept), (batch,))


def _entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the rows, as a share of the greatest possible: 0..1."""
    shares = logits.log_softmax(1)
    return -(shares.exp() * shares).sum(1).mean() / torch.tensor(float(logits.shape[1])).log()
