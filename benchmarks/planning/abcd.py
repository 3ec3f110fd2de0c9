"""ABCD's 55 sub-flows as workflows: found by what a customer says, and followed step by step.

Each seed holds out 11 sub-flows; everything learned is learned on the other 44. What customers say is in
abcd_situations.yaml, written by hand (its head says how): three lines for each sub-flow. Workflows are found from
one line, from two, and from all three (the whole situation), among all 55.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from benchmarks.planning import Options
from benchmarks.planning.abcd_following import following
from benchmarks.planning.abcd_mining import mining
from benchmarks.planning.abcd_retrieval import (
    LINES,
    SURE,
    Ranked,
    baselines,
    first_of,
    held_out,
    ranked,
    spread,
)
from pointsman.experts.models.encoder import Encoder
from pointsman.router.planning.learned.training.next_action import Dialogue, read_dialogues
from pointsman.router.planning.learned.training.workflow_ranking import (
    Row,
    described,
    fit,
    read_rows,
)
from pointsman.router.planning.workflows.next_action import Actions
from pointsman.router.planning.workflows.ranking import Described

HELD_OUT = 11
SITUATIONS = Path(__file__).with_name("abcd_situations.yaml")


def run(options: Options) -> dict[str, object]:
    folder = options.data / "abcd"
    situations: dict[str, list[str]] = yaml.safe_load(SITUATIONS.read_text("utf-8"))
    library = {k: d for k, d in described(folder).items() if k in situations}
    rows, actions, dialogues = asyncio.run(_read(folder, library, situations))
    splits = [held_out(len(library), HELD_OUT, seed) for seed in options.seeds]
    print(f"   {len(library)} workflows, {HELD_OUT} held out by each of {len(splits)} seeds")
    found = _retrieval(library, situations, rows, splits, options)
    print()
    followed = following(rows, actions, dialogues, splits, options.seeds)
    print()
    mined = mining(actions, dialogues, options.seeds)
    return {"retrieval": found, "following": followed, "mining": mined}


async def _read(
    folder: Path, library: Mapping[str, Described], situations: Mapping[str, Sequence[str]]
) -> tuple[list[Row], Actions, list[Dialogue]]:
    encoder = Encoder(threads=1)
    try:
        rows = await read_rows(library, situations, encoder)
        actions, dialogues = await read_dialogues(folder, situations, encoder)
    finally:
        encoder.close()
    by_key = {d.key: d for d in dialogues}
    return rows, actions, [by_key[k] for k in library]


# --- finding the workflow --------------------------------------------------------------------------


def _retrieval(
    library: Mapping[str, Described],
    situations: Mapping[str, Sequence[str]],
    rows: Sequence[Row],
    splits: Sequence[tuple[list[int], list[int]]],
    options: Options,
) -> dict[str, object]:
    texts = [
        " ".join(lines)
        for key in library
        for count in range(1, len(situations[key]) + 1)
        for lines in combinations(situations[key], count)
    ]
    print(
        f"   {'right workflow of 55, top-1':34}"
        + "".join(f"{n} line{'s'[: n - 1]:<12}" for n in LINES)
    )
    figures: dict[str, object] = {}
    for name, firsts in baselines(library, texts, rows).items():
        right = np.array([f == r.right for f, r in zip(firsts, rows, strict=True)])
        tops = [
            {n: float(right[_places(rows, held, n)].mean()) for n in LINES} for _, held in splits
        ]
        figures[name] = _told(name, tops)
    learned = [ranked(rows, training, held) for training, held in splits]
    figures["learned"] = _told("learned on the other 44", [r.top for r in learned])
    figures["calibration"] = _calibration(learned)
    if options.verbose:
        _wrong(library, texts, rows, splits)
    return figures


def _places(rows: Sequence[Row], held: Sequence[int], lines: int) -> list[int]:
    return [i for i, r in enumerate(rows) if r.right in held and r.lines == lines]


def _told(name: str, tops: Sequence[Mapping[int, float]]) -> dict[str, float]:
    values = {n: [t[n] for t in tops] for n in LINES}
    print(f"   {name:34}" + "".join(f"{spread(v):17}" for v in values.values()))
    return {f"{n} lines": float(np.mean(v)) for n, v in values.items()}


def _calibration(learned: Sequence[Ranked]) -> dict[str, float]:
    names = ("probability", "sure", "sure_right", "none", "none_right", "sure_wrong")
    found = {k: float(np.nanmean([float(asdict(r)[k]) for r in learned])) for k in names}
    print(
        f"   whole situations: mean probability {found['probability']:.2f}; at least {SURE} in "
        f"{found['sure']:.2f} of them, right in {found['sure_right']:.2f} of those; "
        f'"none" in {found["none"]:.2f}\n'
        f'   right workflow taken out: "none" in {found["none_right"]:.2f}, another one at least {SURE} '
        f"in {found['sure_wrong']:.2f}"
    )
    return found


def _wrong(
    library: Mapping[str, Described],
    texts: Sequence[str],
    rows: Sequence[Row],
    splits: Sequence[tuple[list[int], list[int]]],
) -> None:
    keys = list(library)
    for training, held in splits:
        weights = fit([r for r in rows if r.right in training])
        for text, row in zip(texts, rows, strict=True):
            first = first_of(row, weights)
            if row.right in held and row.lines != 2 and first != row.right:
                print(f"     {keys[row.right]}: {text!r} -> {keys[first]}")
