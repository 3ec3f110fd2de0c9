"""Out-of-scope requests of CLINC150: told apart from those of 150 intents by frozen MiniLM vectors.

Each method sees the train split only. `rejected` is the share of out-of-scope requests that fall below the score
that 95 % of the in-scope test requests reach (one minus it is known as FPR95), `both` the share of all test
requests that are treated rightly there: in scope, accepted and of the right intent; out of scope, refused. The
last three columns need no look at the test part: the threshold is our own, for a stated coverage of 95 %.

Beside ours: largest softmax probability (Hendrycks & Gimpel 2017, arXiv 1610.02136) and energy (Liu et al. 2020,
arXiv 2010.03759) of a softmax regression; distance to the k-th nearest example (Sun et al. 2022, arXiv 2204.06507);
Mahalanobis distance (Podolskiy et al. 2021, arXiv 2101.03778).
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.planning import Options
from pointsman.experts.models.encoder import Encoder
from pointsman.router.planning.scope import Scope

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Vectors: TypeAlias = NDArray[np.float32]

SHOTS = 10
COVERAGE = 0.95
NEIGHBOUR = {True: 10, False: 3}
"""k of the k-nearest-neighbour baseline with all examples and with SHOTS an intent; chosen on val and oos_val."""
PUBLISHED = (
    "published (Larson et al. 2019, EMNLP, data 'full'): BERT fine-tuned with out-of-scope as a class of its own "
    "96.9 % in-scope accuracy, 40.3 % of out-of-scope requests rejected"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of the test part, in scope and out of it, the intents chosen, and our own threshold if there is one."""

    inside: Floats
    outside: Floats
    chosen: Labels
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Clinc:
    """Unit vectors [n, 384] and intents [n] of the parts."""

    train: Vectors
    labels: Labels
    known_outside: Vectors
    test: Vectors
    truth: Labels
    outside: Vectors

    def few(self, seed: int) -> "tuple[Vectors, Labels]":
        rng = np.random.default_rng(seed)
        rows = [
            rng.choice(np.flatnonzero(self.labels == n), SHOTS, replace=False)
            for n in np.unique(self.labels)
        ]
        picked = np.concatenate(rows)
        return self.train[picked], self.labels[picked]


Method: TypeAlias = Callable[[Clinc, Vectors, Labels, int], Judged]


def run(options: Options) -> dict[str, object]:
    clinc = asyncio.run(_read(options.data / "clinc150"))
    methods: dict[str, Method] = {
        "max softmax": lambda *given: _softmax(*given, energy=False),
        "energy": lambda *given: _softmax(*given, energy=True),
        "k-th neighbour": _neighbour,
        "mahalanobis": _mahalanobis,
        "ours": lambda *given: _ours(*given, knowing=False),
        "ours, 100 outside examples": lambda *given: _ours(*given, knowing=True),
    }
    print(
        f"CLINC150: {len(clinc.test)} requests in scope, {len(clinc.outside)} out of it, {len(options.seeds)} seeds"
    )
    print(
        f"{'examples':12} {'method':28} {'intent acc':>10} {'AUROC':>13} {'rejected':>13} {'both':>6}"
        f" | {'stated 0.95: kept':>17} {'rejected':>8} {'both':>6}"
    )
    figures: dict[str, object] = {}
    for whole in (True, False):
        of_these: dict[str, object] = {}
        for name, method in methods.items():
            found = [
                _figures(clinc, method(clinc, *_examples(clinc, whole, seed), seed))
                for seed in options.seeds
            ]
            of_these[name] = _table_row("all (100)" if whole else f"{SHOTS} an intent", name, found)
        figures["all examples" if whole else f"{SHOTS} examples an intent"] = of_these
    print(PUBLISHED)
    return {**figures, "published": PUBLISHED}


def _examples(clinc: Clinc, whole: bool, seed: int) -> tuple[Vectors, Labels]:
    return (clinc.train, clinc.labels) if whole else clinc.few(seed)


def _table_row(examples: str, name: str, found: Sequence[dict[str, float]]) -> dict[str, float]:
    mean = {k: float(np.mean([f[k] for f in found])) for k in found[0]}
    spread = {f"{k}_sd": float(np.std([f[k] for f in found])) for k in ("auroc", "rejected")}
    own = (
        f"{mean['kept_own']:17.3f} {mean['rejected_own']:8.3f} {mean['both_own']:6.3f}"
        if "kept_own" in mean
        else ""
    )
    print(
        f"{examples:12} {name:28} {mean['intent_accuracy']:10.3f} {mean['auroc']:6.4f} ±{spread['auroc_sd']:.4f}"
        f" {mean['rejected']:7.3f} ±{spread['rejected_sd']:.3f} {mean['both']:6.3f} | {own}",
        flush=True,
    )
    return mean | spread


