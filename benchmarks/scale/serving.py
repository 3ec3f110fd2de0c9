"""A process that opens an index and is asked: how long, how large, what is found. Started by growth.py."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scale.catalog import Vectors
from benchmarks.scale.exact import Floats, Places, Worded, overlap
from pointsman.router.search import EVERYTHING, CapabilityIndex, Entry, Filter, Traits

WHERES = {
    "everything": EVERYTHING,
    "healthy": Filter(tenant=None),
    "a fifth (everyone's)": Filter(),
    "pure, eu": Filter(tenant=None, effects=frozenset({"pure"}), region="eu"),
    "speech": Filter(tenant=None, modality="speech"),
    "a tenth in two steps": Filter("tenant7", frozenset({"pure", "once"}), "us"),
    "one in a thousand": Filter(tenant="rare", region="jp", modality="speech"),
}
"""What searches are narrowed by; the shares of a million are printed."""
ADDED = 50
WARMING = 50


Near = Mapping[str, tuple[Places, Floats]]
"""By filter, of each query: the nearest of all, and their cosines."""
Percentiles = tuple[float, float]
"""50th and 99th."""


@dataclass(frozen=True, slots=True)
class Served:
    """Milliseconds, megabytes (10^6 bytes). latency, share, recall: by filter. recall: of the ten nearest, of the
    ten first by both.
    """

    open_verified_s: float
    open_s: float
    before_mb: float
    opened_mb: float
    searched_mb: float
    latency: dict[str, Percentiles]
    meaning_only: Percentiles
    words_only: Percentiles
    share: dict[str, float]
    recall: dict[str, tuple[float, float]]
    visible: Percentiles
    while_adding: Percentiles
    added_meanwhile: int
    fold_s: float
    while_folding: Percentiles
    folded_mb: float


def serve(folder: Path, queries: Vectors, texts: Sequence[str], near: Near) -> Served:
    before = resident()
    open_verified = timed(lambda: _opened(folder, verify=True).close())
    began = time.perf_counter()
    index = _opened(folder, verify=False)
    opened_in = time.perf_counter() - began
    opened = resident()
    asked = list(zip(queries, texts, strict=True))
    for query, text in asked[:WARMING]:
        index.search(query, text, 10, EVERYTHING)
    latency = {name: _latency(index, asked, where) for name, where in WHERES.items()}
    meaning_only = _latency(index, [(q, "") for q, _ in asked], EVERYTHING)
    words_only = _latency(index, [(None, t) for _, t in asked], EVERYTHING)
    searched = resident()
    share, recall = _recall(index, asked, near)
    visible = _visible(index, queries)
    while_adding, added = _while_adding(index, asked)
    fold_s, while_folding, folded = _folding(index, asked)
    index.close()
    return Served(
        open_verified, opened_in, before, opened, searched, latency, meaning_only, words_only,
        share, recall, visible, while_adding, added, fold_s, while_folding, folded,
    )  # fmt: skip


def _opened(folder: Path, *, verify: bool) -> CapabilityIndex:
    index = CapabilityIndex.open(folder, verify=verify)
    if index is None:
        raise SystemExit(f"there is no index in {folder}")
    return index


def _latency(
    index: CapabilityIndex, asked: Sequence[tuple[Vectors | None, str]], where: Filter
) -> Percentiles:
    took = [timed(lambda q=q, t=t: index.search(q, t, 10, where)) * 1e3 for q, t in asked]
    return percentiles(took)


def _recall(
    index: CapabilityIndex, asked: Sequence[tuple[Vectors, str]], near: Near
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """By filter: the share that it lets through, and recall@10."""
    worded = Worded(index)
    shares: dict[str, float] = {}
    recalls: dict[str, tuple[float, float]] = {}
    for name, (places, cosines) in near.items():
        mask = worded.mask(WHERES[name])
        some = asked[: len(places)]
        best = [
            worded.first(p, c, q, t, mask).tolist()
            for p, c, (q, t) in zip(places, cosines, some, strict=True)
        ]
        nearest = overlap(
            [_places(index, q, "", WHERES[name]) for q, _ in some], places[:, :10].tolist()
        )
        both = overlap([_places(index, q, t, WHERES[name]) for q, t in some], best)
        shares[name], recalls[name] = float(mask.mean()), (nearest, both)
    return shares, recalls


def _places(index: CapabilityIndex, query: Vectors, text: str, where: Filter) -> list[int]:
    number = index._live.state.frozen.names.number
    found = [number(f.name) for f in index.search(query, text, 10, where)]
    return [place for place in found if place is not None]


def _visible(index: CapabilityIndex, queries: Vectors) -> Percentiles:
    """From the call that adds until a search that begins afterwards has found it, on disk by then."""
    took: list[float] = []
    for i in range(ADDED):
        entry = Entry(f"added.{i}", queries[i : i + 1], f"added number{i}", Traits())
        began = time.perf_counter()
        index.put([entry])
        found = index.search(queries[i], f"added number{i}", 10)
        took.append((time.perf_counter() - began) * 1e3)
        if entry.name not in {f.name for f in found}:
            raise SystemExit(f"{entry.name} was added and is not found")
    return percentiles(took)


def _while_adding(
    index: CapabilityIndex, asked: Sequence[tuple[Vectors, str]]
) -> tuple[Percentiles, int]:
    """Searches while another thread adds, replaces and removes some hundreds a second."""
    over = threading.Event()
    count = 0

    def adding() -> None:
        nonlocal count
        while not over.is_set():
            query, text = asked[count % len(asked)]
            index.put([Entry(f"meanwhile.{count % 500}", query[None], text, Traits())])
            if count % 3 == 0:
                index.remove([f"meanwhile.{(count - 7) % 500}"])
            count += 1
            time.sleep(0.002)

    adder = threading.Thread(target=adding)
    adder.start()
    took = _latencies_while(index, asked, lambda: False)
    over.set()
    adder.join()
    return took, count


def _folding(
    index: CapabilityIndex, asked: Sequence[tuple[Vectors, str]]
) -> tuple[float, Percentiles, float]:
    """Seconds of a fold, searches meanwhile, and what is resident at its end."""
    began = time.perf_counter()
    folder = threading.Thread(target=index.fold)
    folder.start()
    took = _latencies_while(index, asked, folder.is_alive)
    peak = resident()
    folder.join()
    return time.perf_counter() - began, took, peak


def _latencies_while(
    index: CapabilityIndex,
    asked: Sequence[tuple[Vectors, str]],
    going_on: Callable[[], bool],
) -> Percentiles:
    """Of all that is asked once, and again while something goes on."""
    took: list[float] = []
    while not took or going_on():
        for query, text in asked:
            took.append(timed(lambda q=query, t=text: index.search(q, t, 10, EVERYTHING)) * 1e3)
            if took and not going_on() and len(took) >= len(asked):
                break
    return percentiles(took)


def timed(act: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def percentiles(values: Sequence[float]) -> Percentiles:
    return float(np.percentile(values, 50)), float(np.percentile(values, 99))


def resident() -> float:
    """Of this process, megabytes: all its pages in memory, those of mapped files too."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
