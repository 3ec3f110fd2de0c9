"""Intents: CLINC150 (with requests of none) and BANKING77, from 10 examples an intent and from all.

Beside semantic-router's IndexedRouter with the same encoder in the same run, at the settings it starts with
(the five nearest examples, mean of their cosines) and at `max`; its threshold is set on the same validation rows
as ours, by the same rule (its own calibration is monotone and would change neither choice nor threshold). Needs `pip install semantic-router` (or its folder on PYTHONPATH);
without it only our rows are printed.
"""

import asyncio
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing import Options
from benchmarks.routing._routing_sets import Vectors, embed, lines, summed, told
from pointsman.experts.models.encoder import Encoder
from pointsman.router.routing.intents import STRENGTH, fit
from pointsman.router.routing.logistic import best_threshold

SHOTS: tuple[int | None, ...] = (10, None)
TIMED, TIMED_WHOLE = 500, 200
"""Texts that are routed one by one for the throughput: from vectors, and from texts."""


@dataclass(frozen=True, slots=True)
class Rows:
    texts: list[str]
    labels: list[str]
    vectors: Vectors

    def taken(self, places: NDArray[np.int64]) -> "Rows":
        return Rows(
            [self.texts[p] for p in places],
            [self.labels[p] for p in places],
            self.vectors[places],
        )


@dataclass(frozen=True, slots=True)
class Task:
    """outside: validation texts of no intent; strange: those of the test."""

    train: Rows
    validation: Rows
    test: Rows
    outside: Rows | None = None
    strange: Rows | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """accuracy: of the first intent, before any threshold. f1: of "none of them" on all of the test."""

    accuracy: float
    f1: float | None
    per_second: float


def run(options: Options) -> dict[str, object]:
    known = importlib.util.find_spec("semantic_router") is not None
    if not known:
        print("semantic-router is not installed: only our own rows")
    figures: dict[str, object] = {}
    tasks = {"clinc150": _clinc, "banking77": _banking}
    for name, read in tasks.items():
        whole = _rows(options.data / name / "train.jsonl")
        for shots in SHOTS:
            found: dict[str, list[Outcome]] = {}
            # of all examples nothing is drawn but an order: once is enough
            for seed in options.seeds if shots else options.seeds[:1]:
                task = read(options.data / name, whole, shots, seed)
                for who, judge in _contestants(known).items():
                    found.setdefault(who, []).append(judge(task))
            figures[f"{name}, {shots or 'all'}"] = _report(name, shots, found)
    figures["from texts, one by one, a second"] = _whole(options.data / "banking77", known)
    if options.verbose:
        _strengths(options.data / "clinc150")
    return figures


def _contestants(known: bool) -> dict[str, Callable[[Task], Outcome]]:
    peers: dict[str, Callable[[Task], Outcome]] = {}
    if known:
        from benchmarks.routing import _semantic_router

        peers = {
            "semantic-router": lambda t: _semantic_router.judged(t, "mean"),
            "semantic-router, max": lambda t: _semantic_router.judged(t, "max"),
        }
    return {"ours": _ours} | peers


def _report(
    name: str, shots: int | None, found: dict[str, list[Outcome]]
) -> dict[str, dict[str, object]]:
    print(f"{name}, {shots or 'all'} examples an intent")
    figures: dict[str, dict[str, object]] = {}
    for who, outcomes in found.items():
        accuracies = [o.accuracy for o in outcomes]
        speeds = [o.per_second for o in outcomes]
        scores = [o.f1 for o in outcomes if o.f1 is not None]
        none = f"   none of them: F1 {told(scores)}" if scores else ""
        print(f"  {who:22} accuracy {told(accuracies)}{none}   {np.mean(speeds):10,.0f} a second")
        figures[who] = {"accuracy": summed(accuracies), "per_second": summed(speeds)}
        if scores:
            figures[who]["oos_f1"] = summed(scores)
    return figures


def _ours(task: Task) -> Outcome:
    head = fit(task.train.vectors, task.train.labels)
    outside = None if task.outside is None else task.outside.vectors
    head = head.tuned(task.validation.vectors, task.validation.labels, outside=outside)
    first = [head.names[p] for p in head.scores(task.test.vectors).argmax(1)]
    f1 = None
    if task.strange is not None:
        told_none = [c.name is None for c in head.choose(task.test.vectors)]
        caught = [c.name is None for c in head.choose(task.strange.vectors)]
        f1 = none_f1(told_none, caught)
    vectors = task.test.vectors
    each = speed(lambda at: head.choose(vectors[at : at + 1]), min(TIMED, len(vectors)))
    return Outcome(share(first, task.test.labels), f1, each)


