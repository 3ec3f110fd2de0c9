"""Small tuned models steer a large one at each answer (dynamic logits fusion, 2406.15480).

What a small expert learned is the difference of its logits from those it had before it was tuned. The large model's
logits move along these differences; how far is found for each text anew: until the large model's distribution has
moved as far (Kullback-Leibler) as the small one's did when it was tuned. A text on which the small expert did not
change its mind leaves the large one alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

HALVINGS = 24
MOST = 4.0
"""The greatest multiple of a small expert's difference that is added."""


def fused(large: Tensor, tuned: Sequence[Tensor], plain: Sequence[Tensor]) -> Tensor:
    """Logits [rows, classes] of the large model after the small ones steered it; all have the same classes.

    tuned, plain: for each small expert its logits with and without what it learned. With several experts the moves
    are shared out evenly.
    """
    moved = large
    for after, before in zip(tuned, plain, strict=True):
        moved = moved + reach(large, after, before)[:, None] * (after - before) / len(tuned)
    return moved


def reach(large: Tensor, after: Tensor, before: Tensor) -> Tensor:
    """For each row the multiple (0..MOST) of after - before that moves the large model as far as the small one moved:
    KL(large + a * (after - before) || large) = KL(after || before). By halving: the left side grows with a."""
    goal = _divergence(after, before)
    low, high = torch.zeros(len(large)), torch.full((len(large),), MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = _divergence(large + middle[:, None] * (after - before), large) > goal
        high = torch.where(beyond, middle, high)
        low = torch.where(beyond, low, middle)
    return (low + high) / 2


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """KL of the rows' distributions, in nats: [rows]."""
    p, q = one.log_softmax(1), other.log_softmax(1)
    return (p.exp() * (p - q)).sum(1)
