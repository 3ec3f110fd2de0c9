"""How the host runs fastest on this machine: measured by `pointsman experts tune`, and kept beside the experts."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import BadExpert

FILE = "host.json"
TOKEN_BUDGET = 512
"""Of a pass: with more, what a layer makes no longer fits the cache of two cores, and whoever comes waits longer."""
BUDGETS = (256, 512, 1_024, 2_048)
SHORT, LONG = 240, 24
ROUNDS = 3
LONGEST_PASS = 1.0
"""Seconds that one pass may take: whoever comes meanwhile waits for it."""


class Measured(BaseModel):
    """slowest: seconds of the slowest pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: Annotated[int, Field(ge=1, le=1_024)]
    token_budget: Annotated[int, Field(ge=64, le=1 << 20)]
    tokens_per_second: Annotated[float, Field(ge=0)]
    slowest: Annotated[float, Field(ge=0)]


class Tuned(BaseModel):
    """threads: 0 for all cores. cores: of the machine that was measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: Annotated[int, Field(ge=0, le=1_024)] = 0
    token_budget: Annotated[int, Field(ge=64, le=1 << 20)] = TOKEN_BUDGET
    cores: Annotated[int, Field(ge=0)] = 0
    measured: tuple[Measured, ...] = ()


def read_tuned(folder: Path) -> Tuned:
    """What was measured here, or what ships; a measurement of a machine with other cores does not count.

    Raises BadExpert for a file that cannot be read.
    """
    path = folder / FILE
    try:
        found = Tuned.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Tuned()
    except (OSError, ValidationError) as error:
        raise BadExpert(f"{path} cannot be read; delete it, or tune again") from error
    return found if found.cores == (os.cpu_count() or 1) else Tuned()


def tune(told: Callable[[str], None] = lambda _: None) -> Tuned:
    """Measures every number of threads and size of batch on texts of mixed lengths; a minute or so."""
    import torch

    from pointsman.experts.models.minilm import MiniLm

    cores = os.cpu_count() or 1
    model, rows = MiniLm(), _rows()
    before = torch.get_num_threads()
    found: list[Measured] = []
    try:
        for threads in sorted({1, max(1, cores // 2), cores}):
            torch.set_num_threads(threads)
            for budget in BUDGETS:
                one = _measured(model.embed, rows, threads, budget)
                told(f"{threads} threads, {budget:,} tokens a pass: {one.tokens_per_second:,.0f} tokens/s, the slowest pass {one.slowest:.2f} s")  # fmt: skip
                found.append(one)
    finally:
        torch.set_num_threads(before)
    quick = [m for m in found if m.slowest <= LONGEST_PASS] or found
    best = max(quick, key=lambda m: m.tokens_per_second)
    return Tuned(
        threads=best.threads,
        token_budget=best.token_budget,
        cores=cores,
        measured=tuple(found),
    )


def keep_tuned(folder: Path, tuned: Tuned) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    fresh = path.with_suffix(".new")
    fresh.write_text(tuned.model_dump_json(indent=1) + "\n", "utf-8")
    os.replace(fresh, path)
    return path


def _rows() -> list[list[int]]:
    """Token ids of texts: short requests and some passages, by length as batches are made."""
    chance = random.Random(0)
    lengths = [chance.randint(4, 24) for _ in range(SHORT)] + [chance.randint(80, 250) for _ in range(LONG)]  # fmt: skip
    return [[chance.randint(2_000, 20_000) for _ in range(n)] for n in sorted(lengths)]


def _measured(
    embed: Callable[[list[list[int]]], object], rows: list[list[int]], threads: int, budget: int
) -> Measured:
    """The best of some rounds: what else runs here only takes time away."""
    batches = _batches(rows, budget)
    tokens = sum(len(r) + 2 for r in rows)
    embed(batches[0])
    fastest, slowest = float("inf"), float("inf")
    for _ in range(ROUNDS):
        began, longest = time.perf_counter(), 0.0
        for batch in batches:
            before = time.perf_counter()
            embed(batch)
            longest = max(longest, time.perf_counter() - before)
        fastest, slowest = min(fastest, time.perf_counter() - began), min(slowest, longest)
    return Measured(threads=threads, token_budget=budget, tokens_per_second=round(tokens / fastest, 1), slowest=round(slowest, 4))  # fmt: skip


def _batches(rows: list[list[int]], budget: int) -> list[list[list[int]]]:
    """Longest first, each as large as the budget allows with its padding."""
    left, made = list(rows), []
    while left:
        room = max(1, budget // (len(left[-1]) + 2))
        made.append(left[-room:])
        del left[-room:]
    return made
