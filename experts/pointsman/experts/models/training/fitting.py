"""The training loop that the pooling heads share."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsman.experts.models.heads import PoolingHead, padded
from pointsman.experts.models.training.states import States

Loss = Callable[[Tensor, NDArray[np.int64]], Tensor]
"""Outputs of a batch and the places of its rows in the corpus -> the loss."""


def fit(
    corpus: Sequence[tuple[States, int]],
    outputs: int,
    loss: Loss,
    *,
    seed: int,
    epochs: int = 6,
    rate: float = 1e-3,
    rows: int = 128,
) -> PoolingHead:
    """A head trained with AdamW and a one-cycle rate on (states, index) pairs. Same seed, same head."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    head = PoolingHead(outputs)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * (len(corpus) // rows + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.15
    )
    lengths = np.array([len(s[i]) for s, i in corpus])
    head.train()
    for _ in range(epochs):
        order = np.argsort(lengths + random.uniform(0, 6, len(corpus)))
        batches = [order[at : at + rows] for at in range(0, len(order), rows)]
        random.shuffle(batches)
        for batch in batches:
            states, mask = padded([corpus[i][0][corpus[i][1]] for i in batch])
            value = loss(head(states, mask), batch)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return head.eval()
