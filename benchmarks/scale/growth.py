"""From a thousand capabilities to a million: time to build, size, time to search, what is found, changes.

A search gets the request's vector (embedding is not counted) and its words, one at a time on one thread. Recall is of
the ten first: by meaning beside float32 vectors compared one by one, by both beside every word scored too.
"""

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree

from benchmarks.routing._routing_sets import embed
from benchmarks.scale import Options
from benchmarks.scale.catalog import Variations, Vectors, real_capabilities, requests
from benchmarks.scale.exact import Nearest, seen
from benchmarks.scale.plot import plotted
from benchmarks.scale.serving import WHERES, Served, serve
from pointsman.router.search import CapabilityIndex, Entry

CHECKED = 300
"""Requests whose ten first are compared with the exact ones."""
BARS = "recall@10 >= 0.97, p50 <= 2 ms, p99 <= 10 ms, < 1,500 MB resident, an add visible < 100 ms"


def run(options: Options) -> dict[str, object]:
    real = real_capabilities(options.data)
    texts = requests(options.data)
    lines = [line for r in real for line in r.lines]
    queries, known = embed(texts), embed(lines)
    print(f"   {len(real)} real capabilities with {len(lines)} lines; {len(texts)} requests")
    catalog = Variations(real, known, options.seed)
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        rows.append(_measured(options, catalog, size, queries, texts))
        _tell(rows[-1])
    print(f"   bars: {BARS}")
    if options.plot is not None:
        plotted(rows, options.plot)
        print(f"   {options.plot}")
    return {"growth": rows}


def _measured(
    options: Options, catalog: Variations, size: int, queries: Vectors, texts: list[str]
) -> dict[str, object]:
    folder = options.folder / str(size)
    near = {name: Nearest(queries[:CHECKED], where) for name, where in WHERES.items()}
    blocks = _Clocked(seen(catalog.blocks(size), queries[:CHECKED], near.values()))
    began = time.perf_counter()
    index = CapabilityIndex.build(folder, queries.shape[1], blocks, threads=options.threads)
    built = time.perf_counter() - began - blocks.seconds
    vectors = len(index._live.state.frozen.codes)
    index.close()
    on_disk = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    exact = {name: (n.places, n.cosines) for name, n in near.items()}
    served = _in_process(folder, queries, texts, exact)
    rmtree(folder)
    return {
        "capabilities": size,
        "vectors": vectors,
        "build_s": built,
        "on_disk_mb": on_disk / 1e6,
        **asdict(served),
    }


def _in_process(
    folder: Path, queries: Vectors, texts: list[str], exact: dict[str, tuple[object, object]]
) -> Served:
    """Served by a process of its own: what is resident there is the index's, not that of building it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(serve, folder, queries, texts, exact).result()


class _Clocked:
    """Blocks, and how long it took to make them."""

    def __init__(self, blocks: Iterable[list[Entry]]) -> None:
        self._blocks = iter(blocks)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[list[Entry]]:
        while True:
            began = time.perf_counter()
            block = next(self._blocks, None)
            self.seconds += time.perf_counter() - began
            if block is None:
                return
            yield block


def _tell(row: dict[str, object]) -> None:
    served = Served(**{f: row[f] for f in Served.__dataclass_fields__})
    resident = served.searched_mb - served.before_mb
    print(
        f"   {row['capabilities']:>9,} capabilities, {row['vectors']:,} vectors: built in "
        f"{row['build_s']:.1f} s, {row['on_disk_mb']:,.0f} MB on disk, opened in {served.open_s:.2f} s "
        f"(checked {served.open_verified_s:.2f} s), {resident:,.0f} MB resident after all searches "
        f"(process {served.searched_mb:,.0f}, at the end of a fold {served.folded_mb:,.0f})"
    )
    print(
        f"      {'filter':24}{'share':>9}{'p50 ms':>9}{'p99 ms':>9}{'recall@10':>11}{'of both':>9}"
    )
    for name, (half, most) in served.latency.items():
        meaning, both = served.recall[name]
        print(
            f"      {name:24}{served.share[name]:9.2%}{half:9.2f}{most:9.2f}{meaning:11.4f}{both:9.4f}"
        )
    for name, (half, most) in (
        ("by meaning alone", served.meaning_only),
        ("by words alone", served.words_only),
        (f"with {served.added_meanwhile} changes beside", served.while_adding),
        (f"with a fold of {served.fold_s:.1f} s beside", served.while_folding),
        ("an add, till it is found", served.visible),
    ):
        print(f"      {name:33}{half:9.2f}{most:9.2f}", flush=True)
