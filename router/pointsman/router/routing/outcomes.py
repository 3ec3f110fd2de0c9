"""Outcomes of experts on inputs, as a file of JSON lines: {"text": "...", "expert": "...", "right": 0..1}."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import BadGolden
from pointsman.router.planning.base import Vectors
from pointsman.router.routing.quality import QualityModel, fit
from pointsman.router.routing.surface import surface


class Outcome(BaseModel):
    """right: 1 for right, 0 for wrong (true and false as well), a share for what is partly right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    expert: str = Field(min_length=1)
    right: float = Field(ge=0, le=1)


def read_outcomes(path: Path) -> list[Outcome]:
    """Raises BadGolden with the line that cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadGolden(str(path), 0, str(error)) from error
    rows: list[Outcome] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(Outcome.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            raise BadGolden(str(path), number, "; ".join(str(error).splitlines()[:3])) from error
    return rows


def fitted(rows: Sequence[Outcome], texts: Sequence[str], vectors: Vectors) -> QualityModel:
    """texts: each input once; vectors: [texts, dim]. An expert with several outcomes of one input has their
    mean. Raises ValueError for fewer than ten inputs."""
    experts = tuple(sorted({row.expert for row in rows}))
    place = {text: at for at, text in enumerate(texts)}
    sums = np.zeros((len(texts), len(experts)), np.float32)
    counts = np.zeros_like(sums)
    for row in rows:
        where = place[row.text], experts.index(row.expert)
        sums[where] += row.right
        counts[where] += 1
    outcomes = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
    return fit(experts, vectors, surface(texts), outcomes)


__all__ = ["Outcome", "fitted", "read_outcomes"]
