"""The Global Workspace controller on addition: numbers as one-hot digits and as images.

Second addends 0..5 are trained, 12 of those 60 pairs are kept back (between), 6..9 are never trained (beyond). far:
second addends 10..90 with the same controller before a workspace of 100 places. Of the images 8,000 train the module
that reads them and 2,000 are for the test.
"""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compose import Options
from pointsman.router.planning.learned.training import chaining
from pointsman.router.planning.learned.training.chaining import Chain, Drawn, accuracies, shift

SEEDS = tuple(range(10))
IMAGE_SEEDS = (0, 1)
LONGER = 600
"""Steps of training where Increment is learned too."""
CHAINS = {
    "workspace": Chain(),
    "workspace, no step lost": Chain(stalled=0.0),
    "workspace, one bit a step": Chain(count="bits", stalled=0.0),
    "workspace, count as a number": Chain(count="scalar", stalled=0.0),
}
PARTS = {"between": "between", "beyond": "beyond", "known": "of these known sums"}
Scores = dict[str, dict[str, list[float]]]


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    seeds = options.seeds or SEEDS
    figures = _table(*_digits(seeds), f"digits, {len(seeds)} seeds")
    if not (options.data / "mnist").is_dir():
        print("  no images: the folder has no mnist")
        return figures
    images = _table(*_images(options.data / "mnist"), f"images, {len(IMAGE_SEEDS)} seeds")
    return figures | {f"images, {name}": value for name, value in images.items()}


def _table(found: Scores, sizes: dict[str, int], what: str) -> dict[str, object]:
    """Prints for each net its parameters, mean, lowest, and the seeds that are wholly right."""
    columns = list(dict.fromkeys(c for by_part in found.values() for c in by_part))
    print(f"  {what}: mean % (lowest), and how many seeds have 100 %")
    print(f"  {'':30}{'parameters':>11}" + "".join(f"{c:>21}" for c in columns))
    figures: dict[str, object] = {}
    for name, by_part in found.items():
        cells = []
        for column in columns:
            each = [100 * s for s in by_part.get(column, [])]
            whole = sum(v == 100 for v in each)
            cells.append(f"{np.mean(each):6.1f} ({min(each):5.1f}) {whole:2}" if each else "-")
            figures[f"{name}: {column}"] = [round(v, 1) for v in each]
        print(f"  {name:30}{sizes[name]:11,}" + "".join(f"{c:>21}" for c in cells), flush=True)
    return figures


def _pairs(seeds: Sequence[int]) -> dict[str, list[Tensor]]:
    splits = [chaining.split(seed) for seed in seeds]
    return {part: [s[part] for s in splits] for part in splits[0]}


def _digits(seeds: Sequence[int]) -> tuple[Scores, dict[str, int]]:
    pairs = _pairs(seeds)
    train = torch.stack(pairs["train"])
    far = torch.cartesian_prod(torch.arange(10), torch.arange(10, 91)).expand(len(seeds), -1, -1)
    found, sizes = dict[str, dict[str, list[float]]](), dict[str, int]()
    for name, chain in CHAINS.items():
        net = chaining.trained(chain, seeds, train, shift())
        found[name] = _scores(net, pairs) | {"far": accuracies(net.wider(100), far)}
        sizes[name] = chaining.parameters(net) // len(seeds)
    _beside(found, sizes, seeds, pairs, [chaining.plain] * len(seeds))
    return found, sizes


def _beside(
    found: Scores,
    sizes: dict[str, int],
    seeds: Sequence[int],
    pairs: dict[str, list[Tensor]],
    drawn: Sequence[Drawn],
    asked: Sequence[Drawn] | None = None,
) -> None:
    for at, seed in enumerate(seeds):
        nets = chaining.beside(seed, pairs["train"][at][None], drawn[at])
        mine = {part: [of[at]] for part, of in pairs.items()}
        for name, net in zip(("LSTM", "Transformer"), nets, strict=True):
            scores = _scores(net, mine, (asked or drawn)[at])
            sizes[name] = chaining.parameters(net)
            for column, value in scores.items():
                found.setdefault(name, {}).setdefault(column, []).extend(value)


