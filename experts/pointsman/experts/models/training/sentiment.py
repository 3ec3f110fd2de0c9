"""Trains the sentiment head: `python -m pointsman.experts.models.training.sentiment --data DIR`.

Data: rated_snippets (MIT; sentences with the mean rating of 20 people, -4..4; split here by document),
the polarity of goemotions' train part (Apache-2.0), and plain requests of clinc150's train part (CC BY
3.0) as neutral texts. The rating becomes a distribution over three classes: a mean of 20 ratings has a
standard error of about 0.3, so a text at 0.45 is nearly as much positive as neutral.
"""

import argparse
import time
from dataclasses import dataclass
from hashlib import sha256
from math import erf, sqrt
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.experts.models.heads import PoolingHead, outputs_of, save, weights_path
from pointsman.experts.models.training.fitting import fit
from pointsman.experts.models.training.states import States, lines, states_of

SOURCES = ("amazonReviewSnippets", "nytEditorialSnippets", "movieReviewSnippets", "tweets")
EDGE = 0.5
ERROR = 0.3
POSITIVE = frozenset(
    "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief".split()
)
NEGATIVE = frozenset(
    "anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness".split()
)


@dataclass(frozen=True, slots=True)
class Rated:
    """Sentences with ratings. part: "train", "dev" or "test", the same for all sentences of a document."""

    texts: list[str]
    ratings: NDArray[np.float32]
    sources: list[str]
    parts: NDArray[np.str_]

    def rows(self, part: str) -> NDArray[np.int64]:
        return np.flatnonzero(self.parts == part)


def rated(folder: Path) -> Rated:
    texts, ratings, sources, parts = [], [], [], []
    for source in SOURCES:
        for row in lines(folder / "rated_snippets" / f"{source}.jsonl"):
            texts.append(row["text"])
            ratings.append(row["rating"])
            sources.append(source)
            parts.append(part_of(source, row["id"].split("_")[0]))
    return Rated(texts, np.array(ratings, np.float32), sources, np.array(parts))


def part_of(source: str, document: str) -> str:
    place = sha256(f"{source}/{document}".encode()).digest()[0] / 256
    return "test" if place < 0.2 else "dev" if place < 0.3 else "train"


def class_of(ratings: NDArray[np.float32]) -> NDArray[np.int64]:
    """0 negative, 1 neutral, 2 positive."""
    made: NDArray[np.int64] = 1 + (ratings > EDGE).astype(np.int64) - (ratings < -EDGE)
    return made


def soft_classes(rating: float) -> tuple[float, float, float]:
    below = (1 + erf((-EDGE - rating) / ERROR / sqrt(2))) / 2
    above = 1 - (1 + erf((EDGE - rating) / ERROR / sqrt(2))) / 2
    return below, 1 - below - above, above


def polarities(folder: Path, part: str) -> list[int | None]:
    """Class of each goemotions text; None where the labels disagree or say nothing of polarity."""
    names = (folder / "goemotions" / "labels.txt").read_text().split()
    made: list[int | None] = []
    for row in lines(folder / "goemotions" / f"{part}.jsonl"):
        labels = {names[i] for i in row["labels"]}
        signs = {2 for _ in labels & POSITIVE} | {0 for _ in labels & NEGATIVE}
        signs |= {1} if "neutral" in labels else set()
        made.append(signs.pop() if len(signs) == 1 else None)
    return made


@dataclass(frozen=True, slots=True)
class Corpus:
    """pairs: where each text's states are; classes: [n, 3]; values: [n], nan where no rating; weights: [n]."""

    pairs: list[tuple[States, int]]
    classes: NDArray[np.float32]
    values: NDArray[np.float32]
    weights: NDArray[np.float32]


def corpus(folder: Path, cache: Path | None, snippets: Rated, states: States) -> Corpus:
    pairs: list[tuple[States, int]] = []
    classes: list[tuple[float, ...]] = []
    values: list[float] = []
    weights: list[float] = []
    for i in snippets.rows("train"):
        pairs.append((states, int(i)))
        classes.append(soft_classes(float(snippets.ratings[i])))
        values.append(float(snippets.ratings[i]) / 4)
        weights.append(1.0)
    for name, part, weight in (("goemotions", "train", 0.5), ("clinc150", "train", 0.3)):
        rows = lines(folder / name / f"{part}.jsonl")
        known = polarities(folder, part) if name == "goemotions" else [1] * len(rows)
        kept = states_of([r["text"] for r in rows], cache, f"{name}-{part}")
        step = 1 if name == "goemotions" else 5
        for i in range(0, len(rows), step):
            sign = known[i]
            if sign is not None:
                pairs.append((kept, i))
                classes.append(tuple(float(sign == c) for c in range(3)))
                values.append(float("nan"))
                weights.append(weight)
    return Corpus(pairs, *(np.array(a, np.float32) for a in (classes, values, weights)))


def train(made: Corpus, *, seed: int, epochs: int = 5) -> PoolingHead:
    """Outputs: logits of the three classes, and the value (rating / 4)."""
    classes, values, weights = (
        torch.from_numpy(a) for a in (made.classes, made.values, made.weights)
    )
    given = ~values.isnan()

    def loss(out: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        entropy = torch.nn.functional.cross_entropy(out[:, :3], classes[rows], reduction="none")
        off = (torch.tanh(out[:, 3]) - values[rows].nan_to_num()) ** 2 * given[rows]
        return ((entropy + 4 * off) * weights[rows]).mean()

    return fit(made.pairs, 4, loss, seed=seed, epochs=epochs)


def macro_f1(true: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    scores = []
    for c in range(3):
        both = ((true == c) & (said == c)).sum()
        scores.append(2 * both / max(1, (true == c).sum() + (said == c).sum()))
    return float(np.mean(scores))


def measures(ratings: NDArray[np.float32], out: NDArray[np.float32]) -> dict[str, float]:
    """Three-class macro F1, accuracy of sign where the rating is beyond the edge, correlation."""
    true, said, value = class_of(ratings), out[:, :3].argmax(1), np.tanh(out[:, 3])
    clear = true != 1
    sign = out[:, 2] > out[:, 0]
    return {
        "f1": macro_f1(true, said),
        "accuracy": float((true == said).mean()),
        "sign": float((sign == (true == 2))[clear].mean()),
        "r": float(np.corrcoef(ratings, value)[0, 1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="report the spread over so many seeds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.time()
    snippets = rated(given.data)
    states = states_of(snippets.texts, given.cache, "rated")
    made = corpus(given.data, given.cache, snippets, states)
    for seed in range(given.seeds):
        head = train(made, seed=seed)
        for part in ("dev", "test"):
            rows = snippets.rows(part)
            out = outputs_of(head, [states[int(i)] for i in rows])
            report(f"seed {seed} {part}", snippets, rows, out)
        if seed == 0:
            save(head, weights_path("sentiment"), {"classes": ["negative", "neutral", "positive"]})
    print(f"{time.time() - start:.0f} s")


def report(title: str, snippets: Rated, rows: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    groups = {"all": np.ones(len(rows), bool)}
    groups |= {s: np.array([snippets.sources[i] == s for i in rows]) for s in SOURCES}
    for name, group in groups.items():
        figures = measures(snippets.ratings[rows][group], out[group])
        print(title, f"{name:22}", " ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)


if __name__ == "__main__":
    main()