def _figures(clinc: Clinc, judged: Judged) -> dict[str, float]:
    right = judged.chosen == clinc.truth
    made = {"intent_accuracy": float(right.mean()), "auroc": auroc(judged.inside, judged.outside)}
    at_95 = float(np.quantile(judged.inside, 1 - COVERAGE))
    _, made["rejected"], made["both"] = _at(judged, right, at_95)
    made["fpr95"] = 1 - made["rejected"]
    if judged.threshold is not None:
        own = _at(judged, right, judged.threshold)
        made["kept_own"], made["rejected_own"], made["both_own"] = own
    return made


def _at(judged: Judged, right: NDArray[np.bool_], threshold: float) -> tuple[float, float, float]:
    kept, refused = judged.inside >= threshold, judged.outside < threshold
    both = float((kept & right).sum() + refused.sum()) / (len(kept) + len(refused))
    return float(kept.mean()), float(refused.mean()), both


def auroc(inside: Floats, outside: Floats) -> float:
    """Chance that a request in scope scores higher than one out of it; ties count a half."""
    ordered = np.sort(outside)
    below, upto = np.searchsorted(ordered, inside), np.searchsorted(ordered, inside, "right")
    return float((below + upto).mean() / 2 / len(ordered))


def _ours(clinc: Clinc, examples: Vectors, labels: Labels, seed: int, *, knowing: bool) -> Judged:
    known = clinc.known_outside if knowing else None
    scope = Scope.fit(examples, labels, outside=known, seed=seed)
    names, fits = scope.label_scores(clinc.test)
    return Judged(
        scope.score(clinc.test),
        scope.score(clinc.outside),
        names[fits.argmax(1)],
        scope.threshold(COVERAGE),
    )


def _neighbour(clinc: Clinc, examples: Vectors, labels: Labels, seed: int) -> Judged:
    k = NEIGHBOUR[len(examples) == len(clinc.train)]
    inside, outside = clinc.test @ examples.T, clinc.outside @ examples.T
    return Judged(
        np.partition(inside, -k, 1)[:, -k].astype(np.float64),
        np.partition(outside, -k, 1)[:, -k].astype(np.float64),
        labels[inside.argmax(1)],
    )


def _mahalanobis(clinc: Clinc, examples: Vectors, labels: Labels, seed: int) -> Judged:
    names, place = np.unique(labels, return_inverse=True)
    means = np.stack([examples[place == n].mean(0, dtype=np.float64) for n in range(len(names))])
    inverse = np.linalg.pinv(np.cov((examples - means[place]).T))

    def distances(vectors: Vectors) -> Floats:
        quadratic = np.einsum("nd,nd->n", vectors @ inverse, vectors)
        own = np.einsum("cd,cd->c", means @ inverse, means)
        made: Floats = quadratic[:, None] + own - 2 * vectors @ inverse @ means.T
        return made

    inside = distances(clinc.test)
    return Judged(-inside.min(1), -distances(clinc.outside).min(1), names[inside.argmin(1)])


def _softmax(clinc: Clinc, examples: Vectors, labels: Labels, seed: int, *, energy: bool) -> Judged:
    """Softmax regression by Adam (Kingma & Ba 2015), 20 rounds, or 60 where examples are few."""
    import torch

    torch.manual_seed(seed)
    names, place = np.unique(labels, return_inverse=True)
    model = torch.nn.Linear(examples.shape[1], len(names))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=1e-4)
    x, y = torch.from_numpy(examples), torch.from_numpy(place)
    for _ in range(20 if len(x) > 5_000 else 60):
        for rows in torch.randperm(len(x)).split(256):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        inside, outside = (model(torch.from_numpy(v)) for v in (clinc.test, clinc.outside))
        score = (
            (lambda z: z.logsumexp(1).numpy().astype(np.float64))
            if energy
            else (lambda z: z.softmax(1).amax(1).numpy().astype(np.float64))
        )
        return Judged(score(inside), score(outside), names[inside.argmax(1).numpy()])


async def _read(folder: Path) -> Clinc:
    encoder = Encoder()
    names: dict[str, int] = {}

    async def part(name: str) -> tuple[Vectors, Labels]:
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        labels = np.array([names.setdefault(r["intent"], len(names)) for r in rows], np.int64)
        return await encoder.embed([r["text"] for r in rows]), labels

    try:
        train, labels = await part("train")
        test, truth = await part("test")
        known, _ = await part("oos_train")
        outside, _ = await part("oos_test")
    finally:
        encoder.close()
    return Clinc(train, labels, known, test, truth, outside)
