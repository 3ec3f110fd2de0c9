"""Before a change of the router: which requests that are routed right would be routed wrong, and where.

    compared = compare(golden, before, after)
    compared.refuse_above(0.01)      # raises RoutesChanged

A golden set is a file of JSON lines: {"text": "...", "route": "...", "slice": "..."}; the route is null for what belongs nowhere, the slice
may be left out.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.errors import BadGolden, RoutesChanged

LIMIT = 0.01
"""Share of the requests routed right before that may be routed wrong after."""


class Golden(BaseModel):
    """A request and where it belongs, null for nowhere. slice: what it is counted with, by default the route."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    route: str | None = Field(min_length=1)
    slice: str = ""

    @property
    def counted_with(self) -> str:
        return self.slice or self.route or "nowhere"


@dataclass(frozen=True, slots=True)
class Slice:
    """Requests that are counted together. flips: right before and wrong after; gains: the other way round."""

    name: str
    requests: int
    right: int
    flips: int
    gains: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """agreement: share of the requests whose route is the same, right or wrong. slices: most flips first."""

    requests: int
    agreement: float
    right_before: int
    right_after: int
    flips: int
    gains: int
    slices: tuple[Slice, ...] = field(default=())

    @property
    def flipped(self) -> float:
        """Share of what was right before."""
        return self.flips / self.right_before if self.right_before else 0.0

    def refuse_above(self, limit: float = LIMIT) -> None:
        """Raises RoutesChanged when more than `limit` of what was right would be wrong."""
        if self.flipped > limit:
            raise RoutesChanged(self.flips, self.right_before, limit, self.slices[0].name)


def compare(
    golden: Sequence[Golden], before: Sequence[str | None], after: Sequence[str | None]
) -> Comparison:
    """before, after: the route of each golden request by the old and by the new version, None for none."""
    requests: Counter[str] = Counter()
    right: Counter[str] = Counter()
    flips: Counter[str] = Counter()
    gains: Counter[str] = Counter()
    for each, old, new in zip(golden, before, after, strict=True):
        name = each.counted_with
        requests[name] += 1
        right[name] += old == each.route
        flips[name] += old == each.route != new
        gains[name] += new == each.route != old
    slices = [Slice(n, requests[n], right[n], flips[n], gains[n]) for n in requests]
    same = sum(old == new for old, new in zip(before, after, strict=True))
    return Comparison(
        requests=len(golden),
        agreement=same / len(golden) if golden else 1.0,
        right_before=right.total(),
        right_after=right.total() - flips.total() + gains.total(),
        flips=flips.total(),
        gains=gains.total(),
        slices=tuple(sorted(slices, key=lambda s: (-s.flips, s.name))),
    )


def read_golden(path: Path) -> list[Golden]:
    """Raises BadGolden with the line that cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadGolden(str(path), 0, str(error)) from error
    golden: list[Golden] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            golden.append(Golden.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            why = str(error).splitlines()
            raise BadGolden(str(path), number, "; ".join(why[:3])) from error
    if not golden:
        raise BadGolden(str(path), 0, "it holds no request")
    return golden


__all__ = ["LIMIT", "Comparison", "Golden", "Slice", "compare", "read_golden"]
