"""Trains the head that reads spans, on RESTAURANTS-8K and the NLU evaluation data (both CC BY 4.0):

python -m pointsman.router.planning.learned.training.spans --data DIR [--seed 0]

The softmax runs over the tags of a random part of the slots, and what the other slots mark counts as outside;
example values of a slot are drawn anew at each step, often none. Both teach the head to read the slot's query
rather than to know its slots. Deterministic by seed, on one thread.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from pointsman.router.planning.arguments.span_head import LAYERS, QUERY, SpanHead
from pointsman.router.planning.arguments.span_shapes import shapes
from pointsman.router.planning.arguments.spans import (
    Slot,
    TokenEmbedder,
    TokenVectors,
    mean_vector,
    queries_of,
)
from pointsman.router.planning.base import Embedder
from pointsman.router.planning.learned.training.encoding import one_thread
from pointsman.router.planning.learned.training.span_sets import (
    Marked,
    nlu_home,
    nlu_slots,
    restaurant8k,
    restaurant_slots,
)

Floats: TypeAlias = NDArray[np.float32]

KNOWN_VALUES = 40
"""Values of a slot that are kept to draw its examples from."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Settings:
    """inner, pair: widths of the head. part: how often only some slots are on offer."""

    inner: int = 128
    pair: int = 96
    dropout: float = 0.3
    rate: float = 2e-3
    decay: float = 0.02
    batch: int = 32
    steps: int = 2_000
    part: float = 0.6
    no_values: float = 0.4


class Coder:
    """The encoder as training needs it: sentence vectors and token states."""

    def __init__(self, tokens: TokenEmbedder, embedder: Embedder) -> None:
        self.token_embedder, self.embedder = tokens, embedder

    async def states(self, texts: Sequence[str]) -> list[TokenVectors]:
        found: list[TokenVectors] = []
        for at in range(0, len(texts), 512):
            found += await self.token_embedder.tokens(texts[at : at + 512], layers=LAYERS)
        return found