def _scores(
    net: nn.Module, pairs: dict[str, list[Tensor]], drawn: Drawn = chaining.plain
) -> dict[str, list[float]]:
    made = {}
    for part, column in PARTS.items():
        least = min(len(p) for p in pairs[part])
        made[column] = accuracies(net, torch.stack([p[:least] for p in pairs[part]]), drawn)
    return made


class Reader(nn.Module):
    """An image to the probabilities of the ten digits: two convolutions and two linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def _images(folder: Path) -> tuple[Scores, dict[str, int]]:
    """First addends are images; a seed's test has other images and other pairs than its training."""
    pixels, labels = _mnist(folder)
    given, asked, right = [], [], []
    size = 0
    for seed in IMAGE_SEEDS:
        torch.manual_seed(seed)
        order = torch.randperm(len(labels))
        train, test = order[:8_000], order[8_000:]
        reader = _reader(pixels[train], labels[train])
        with torch.no_grad():
            read = torch.cat([reader(p).softmax(1) for p in pixels.chunk(20)])
        right.append(float((read[test].argmax(1) == labels[test]).float().mean()))
        given.append(partial(_drawn, read[train], labels[train]))
        asked.append(partial(_drawn, read[test], labels[test]))
        size = chaining.parameters(reader)
    pairs = _pairs(IMAGE_SEEDS)
    tested = pairs | {part: [p.repeat(50, 1) for p in pairs[part]] for part in PARTS}
    found, sizes = dict[str, dict[str, list[float]]](), dict[str, int]()
    for name, chain, increment in (
        ("workspace, increment by hand", Chain(), shift()),
        ("workspace, increment learned", replace(Chain(), steps=LONGER), None),
    ):
        net = chaining.trained(
            chain, IMAGE_SEEDS, torch.stack(pairs["train"]), increment, _each(given)
        )
        found[name] = _scores(net, tested, _each(asked))
        sizes[name] = chaining.parameters(net) // len(IMAGE_SEEDS)
    alone = [_each([d]) for d in given], [_each([d]) for d in asked]
    _beside(found, sizes, IMAGE_SEEDS, tested, *alone)
    found["reading the digit alone"], sizes["reading the digit alone"] = {"between": right}, size
    return found, sizes


def _each(drawn: Sequence[Drawn]) -> Drawn:
    """Of each seed its own images."""

    def made(first: Tensor) -> Tensor:
        return torch.stack([d(f) for d, f in zip(drawn, first, strict=True)])

    return made


def _drawn(read: Tensor, labels: Tensor, first: Tensor) -> Tensor:
    """What was read of an image of each number, drawn anew: [batch] int -> [batch, 10]."""
    made = torch.empty(len(first), 10)
    for digit in range(10):
        rows = (first == digit).nonzero()[:, 0]
        those = (labels == digit).nonzero()[:, 0]
        made[rows] = read[those[torch.randint(len(those), (len(rows),))]]
    return made


def _mnist(folder: Path) -> tuple[Tensor, Tensor]:
    """[10000, 1, 28, 28] float32 in 0..1 and [10000] int64."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 1, 28, 28)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read()[8:], np.uint8)
    return torch.from_numpy(pixels.astype(np.float32) / 255), torch.from_numpy(
        labels.astype(np.int64)
    )


def _reader(pixels: Tensor, labels: Tensor, epochs: int = 5, rate: float = 3e-3) -> Reader:
    reader = Reader()
    steps = epochs * (len(labels) // 100)
    optimiser = torch.optim.AdamW(reader.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(100):
            left, up = (int(v) for v in torch.randint(-2, 3, (2,)))
            moved = pixels[rows].roll((up, left), (2, 3))
            loss = nn.functional.cross_entropy(reader(moved), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return reader.eval()
