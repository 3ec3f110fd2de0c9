"""Plans of the embedded planner that are known to be right or wrong, with what was known when they were made.

Each request of requests.yaml is planned as it stands, in a catalog with 300 foreign capabilities; then without
its file, and with a file of another kind, where no plan can be right. Requests of CLINC150's train part that
nothing built in serves are planned beside them.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.builtin import model_experts, tool_experts
from pointsman.experts.files import LocalFiles
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.profiles import profile
from pointsman.router.catalog import Catalog
from pointsman.router.errors import RequestError
from pointsman.router.plan import Plan
from pointsman.router.planning.base import Embedder, Refusal, Request
from pointsman.router.planning.confidence import FEATURES, Confidence, Threshold
from pointsman.router.planning.embedded import EmbeddedPlanner
from pointsman.router.planning.learned.training.foreign_catalog import foreign_capabilities
from pointsman.router.planning.learned.training.requests import Example, load, right
from pointsman.router.values import FileProfile

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OTHER = {
    "sales.csv": "employees.json",
    "employees.json": "weather.parquet",
    "weather.parquet": "tickets.csv",
    "budget.xlsx": "reviews.csv",
    "reviews.csv": "budget.xlsx",
    "tickets.csv": "budget.xlsx",
}
"""A table in which the questions to another one have no answer."""
ASKS_COLUMNS = ("table.aggregate", "table.filter", "table.sort", "table.sql", "chart.draw")
SERVED = frozenset(
    "calculator measurement_conversion time date definition spelling tell_joke fun_fact translate".split()
)
"""Intents of CLINC150 that our own capabilities, or some of the foreign ones, serve or nearly serve."""
FEWER = 0.5
"""What a request that was made wrong on purpose weighs beside one as it was written."""
MANY = 250


@dataclass(frozen=True, slots=True)
class Planned:
    """One plan. rows: [clauses, features] float64. raw: the mean score of its readings, not calibrated.

    group: requests made of one another have the same. weight: in fitting and in every figure.
    """

    group: int
    rows: NDArray[np.float64]
    raw: float
    right: bool
    weight: float
    text: str


def unjudged() -> Confidence:
    """Takes every reading, to see what comes of it."""
    zeros, ones = np.zeros(len(FEATURES)), np.ones(len(FEATURES))
    never = Threshold(0.0, 1.0, 1.0)
    return Confidence(zeros, zeros, ones, 0.0, 1.0, 0.0, never, never)


async def plans(data: Path, examples: Path) -> tuple[list[Planned], int]:
    """The plans that were made, and how many requests were refused without one.

    data: folder of the public sets. examples: folder of the example files.
    """
    encoder = Encoder(threads=1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return await _plans(data, examples, encoder, LocalFiles(Path(folder)))
    finally:
        encoder.close()


async def _plans(
    data: Path, examples: Path, encoder: Encoder, files: LocalFiles
) -> tuple[list[Planned], int]:
    own = [c for e in (*tool_experts(), *model_experts(encoder)) for c in e.capabilities]
    wide, narrow = Catalog([*own, *foreign_capabilities(data)]), Catalog(own)
    kept: dict[str, tuple[FileProfile, ...]] = {}

    def of(names: Sequence[str]) -> tuple[FileProfile, ...]:
        for name in names:
            if name not in kept:
                kept[name] = tuple(profiles(examples, name, files))
        return tuple(p for n in names for p in kept[n])

    planner = EmbeddedPlanner(Remembering(encoder), judged=unjudged())
    made: list[Planned] = []
    refused = 0
    cases = [(*case, wide) for case in _variants(load())]
    cases += [(*case, narrow) for case in _elsewhere(data, len(cases))]
    for group, example, weight, catalog in cases:
        request = Request(example.text, NOW, of(example.files))
        found = await _planned(planner, request, catalog, example)
        if found is None:
            refused += 1
            continue
        made.append(replace(found, group=group, weight=weight))
    return made, refused


async def _planned(
    planner: EmbeddedPlanner, request: Request, catalog: Catalog, example: Example
) -> Planned | None:
    try:
        proposal, readings = await planner.weighed(request, catalog)
    except RequestError:
        return None
    rows = [r.evidence.features() for r in readings if r.evidence is not None]
    if isinstance(proposal.outcome, Refusal) or not rows:
        return None
    assert isinstance(proposal.outcome, Plan)
    raw = sum(r.found.score for r in readings) / len(readings)
    good = right(example, proposal.outcome)
    return Planned(0, np.stack(rows), raw, good, 1.0, request.text)


def _variants(examples: Sequence[Example]) -> Iterator[tuple[int, Example, float]]:
    """Each request as it is, without its file, and with another one."""
    for group, example in enumerate(examples):
        yield group, example, 1.0
        if not example.files or not example.in_scope:
            continue
        yield group, replace(example, files=(), choices=()), FEWER
        other = OTHER.get(example.files[0])
        asks = any(c in ASKS_COLUMNS for choice in example.choices for c in choice)
        if other is not None and asks:
            yield group, replace(example, files=(other,), choices=()), FEWER


def _elsewhere(data: Path, group: int) -> Iterator[tuple[int, Example, float]]:
    """Requests of CLINC150's train part that nothing built in serves."""
    found: list[str] = []
    for name in ("oos_train.jsonl", "train.jsonl"):
        lines = (data / "clinc150" / name).read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        texts = [str(e["text"]) for e in entries if e["intent"] not in SERVED]
        found += texts[:: max(1, len(texts) // (MANY // 2))][: MANY // 2]
    for place, text in enumerate(found):
        yield group + place, Example(text), FEWER


def profiles(examples: Path, name: str, files: LocalFiles) -> list[FileProfile]:
    """Profiles of a file, or of all files of a folder, in the folder of example files."""
    path = examples / name
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    made: list[FileProfile] = []
    for one in inside:
        called = f"{name}/{one.name}" if path.is_dir() else one.name
        ref = files.create(called, "application/octet-stream", one.read_bytes())
        made.append(profile(ref, files))
    return made


class Remembering:
    """An Embedder that embeds no text twice."""

    def __init__(self, embedder: Embedder) -> None:
        self.dim = embedder.dim
        self._embedder = embedder
        self._kept: dict[str, NDArray[np.float32]] = {}

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [t for t in dict.fromkeys(texts) if t not in self._kept]
        if new:
            self._kept.update(zip(new, await self._embedder.embed(new), strict=True))
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return np.stack([self._kept[t] for t in texts])