@dataclass(slots=True)
class SpanSet:
    """Marked texts of one set, with what does not change while training. inputs: [n tokens, width] float16 a text."""

    slots: list[Slot]
    queries: Floats
    values: list[Floats]
    inputs: list[NDArray[np.float16]]
    tags: list[NDArray[np.int64]]
    asked: list[Floats]
    waiting: list[list[int]] = field(default_factory=list)

    @classmethod
    async def of(cls, marked: Sequence[Marked], slots: Sequence[Slot], coder: Coder) -> "SpanSet":
        states = await coder.states([m.text for m in marked])
        inputs = [
            np.concatenate([s.vectors, shapes(m.text, s.offsets)], axis=1).astype(np.float16)
            for m, s in zip(marked, states, strict=True)
        ]
        place = {s.name: n for n, s in enumerate(slots)}
        tags = [tags_of(m, s.offsets, place) for m, s in zip(marked, states, strict=True)]
        asked = [np.array([s.name in m.asked for s in slots], np.float32) for m in marked]
        queries = await queries_of(coder.embedder, [Slot(s.name, s.description) for s in slots])
        values = [await coder.embedder.embed(v) for v in _values(marked, slots)]
        return cls(list(slots), queries, values, inputs, tags, asked)

    def only(self, rows: Sequence[int]) -> "SpanSet":
        """The same slots, with some of the texts; the slots' values stay."""
        return SpanSet(
            self.slots,
            self.queries,
            self.values,
            [self.inputs[r] for r in rows],
            [self.tags[r] for r in rows],
            [self.asked[r] for r in rows],
        )

    def without(self, names: frozenset[str]) -> "SpanSet":
        """Without some slots and without every text that has one of them."""
        keep = [n for n, s in enumerate(self.slots) if s.name not in names]
        renumbered = np.full(1 + 2 * len(self.slots), -1, np.int64)
        renumbered[0] = 0
        for new, old in enumerate(keep):
            renumbered[[1 + 2 * old, 2 + 2 * old]] = 1 + 2 * new, 2 + 2 * new
        rows = [r for r, tags in enumerate(self.tags) if (renumbered[tags] >= 0).all()]
        return SpanSet(
            [self.slots[n] for n in keep],
            self.queries[keep],
            [self.values[n] for n in keep],
            [self.inputs[r] for r in rows],
            [renumbered[self.tags[r]] for r in rows],
            [self.asked[r][keep] for r in rows],
        )

    def drawn_queries(
        self, keep: NDArray[np.int64], rng: np.random.Generator, none: float
    ) -> Floats:
        """Queries of some slots, each with examples of its values or without."""
        made = self.queries[keep].copy()
        for row, slot in enumerate(keep.tolist()):
            known = self.values[slot]
            if len(known) and rng.random() >= none:
                some = rng.choice(
                    len(known), min(len(known), int(rng.integers(1, 9))), replace=False
                )
                made[row, QUERY // 2 :] = mean_vector(known[some])
        return made


def _values(marked: Sequence[Marked], slots: Sequence[Slot]) -> list[list[str]]:
    said: dict[str, dict[str, None]] = {s.name: {} for s in slots}
    for one in marked:
        for start, end, slot in one.spans:
            if slot in said and len(said[slot]) < KNOWN_VALUES:
                said[slot][one.text[start:end]] = None
    return [list(said[s.name]) for s in slots]


def tags_of(
    marked: Marked, offsets: Sequence[tuple[int, int]], place: Mapping[str, int]
) -> NDArray[np.int64]:
    """[len(offsets)]: 0 outside, 1 + 2s begin and 2 + 2s inside of slot s; slots without a place are outside."""
    made = np.zeros(len(offsets), np.int64)
    for start, end, slot in marked.spans:
        if slot not in place:
            continue
        inside = [n for n, (a, b) in enumerate(offsets) if a < end and start < b]
        made[inside] = 2 + 2 * place[slot]
        made[inside[:1]] = 1 + 2 * place[slot]
    return made


class Net(nn.Module):
    """The same as span_head.SpanHead, in torch. `mean` and `spread` of the inputs are kept with the weights."""

    def __init__(self, mean: Floats, spread: Floats, settings: Settings) -> None:
        super().__init__()
        inner, pair = settings.inner, settings.pair
        self.mean = nn.Parameter(torch.from_numpy(mean), requires_grad=False)
        self.spread = nn.Parameter(torch.from_numpy(spread), requires_grad=False)
        self.narrow = nn.Linear(len(mean), inner)
        self.near = nn.Conv1d(inner, inner, 5, padding=2)
        self.wide = nn.Conv1d(inner, inner, 3, padding=1)
        self.token, self.token_plus = nn.Linear(inner, pair), nn.Linear(inner, pair)
        self.query = nn.Linear(QUERY, pair)
        self.query_plus = nn.Linear(QUERY, pair, bias=False)
        self.asked = nn.Linear(1, pair, bias=False)
        self.tags, self.outside = nn.Linear(pair, 2), nn.Linear(inner, 1)
        self.drop = nn.Dropout(settings.dropout)
        with torch.no_grad():
            for layer in (self.query, self.query_plus):
                layer.weight *= (
                    5  # unit vectors of 384 numbers are small beside standardised inputs
                )

    def forward(self, x: Tensor, mask: Tensor, queries: Tensor, asked: Tensor) -> Tensor:
        """x [batch, n, width], mask [batch, n, 1], queries [slots, QUERY], asked [batch, slots] -> logits
        [batch, n, 1 + 2 * slots].
        """
        c = _gelu(self.narrow(self.drop((x - self.mean) / self.spread))) * mask
        for layer in (self.near, self.wide):
            c = (c + _gelu(layer(c.transpose(1, 2)).transpose(1, 2))) * mask
        c = self.drop(c)
        pair = (
            self.token(c)[:, :, None] * self.query(queries)
            + self.token_plus(c)[:, :, None]
            + self.query_plus(queries)
            + self.asked(asked[..., None])[:, None]
        )
        slots = self.tags(self.drop(_gelu(pair))).flatten(2)
        return torch.cat([self.outside(c), slots], dim=2)


def _gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def train(
    sets: Sequence[SpanSet],
    *,
    seed: int,
    settings: Settings | None = None,
    start: SpanHead | None = None,
) -> SpanHead:
    """A head for all the sets together; each step is of one set. start: weights to go on from."""
    settings = settings or Settings()
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    net = Net(*_scale(sets), settings)
    if start is not None:
        net.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in start.weights.items()})
    taught = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(taught, lr=settings.rate, weight_decay=settings.decay)
    sizes = np.array([len(s.inputs) for s in sets], float)
    net.train()
    for step in range(settings.steps):
        chosen = sets[int(rng.choice(len(sets), p=sizes / sizes.sum()))]
        logits, truth = _step(net, chosen, _next_rows(chosen, settings.batch, rng), rng, settings)
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), truth.flatten(), ignore_index=IGNORED
        )
        warm, left = min(1.0, (step + 1) / 50), 1 - step / settings.steps
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * warm * max(0.02, left)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(taught, 1.0)
        optimizer.step()
    weights = {k: v.detach().numpy().copy() for k, v in net.state_dict().items()}
    return SpanHead(weights, {"seed": seed, "steps": settings.steps})


