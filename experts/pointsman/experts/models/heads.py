"""Small trained heads over the frozen encoder's token states, and the files they are kept in."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Floats: TypeAlias = NDArray[np.float32]

WIDTH = 384
ROWS = 128
"""Texts that go through a head at once."""


class PoolingHead(nn.Module):
    """Token states of a text to `outputs` numbers.

    States are narrowed to `inner`, each token sees its neighbours (a convolution over three tokens, so
    that "not" can turn "good" over), and the tokens are pooled three ways: learned attention of several
    heads (Lin et al. 2017, arXiv 1703.03130, eq. 6), the largest value, and the mean of the raw states.
    """

    def __init__(
        self, outputs: int, *, inner: int = 128, heads: int = 4, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.narrow = nn.Linear(WIDTH, inner)
        self.near = nn.Conv1d(inner, inner, 3, padding=1)
        self.attend = nn.Linear(inner, heads)
        self.mix = nn.Linear(inner * heads + inner + WIDTH, inner)
        self.out = nn.Linear(inner, outputs)
        self.drop = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states: [batch, tokens, 384] float32, mask: [batch, tokens] bool -> [batch, outputs]."""
        keep = mask.unsqueeze(-1)
        h = nn.functional.gelu(self.narrow(self.drop(states))) * keep
        h = (h + nn.functional.gelu(self.near(h.transpose(1, 2)).transpose(1, 2))) * keep
        weights = self.attend(h).masked_fill(~keep, -1e4).softmax(1)
        attended = torch.einsum("bth,bti->bhi", weights, h).flatten(1)
        largest = h.masked_fill(~keep, -1e4).amax(1)
        mean = (states * keep).sum(1) / keep.sum(1)
        pooled = torch.cat([attended, largest, nn.functional.normalize(mean, dim=-1) * 4], 1)
        out: Tensor = self.out(self.drop(nn.functional.gelu(self.mix(self.drop(pooled)))))
        return out


def padded(states: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """[batch, longest, 384] float32 and the mask [batch, longest]; a text without tokens has one zero token."""
    longest = max(1, *(len(s) for s in states))
    batch = np.zeros((len(states), longest, WIDTH), np.float32)
    mask = np.zeros((len(states), longest), np.bool_)
    for row, state in enumerate(states):
        batch[row, : len(state)] = state
        mask[row, : max(1, len(state))] = True
    return torch.from_numpy(batch), torch.from_numpy(mask)


@torch.inference_mode()
def outputs_of(head: PoolingHead, states: Sequence[NDArray[Any]]) -> Floats:
    """The head's outputs for each text, [len(states), outputs] float32. states[i]: [tokens, 384]."""
    head.eval()
    made = np.zeros((len(states), head.out.out_features), np.float32)
    order = sorted(range(len(states)), key=lambda i: len(states[i]))
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        made[rows] = head(*padded([states[i] for i in rows])).numpy()
    return made


def weights_path(name: str) -> Path:
    return Path(str(files("pointsman.experts.models") / "weights" / f"{name}.safetensors"))


def save(model: nn.Module, path: Path, settings: Mapping[str, Any]) -> None:
    """Half-precision weights with the settings, as JSON, in the file's metadata."""
    tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, path, {"settings": json.dumps(settings, sort_keys=True)})


def load(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights as float32 and the settings that were kept with them."""
    with safe_open(weights_path(name), "pt") as file:
        settings: dict[str, Any] = json.loads(file.metadata()["settings"])
        return {k: file.get_tensor(k).float() for k in file.keys()}, settings  # noqa: SIM118


def load_pooling_head(name: str) -> tuple[PoolingHead, dict[str, Any]]:
    weights, settings = load(name)
    head = PoolingHead(len(weights["out.bias"]))
    head.load_state_dict(weights)
    return head.eval(), settings
