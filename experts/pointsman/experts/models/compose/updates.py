"""An expert's update that keeps what was right (after MUSCLE, 2407.09435).

A negative flip is a text that the old expert had right and the new one has not. Users notice flips more than a
mean that rose. The update starts from the old weights and is trained with a second term: where the old expert is
right on a training text, the new one is drawn to its distribution; elsewhere the label alone counts.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from pointsman.experts.models.compose.tuning import Loss


def compatible(old: Tensor, weight: float, temperature: float = 2.0) -> Loss:
    """A loss for `tune`. old: the old expert's logits for all training texts, [texts, classes]."""

    def loss(logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        before = old[rows]
        kept = before.argmax(1) == labels
        drawn = kl_div(
            (logits / temperature).log_softmax(1),
            (before / temperature).log_softmax(1),
            reduction="none",
            log_target=True,
        ).sum(1)
        return cross_entropy(logits, labels) + weight * temperature**2 * (drawn * kept).mean()

    return loss


class Both(nn.Module):
    """Old and new answers for one text, mixed: `share` of the old one's probabilities. Costs both passes."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, old: Tensor, new: Tensor) -> Tensor:
        """Logits [texts, classes] of both -> probabilities of the same shape."""
        return self.share * old.softmax(1) + (1 - self.share) * new.softmax(1)


def flips(old: Tensor, new: Tensor, labels: Tensor) -> tuple[float, float]:
    """Shares of the texts that were right and are wrong, and that were wrong and are right. old, new: answers [texts]."""
    was, now = old == labels, new == labels
    return float((was & ~now).float().mean()), float((~was & now).float().mean())


def widened(logits: Tensor, classes: int) -> Tensor:
    """An old expert's logits where the new one knows more classes: those that it did not know are out of reach."""
    missing = classes - logits.shape[1]
    return torch.cat([logits, torch.full((len(logits), missing), -1e4)], 1)