def _scale(sets: Sequence[SpanSet]) -> tuple[Floats, Floats]:
    some = np.concatenate([x for s in sets for x in s.inputs[:: max(1, len(s.inputs) // 1_000)]])
    wide = some.astype(np.float32)
    return wide.mean(0), wide.std(0) + np.float32(0.02)


def _next_rows(chosen: SpanSet, count: int, rng: np.random.Generator) -> list[int]:
    """Rows of the next batch, of about the same length; every row once before any comes again."""
    if not chosen.waiting:
        lengths = np.array([len(x) for x in chosen.inputs]) + rng.random(len(chosen.inputs)) * 4
        ordered = np.argsort(lengths).tolist()
        batches = [ordered[at : at + count] for at in range(0, len(ordered), count)]
        chosen.waiting = [batches[n] for n in rng.permutation(len(batches)).tolist()]
    return chosen.waiting.pop()


def _step(
    net: Net, chosen: SpanSet, rows: Sequence[int], rng: np.random.Generator, settings: Settings
) -> tuple[Tensor, Tensor]:
    total = len(chosen.slots)
    keep = np.arange(total)
    if rng.random() < settings.part and total > 1:
        keep = np.sort(rng.choice(total, int(rng.integers(1, total + 1)), replace=False))
    renumbered = np.zeros(1 + 2 * total, np.int64)
    renumbered[1 + 2 * keep] = 1 + 2 * np.arange(len(keep))
    renumbered[2 + 2 * keep] = 2 + 2 * np.arange(len(keep))
    longest = max(len(chosen.inputs[r]) for r in rows)
    x = np.zeros((len(rows), longest, chosen.inputs[0].shape[1]), np.float32)
    truth = np.full((len(rows), longest), IGNORED, np.int64)
    for n, row in enumerate(rows):
        length = len(chosen.inputs[row])
        x[n, :length] = chosen.inputs[row]
        truth[n, :length] = renumbered[chosen.tags[row]]
    mask = torch.from_numpy(truth != IGNORED).float()[..., None]
    queries = torch.from_numpy(chosen.drawn_queries(keep, rng, settings.no_values))
    asked = torch.from_numpy(np.stack([chosen.asked[r][keep] for r in rows]))
    return net(torch.from_numpy(x), mask, queries, asked), torch.from_numpy(truth)


def save(head: SpanHead, path: Path) -> None:
    """Half-precision weights and the settings, as JSON, in the file's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {k: v.astype(np.float16) for k, v in head.weights.items()}
    save_file(halves, path, {"settings": json.dumps(dict(head.settings), sort_keys=True)})


async def train_shipped(folder: Path, coder: Coder, *, seed: int, steps: int) -> SpanHead:
    """The head of both sets' train parts."""
    home = nlu_home(folder / "nlu_home" / "train.jsonl")
    bookings = restaurant8k(folder / "restaurant8k" / "train.json")
    sets = [
        await SpanSet.of(home, nlu_slots(home), coder),
        await SpanSet.of(bookings, restaurant_slots(), coder),
    ]
    return train(sets, seed=seed, settings=Settings(steps=steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with restaurant8k and nlu_home"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=5_000)
    default = Path(__file__).parent.parent / "weights" / "spans.safetensors"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    with one_thread() as encoder:
        coder = Coder(encoder, encoder)
        head = asyncio.run(train_shipped(given.data, coder, seed=given.seed, steps=given.steps))
    save(head, given.out)


if __name__ == "__main__":
    main()
