"""Planning without a large model: which capabilities, how linked, with which arguments, and when to say no.

python -m benchmarks planning --data DIR [--part NAME ...] [--seeds 0,1,2] [--verbose] [--json]
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import _parts


@dataclass(frozen=True, slots=True)
class Options:
    """data: folder with the public sets, one folder each. seeds: one training of every learned part each."""

    data: Path
    seeds: tuple[int, ...]
    verbose: bool


class Part(Protocol):
    """A module of this package that has `run`: prints its table, returns its figures."""

    def run(self, options: Options) -> dict[str, object]: ...


def parts() -> dict[str, Part]:
    return _parts.parts(__name__, __path__)


def main(arguments: list[str]) -> dict[str, object]:
    known = parts()
    parser = argparse.ArgumentParser(prog="planning", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--part", nargs="+", choices=sorted(known), default=sorted(known))
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--verbose", action="store_true", help="what was wrong, item by item")
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        parser.error(f"{given.data} is no folder")
    seeds = tuple(int(s) for s in given.seeds.split(","))
    figures: dict[str, object] = {}
    for name in given.part:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        figures[name] = known[name].run(Options(given.data, seeds, given.verbose))
        print(f"   ({time.monotonic() - began:.0f} s)\n", flush=True)
    return figures
