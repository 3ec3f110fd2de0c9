"""Benchmarks in parts: the modules of a package that measure one thing each."""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any


def parts(package: str, path: Iterable[str]) -> dict[str, Any]:
    """Parts by name: every module of a package that has `run`; those with an underscore are shared."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(path):
        if module.name.startswith("_"):
            continue
        loaded = importlib.import_module(f"{package}.{module.name}")
        if hasattr(loaded, "run"):
            found[module.name] = loaded
    return found
