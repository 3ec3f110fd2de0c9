"""Finding capabilities among a thousand to a million: right, quick, small, and changed while it is searched.

python -m benchmarks scale --data DIR [--part NAME ...] [--sizes 1000,...,1000000] [--folder DIR] [--plot FILE] [--json]
"""

import argparse
import importlib
import pkgutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast


@dataclass(frozen=True, slots=True)
class Options:
    """sizes: capabilities in the index, ascending. folder: where indexes are written, one at a time; about 2 GB for a
    million. threads: of building the graph, 0 for every core. plot: an .svg or .png of the growth.
    """

    data: Path
    sizes: tuple[int, ...]
    folder: Path
    threads: int
    seed: int
    plot: Path | None


class Part(Protocol):
    """A module of this package that has `run`: prints its table, returns its figures."""

    def run(self, options: Options) -> dict[str, object]: ...


def parts() -> dict[str, Part]:
    """Parts by name: every module here that has `run`."""
    found: dict[str, Part] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "run"):
            found[module.name] = cast(Part, loaded)
    return found


def main(arguments: list[str]) -> dict[str, object]:
    known = parts()
    parser = argparse.ArgumentParser(prog="scale", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--part", nargs="+", choices=sorted(known), default=["growth", "fusing"])
    parser.add_argument("--sizes", default="1000,10000,100000,1000000", help="comma-separated")
    parser.add_argument("--folder", type=Path, help="for the indexes; without it a temporary one")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help=".svg or .png of the growth")
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        parser.error(f"{given.data} is no folder")
    if given.plot is not None and given.plot.suffix not in (".svg", ".png"):
        parser.error(f"{given.plot} is neither an .svg nor a .png")
    sizes = tuple(sorted(int(s) for s in given.sizes.split(",")))
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        options = Options(
            given.data, sizes, Path(folder), given.threads, given.seed, given.plot
        )  # fmt: skip
        for name in given.part:
            began = time.monotonic()
            print(f"== {name}", flush=True)
            figures[name] = known[name].run(options)
            print(f"   ({time.monotonic() - began:.0f} s)\n", flush=True)
    return figures
