"""APIs as capabilities: imports, calls, what a call costs beside the bare client, plans over an API.

python -m benchmarks tools --data DIR [--part NAME ...] [--json]
"""

import argparse
import importlib
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast


class Part(Protocol):
    """A module of this package that has `run`: prints its table, returns its figures."""

    def run(self, data: Path) -> dict[str, object]: ...


def parts() -> dict[str, Part]:
    found: dict[str, Part] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "run"):
            found[module.name] = cast(Part, loaded)
    return found


def main(arguments: list[str]) -> dict[str, object]:
    known = parts()
    parser = argparse.ArgumentParser(prog="tools", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--part", nargs="+", choices=sorted(known), default=sorted(known))
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        parser.error(f"{given.data} is no folder")
    figures: dict[str, object] = {}
    for name in given.part:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        figures[name] = known[name].run(given.data)
        print(f"   ({time.monotonic() - began:.0f} s)\n", flush=True)
    return figures


def descriptions(data: Path) -> Iterator[tuple[str, bytes]]:
    """Every OpenAPI description of the data: files of openapi/, restbench's, and those within toolalpaca's."""
    import json

    for folder, pattern in (("openapi", "*"), ("restbench", "*_oas*")):
        for path in sorted((data / folder).glob(pattern)):
            if path.suffix in (".json", ".yaml", ".yml", ".gz"):
                yield path.name, path.read_bytes()
    for path in sorted((data / "toolalpaca").glob("eval*.json")):
        for entry in json.loads(path.read_text("utf-8")):
            yield f"{path.stem}: {entry['Name']}", entry["Documentation"].encode()