def speed(route: Callable[[int], object], count: int) -> float:
    """Calls a second at the median call: the machine does other things too."""
    taken: list[float] = []
    for at in range(count):
        began = time.perf_counter()
        route(at)
        taken.append(time.perf_counter() - began)
    return 1 / float(np.median(taken))


def share(found: Sequence[str | None], right: Sequence[str]) -> float:
    return float(np.mean([f == r for f, r in zip(found, right, strict=True)]))


def none_f1(inside: Sequence[bool], outside: Sequence[bool]) -> float:
    """F1 of "none of them": inside, outside: whether each text was told to be none."""
    caught, wrong = sum(outside), sum(inside)
    return 2 * caught / (caught + wrong + len(outside)) if caught else 0.0


def threshold(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The rule both sides set their threshold by."""
    return best_threshold(np.asarray(inside), np.asarray(outside))


def _rows(path: Path, most: int | None = None) -> Rows:
    read = lines(path)[:most]
    texts = [r["text"] for r in read]
    return Rows(texts, [r["intent"] for r in read], embed(texts))


def _few(rows: Rows, shots: int | None, seed: int) -> NDArray[np.int64]:
    """Places of `shots` rows of each intent, drawn; all of them for None, in an order of the seed."""
    order = np.random.default_rng(seed).permutation(len(rows.labels))
    if shots is None:
        return order
    seen: dict[str, int] = {}
    kept: list[int] = []
    for place in order.tolist():
        label = rows.labels[place]
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= shots:
            kept.append(place)
    return np.array(kept, np.int64)


def _clinc(folder: Path, whole: Rows, shots: int | None, seed: int) -> Task:
    outside = [_rows(folder / f"oos_{part}.jsonl") for part in ("train", "val")]
    return Task(
        whole.taken(_few(whole, shots, seed)),
        _rows(folder / "val.jsonl"),
        _rows(folder / "test.jsonl"),
        Rows(
            outside[0].texts + outside[1].texts,
            outside[0].labels + outside[1].labels,
            np.concatenate([o.vectors for o in outside]),
        ),
        _rows(folder / "oos_test.jsonl"),
    )


def _banking(folder: Path, whole: Rows, shots: int | None, seed: int) -> Task:
    """A tenth of the training rows is set aside for the validation, of the 10 examples none."""
    order = np.random.default_rng(seed).permutation(len(whole.labels))
    aside = whole.taken(order[: len(order) // 10])
    rest = whole.taken(order[len(order) // 10 :])
    return Task(rest.taken(_few(rest, shots, seed)), aside, _rows(folder / "test.jsonl"))


def _whole(folder: Path, known: bool) -> dict[str, float]:
    """From texts that no cache has seen, one by one as they come: the encoder's share included."""
    rows = _rows(folder / "train.jsonl")
    few = rows.taken(_few(rows, 10, 0))
    texts = [r["text"] for r in lines(folder / "test.jsonl")[:TIMED_WHOLE]]
    head = fit(few.vectors, few.labels)
    encoder = Encoder(threads=1, cache_bytes=0)

    async def ours() -> dict[str, float]:
        await encoder.ready()
        taken: list[float] = []
        for text in texts:
            began = time.perf_counter()
            head.choose(await encoder.embed([text]))
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
        head.choose(await encoder.embed(texts))
        batch = len(texts) / (time.perf_counter() - began)
        return {"ours": 1 / float(np.median(taken)), "ours, in one batch": batch}

    speeds = asyncio.run(ours())
    if known:
        from benchmarks.routing import _semantic_router

        speeds |= _semantic_router.whole(few, encoder, texts)
    encoder.close()
    print("from texts, encoder included")
    for who, speed in speeds.items():
        print(f"  {who:30} {speed:8,.0f} a second")
    return {who: round(speed, 1) for who, speed in speeds.items()}


def _strengths(folder: Path) -> None:
    train = _rows(folder / "train.jsonl")
    validation = _rows(folder / "val.jsonl")
    for shots in SHOTS:
        few = train.taken(_few(train, shots, 0))
        for strength in (3.0, 10.0, STRENGTH, 100.0):
            head = fit(few.vectors, few.labels, strength=strength)
            first = [head.names[p] for p in head.scores(validation.vectors).argmax(1)]
            accuracy = share(first, validation.labels)
            print(
                f"  strength {strength:5.0f}, {shots or 'all'}: validation accuracy {accuracy:.4f}"
            )
