"""Trains the topic decision: `python -m pointsman.experts.models.training.topics --data DIR`.

Pairs of a request and a topic phrase from clinc150 (CC BY 3.0: intents and domains) and nlu_home (CC BY
4.0), train parts. Measured on domains that were held out whole, beside the best fixed threshold on
cosine (chosen on the training domains).
"""

import argparse
import asyncio
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.heads import weights_path
from pointsman.experts.models.topics import BACKGROUND, features, overlap, phrasings
from pointsman.experts.models.training.states import lines

EACH = 12
Pairs = tuple[NDArray[np.float32], NDArray[np.float32], list[str]]


def texts_by_topic(folder: Path) -> list[tuple[str, str, str]]:
    """(text, intent in words, group): the group is the domain, and what is held out together."""
    domains = json.loads((folder / "clinc150" / "domains.json").read_text())
    group = {intent: domain for domain, intents in domains.items() for intent in intents}
    rows = [
        (r["text"], r["intent"].replace("_", " "), group.get(r["intent"], "other"))
        for r in lines(folder / "clinc150" / "train.jsonl")
    ]
    for r in lines(folder / "nlu_home" / "train.jsonl"):
        rows.append((r["text"], r["intent"].replace("_", " "), "nlu " + r["intent"].split("_")[0]))
    count: dict[str, int] = {}
    kept = []
    for row in rows:
        count[row[1]] = count.get(row[1], 0) + 1
        if count[row[1]] <= EACH:
            kept.append(row)
    return kept


async def pairs(rows: list[tuple[str, str, str]], encoder: Encoder) -> Pairs:
    """Features and truth of every (sampled text, topic) and the group of the topic."""
    texts = [r[0] for r in rows]
    vectors = await encoder.embed(texts)
    background = await encoder.embed(list(BACKGROUND))
    topics = {(r[1], r[2]) for r in rows} | {
        (r[2].removeprefix("nlu ").replace("_", " "), r[2]) for r in rows
    }
    random = np.random.default_rng(0)
    made, truth, groups = [], [], []
    for topic, group in sorted(topics):
        match = np.array(
            [r[1] == topic or r[2].removeprefix("nlu ").replace("_", " ") == topic for r in rows]
        )
        away = np.array([r[2].removeprefix("nlu ") != group.removeprefix("nlu ") for r in rows])
        yes = random.permutation(np.flatnonzero(match))[:24]
        no = random.permutation(np.flatnonzero(~match & away))[:72]
        some = np.concatenate([yes, no])
        phrase = await encoder.embed(phrasings(topic))
        shared = overlap(topic, [texts[i] for i in some])
        made.append(features(vectors[some], phrase, background, shared))
        truth.append(match[some].astype(np.float32))
        groups += [group] * len(some)
    return np.concatenate(made), np.concatenate(truth), groups


def fit(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Logistic regression by Newton's method with a small ridge."""
    a = np.concatenate([x, np.ones((len(x), 1))], 1).astype(np.float64)
    w = np.zeros(a.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-a @ w))
        step = (a.T * (p * (1 - p))) @ a + 0.1 * np.eye(len(w))
        w -= np.linalg.solve(step, a.T @ (p - y) + 0.1 * w)
    return w[:-1].astype(np.float32), float(w[-1])


def f1(y: NDArray[np.float32], said: NDArray[np.bool_]) -> float:
    return float(2 * (said & (y > 0)).sum() / (said.sum() + y.sum()))


def best_cut(score: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    cuts = [float(c) for c in np.linspace(score.min(), score.max(), 60)]
    return max(cuts, key=lambda cut: f1(y, np.greater(score, cut)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    encoder = Encoder(threads=1)
    x, y, groups = asyncio.run(pairs(texts_by_topic(given.data), encoder))
    encoder.close()
    names = sorted(set(groups))
    said, plain = np.zeros(len(y), bool), np.zeros(len(y), bool)
    for fold in range(5):
        out = np.array([g in names[fold::5] for g in groups])
        w, b = fit(x[~out], y[~out])
        said[out] = x[out] @ w + b > best_cut(x[~out] @ w + b, y[~out])
        plain[out] = x[out, 0] > best_cut(x[~out, 0], y[~out])
    print(
        f"{len(y)} pairs, held-out domains: F1 {f1(y, said):.3f}, cosine alone {f1(y, plain):.3f}"
    )
    w, b = fit(x, y)
    cut = best_cut(x @ w + b, y)
    print("weights", w, b, "cut", cut)
    settings = {"weights": [round(float(v), 4) for v in w], "bias": round(b - cut, 4)}
    weights_path("topics").with_suffix(".json").write_text(json.dumps(settings) + "\n")


if __name__ == "__main__":
    main()
