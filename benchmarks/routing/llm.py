"""Strong or weak model, prompt by prompt: quality recovered against the share of calls to the strong one.

RouteLLM's recorded results of gpt-4-1106-preview and Mixtral-8x7B on MMLU and GSM8K. Settings:
- own labels: five folds over prompts; a prompt's model never saw it (equal prompts share a fold);
- 1,500 labels: the same with 1,500 labels at most, what the published routers had of MMLU ("gold");
- other benchmark, MT-bench: no label of the benchmark at all, as the routers published as "arena".
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing import Options
from benchmarks.routing._routing_sets import Vectors, embed, lines, summed, told
from pointsman.router.routing.quality import QualityModel, fit
from pointsman.router.routing.surface import surface

Floats = NDArray[np.float64]
FOLDS = 5
GOLD = 1_500
RESAMPLES = 1_000
PUBLISHED = {
    # Ong et al. 2024, arXiv 2406.18665v4, tables 2 and 3: CPT(50 %), CPT(80 %), APGR
    "mmlu": {
        "MF, arena": (0.4500, 0.7686, 0.524),
        "BERT, arena + gold": (0.4130, 0.7220, 0.572),
        "MF, arena + gold": (0.3546, 0.7140, 0.597),
        "causal LLM, arena + gold": (0.3549, 0.7031, 0.600),
        "SW ranking, arena + gold": (0.3540, 0.7155, 0.603),
    },
    "gsm8k": {
        "SW ranking, arena": (0.5443, 0.8211, 0.475),
        "BERT, arena + judge": (0.4476, 0.7909, 0.531),
        "MF, arena + judge": (0.3882, 0.7262, 0.565),
        "SW ranking, arena + judge": (0.4121, 0.7220, 0.568),
        "causal LLM, arena + judge": (0.3364, 0.6326, 0.622),
    },
}


@dataclass(frozen=True, slots=True)
class Results:
    """vectors: [n, 384]; surfaces: [n, FEATURES]; right: [n, 2], of the strong and of the weak model."""

    prompts: list[str]
    vectors: Vectors
    surfaces: Vectors
    right: Vectors


def run(options: Options) -> dict[str, object]:
    folder = options.data / "routellm"
    sets = {name: _read(folder / f"{name}.jsonl") for name in ("mmlu", "gsm8k")}
    judged = _judged(folder / "mt_bench_judgements.jsonl.gz")
    figures: dict[str, object] = {}
    for name, results in sets.items():
        other = sets["gsm8k" if name == "mmlu" else "mmlu"]
        gain = results.right[:, 0] - results.right[:, 1]
        print(
            f"{name}: {len(gain):,} prompts, strong {results.right[:, 0].mean():.3f}, "
            f"weak {results.right[:, 1].mean():.3f}"
        )
        print(f"  {'':28} {'APGR':>15} {'CPT(50 %)':>15} {'CPT(80 %)':>15}  area, quality")
        rows = {
            "ours, own labels": [_folds(results, seed) for seed in options.seeds],
            f"ours, {GOLD:,} labels": [_folds(results, seed, GOLD) for seed in options.seeds],
            "ours, other benchmark only": [
                _gains(_fitted(other, s), results) for s in options.seeds
            ],
            "ours, MT-bench only": [_gains(_fitted(judged, s), results) for s in options.seeds],
            "random": [np.random.default_rng(s).random(len(gain)) for s in range(100)],
            "oracle": [gain.astype(np.float64)],
        }
        figures[name] = {
            row: _report(row, scores, gain, results.right) for row, scores in rows.items()
        }
        for row, (half, most, area) in PUBLISHED[name].items():
            print(f"  {row:28} {area:15.3f} {half:15.1%} {most:15.1%}  (published)")
        low, high = _interval(rows["ours, own labels"][0], gain)
        print(f"  95 % interval of APGR over prompts, own labels: {low:.3f} to {high:.3f}")
    return figures


def _report(row: str, scores: list[Floats], gain: Vectors, right: Vectors) -> dict[str, object]:
    areas = [apgr(s, gain) for s in scores]
    half, most = ([cpt(s, gain, share) for s in scores] for share in (0.5, 0.8))
    weak, strong = float(right[:, 1].mean()), float(right[:, 0].mean())
    quality = weak + (strong - weak) * float(np.mean(areas))
    print(
        f"  {row:28} {told(areas):>15} {told([100 * v for v in half], 1):>15} "
        f"{told([100 * v for v in most], 1):>15}  {quality:.3f}"
    )
    return {
        "apgr": summed(areas),
        "cpt50": summed(half),
        "cpt80": summed(most),
        "area_cost_quality": round(quality, 4),
    }


def curve(scores: Floats, gain: Vectors) -> Floats:
    """[n + 1]: share of the gap recovered when the k prompts with the highest scores go to the strong model."""
    order = np.argsort(-scores, kind="stable")
    steps = np.concatenate([[0.0], np.cumsum(gain[order].astype(np.float64))])
    made: Floats = steps / gain.sum()
    return made


def apgr(scores: Floats, gain: Vectors) -> float:
    """Area under the curve, over the share of calls to the strong model from 0 to 1."""
    points = curve(scores, gain)
    return float((points[1:] + points[:-1]).mean() / 2)


def cpt(scores: Floats, gain: Vectors, share: float) -> float:
    """The least share of calls to the strong model that recovers `share` of the gap."""
    points = curve(scores, gain)
    return float(np.argmax(points >= share)) / len(gain)


def _folds(results: Results, seed: int, most: int | None = None) -> Floats:
    """Gain expected of the strong model, each prompt's from a model that did not see it."""
    rng = np.random.default_rng(seed)
    unique = {prompt: at for at, prompt in enumerate(dict.fromkeys(results.prompts))}
    fold = rng.integers(0, FOLDS, len(unique))[[unique[p] for p in results.prompts]]
    gains = np.zeros(len(fold))
    for held in range(FOLDS):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        if most is not None:
            train = rng.permutation(train)[:most]
        gains[test] = _gains(_fitted(_part(results, train), seed), _part(results, test))
    return gains


