"""Trains the emotion head: `python -m pointsman.experts.models.training.emotion --data DIR`.

Data: goemotions (Apache-2.0), 27 emotions and neutral, several labels a text. The head learns on the
train part; each class's threshold is the one with the best F1 on the dev part; the test part is only
measured.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.experts.models.heads import PoolingHead, outputs_of, save, weights_path
from pointsman.experts.models.training.fitting import fit
from pointsman.experts.models.training.states import States, lines, states_of

Labels = NDArray[np.float32]


def labelled(folder: Path, part: str, cache: Path | None) -> tuple[States, Labels]:
    """States of a part's texts and their labels, [texts, classes] of 0 and 1."""
    rows = lines(folder / "goemotions" / f"{part}.jsonl")
    labels = np.zeros((len(rows), len(names_of(folder))), np.float32)
    for row, text in enumerate(rows):
        labels[row, text["labels"]] = 1
    return states_of([r["text"] for r in rows], cache, f"goemotions-{part}"), labels


def names_of(folder: Path) -> list[str]:
    return (folder / "goemotions" / "labels.txt").read_text().split()


def train(states: States, labels: Labels, *, seed: int, epochs: int = 6) -> PoolingHead:
    """Outputs: a logit for each class. Rare classes weigh more: (share of absent / present) ** 0.25."""
    share = labels.mean(0)
    weight = torch.from_numpy(((1 - share) / share) ** 0.25).float()
    truth = torch.from_numpy(labels)

    def loss(out: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(
            out, truth[rows], pos_weight=weight, reduction="sum"
        ) / len(rows)

    pairs = [(states, i) for i in range(len(states))]
    return fit(pairs, labels.shape[1], loss, seed=seed, epochs=epochs)


def chances(head: PoolingHead, states: States) -> NDArray[np.float32]:
    out = outputs_of(head, [states[i] for i in range(len(states))])
    return np.asarray(1 / (1 + np.exp(-out)), np.float32)


def f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return float(2 * (truth & said).sum() / max(1, truth.sum() + said.sum()))


def thresholds_of(chance: NDArray[np.float32], labels: Labels) -> list[float]:
    grid = np.linspace(0.05, 0.7, 27)
    return [
        float(max(grid, key=lambda t: f1(labels[:, c] > 0, chance[:, c] > t)))
        for c in range(labels.shape[1])
    ]


def scores_of(chance: NDArray[np.float32], labels: Labels, cuts: list[float]) -> list[float]:
    """F1 of each class."""
    return [f1(labels[:, c] > 0, chance[:, c] > cuts[c]) for c in range(labels.shape[1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="report the spread over so many seeds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.time()
    parts = {p: labelled(given.data, p, given.cache) for p in ("train", "dev", "test")}
    names = names_of(given.data)
    for seed in range(given.seeds):
        head = train(*parts["train"], seed=seed)
        cuts = thresholds_of(chances(head, parts["dev"][0]), parts["dev"][1])
        for part in ("dev", "test"):
            scores = scores_of(chances(head, parts[part][0]), parts[part][1], cuts)
            print(f"seed {seed} {part} macro F1 {np.mean(scores):.3f}", flush=True)
        print(" ".join(f"{n} {s:.2f}" for n, s in zip(names, scores, strict=True)))
        if seed == 0:
            save(head, weights_path("emotion"), {"names": names, "thresholds": cuts})
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
