"""How an expert on the backbone reads it: which adapter, and what head on the last states.

All readings share one pass of the backbone: the rows of a batch are sorted by adapter (mixing.py), go
through together, and each is then read by its own head. Heads are linear: what bends is in the adapter.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from pointsman.experts.models.adapters import Adapter
    from pointsman.experts.models.minilm import MiniLm
    from pointsman.experts.models.mixing import Mixer

Floats: TypeAlias = NDArray[np.float32]
Kind: TypeAlias = Literal["embedding", "sequence", "token", "states"]
"""embedding: the unit mean of a text's states, [384]. sequence: a head's numbers for the text, [outputs].
token: a head's numbers for each token, [tokens, outputs]. states: of the layers asked for, [tokens, 384 * n]."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear map. weights: [384, outputs], bias: [outputs], float32."""

    weights: "Tensor"
    bias: "Tensor"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """An expert as the host sees it. Immutable; one object serves all requests for the expert.

    layers: of states only; none for the last.
    """

    kind: Kind
    adapter: "Adapter | None" = None
    head: Head | None = None
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.head is not None) != (self.kind in ("sequence", "token")):
            raise ValueError(f"{self.kind}: a head belongs to sequence and token, and only there")


EMBEDDING, STATES = Reading("embedding"), Reading("states")
LAYERS = 6
"""Of the backbone."""


def read(
    model: "MiniLm", mixer: "Mixer", rows: Sequence[tuple[list[int], Reading]]
) -> list[Floats]:
    """One pass of the backbone for all rows, and each row's reading of it, in the order given.

    rows: token ids without [CLS] and [SEP]; all with the same layers.
    """
    import torch

    order = sorted(range(len(rows)), key=lambda i: mixer.order(rows[i][1].adapter))
    sorted_rows = [rows[i] for i in order]
    mixture = mixer.mixture([reading.adapter for _, reading in sorted_rows])
    layers = rows[0][1].layers or (LAYERS,)
    with torch.inference_mode():
        states, mask = model.states([ids for ids, _ in sorted_rows], layers, mixture)
        made = _pooled(sorted_rows, states, mask)
        for row, (ids, reading) in enumerate(sorted_rows):
            if reading.kind in ("token", "states"):
                own = states[row, 1 : len(ids) + 1]
                if reading.head is not None:
                    own = own @ reading.head.weights + reading.head.bias
                made[row] = np.array(own.numpy())
    back = dict(zip(order, range(len(order)), strict=True))
    return [made[back[i]] for i in range(len(rows))]


def _pooled(
    rows: Sequence[tuple[list[int], Reading]], states: "Tensor", mask: "Tensor"
) -> dict[int, Floats]:
    """Of the rows that are read as a whole: by each head all its rows at once."""
    from pointsman.experts.models.minilm import pooled

    whole = [i for i, (_, r) in enumerate(rows) if r.kind in ("embedding", "sequence")]
    if not whole:
        return {}
    if len(whole) < len(rows):
        states, mask = states[whole], mask[whole]
    unit = pooled(states, mask)
    by_head: dict[Head | None, list[int]] = defaultdict(list)
    for place, row in enumerate(whole):
        by_head[rows[row][1].head].append(place)
    made: dict[int, Floats] = {}
    for head, places in by_head.items():
        own = unit if len(places) == len(whole) else unit[places]
        outputs = own if head is None else own @ head.weights + head.bias
        for place, output in zip(places, outputs.numpy(), strict=True):
            made[whole[place]] = output
    return made