def _fitted(results: Results, seed: int) -> QualityModel:
    return fit(("strong", "weak"), results.vectors, results.surfaces, results.right, seed=seed)


def _gains(model: QualityModel, results: Results) -> Floats:
    expected = model.predict(results.vectors, results.surfaces)
    made: Floats = (expected[:, 0] - expected[:, 1]).astype(np.float64)
    return made


def _part(results: Results, rows: NDArray[np.int64]) -> Results:
    return Results(
        [results.prompts[r] for r in rows],
        results.vectors[rows],
        results.surfaces[rows],
        results.right[rows],
    )


def _interval(scores: Floats, gain: Vectors) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(gain), len(gain)) for _ in range(RESAMPLES)]
    low, high = np.quantile([apgr(scores[d], gain[d]) for d in drawn], [0.025, 0.975])
    return float(low), float(high)


def _results(prompts: list[str], right: Callable[[int], tuple[float, float]]) -> Results:
    return Results(
        prompts,
        embed(prompts),
        surface(prompts),
        np.array([right(at) for at in range(len(prompts))], np.float32),
    )


def _read(path: Path) -> Results:
    rows = lines(path)
    return _results(
        [r["prompt"] for r in rows],
        lambda at: (float(rows[at]["strong"]), float(rows[at]["weak"])),
    )


def _judged(path: Path) -> Results:
    """MT-bench, first turns: the judge's marks out of ten as shares."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [r for r in map(json.loads, file) if r["turn"] == 1]
    marks: dict[int, dict[str, tuple[float, str]]] = {}
    for row in rows:
        side = "strong" if row["model"].startswith("gpt-4") else "weak"
        marks.setdefault(row["question_id"], {})[side] = (row["score"] / 10, row["user_prompt"])
    both = [m for _, m in sorted(marks.items()) if len(m) == 2]
    return _results(
        [_question(m["strong"][1]) for m in both],
        lambda at: (max(0.0, both[at]["strong"][0]), max(0.0, both[at]["weak"][0])),
    )


def _question(prompt: str) -> str:
    """What was asked, without the answer and the judge's instructions."""
    for start in ("[Question]", "### User:"):
        if start in prompt:
            prompt = prompt.split(start, 1)[1]
    for end in ("[The Start of", "### Assistant A", "<|The Start"):
        prompt = prompt.split(end, 1)[0]
    return prompt.strip()
