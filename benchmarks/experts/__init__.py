"""Experts on one backbone: mixed adapters, throughput, paging, overload; beside PEFT and sentence-transformers.

    python -m benchmarks experts [--data DIR] [--part mixed|load|paging|overload] [--seconds N] [--json]

--data: a folder with clinc150/ and policyqa/, whose texts give the realistic mix of lengths; without it texts of
the same lengths are made up.
"""

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

PARTS = ("mixed", "load", "paging", "overload")


def main(arguments: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks experts", description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload")
    given = parser.parse_args(arguments)
    from benchmarks.experts.texts import mixed_texts

    texts = mixed_texts(given.data)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    print(f"{found['cores']} cores, load average {found['load_average']:.1f} when it began")
    for part in given.part or PARTS:
        if part == "mixed":
            from benchmarks.experts.mixed import measure as mixed

            found[part] = mixed()
        elif part == "load":
            from benchmarks.experts.load import measure as load

            found[part] = asyncio.run(load(texts))
        elif part == "paging":
            from benchmarks.experts.paging import measure as paging

            found[part] = asyncio.run(paging(texts))
        else:
            from benchmarks.experts.overload import measure as overload

            found[part] = asyncio.run(overload(texts, given.seconds))
    return found
