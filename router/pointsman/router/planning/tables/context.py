"""What a question about a table is asked of, and what is understood of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.router.values import Column, Json

NUMERIC = frozenset({"integer", "number"})
TEMPORAL = frozenset({"date", "datetime"})
YES = frozenset({"yes", "true", "y", "1", "t"})
NO = frozenset({"no", "false", "n", "0", "f"})


@dataclass(frozen=True, slots=True)
class TableContext:
    """A table as planning knows it. `samples`: distinct values by column; `complete`: the columns whose
    samples are all their values.
    """

    name: str
    columns: tuple[Column, ...]
    samples: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    complete: tuple[str, ...] = ()
    row_count: int | None = None

    def values(self, column: str) -> tuple[Json, ...]:
        """Known distinct values of a column, without the missing one."""
        return tuple(v for v in self.samples.get(column, ()) if v is not None and v != "")

    def is_unique(self, column: str) -> bool:
        """Whether each row is known to have its own value."""
        known = len(self.values(column))
        return (
            column in self.complete
            and self.row_count is not None
            and self.row_count > 1
            and known >= self.row_count
        )

    def truth_values(self, column: Column) -> tuple[Json, Json] | None:
        """The values that mean yes and no in a two-valued column; None for any other column."""
        if column.type == "boolean":
            return True, False
        known = self.values(column.name)
        if column.name not in self.complete or not 1 <= len(known) <= 2 or column.type == "number":
            return None
        yes = [v for v in known if str(v).lower() in YES]
        no = [v for v in known if str(v).lower() in NO]
        if len(yes) + len(no) != len(known):
            return None
        if column.type == "integer":
            return 1, 0
        return (yes or ["Yes"])[0], (no or ["No"])[0]


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Step:
    """One capability with its arguments; the table comes from the step before, or is the one asked of."""

    capability: str
    arguments: dict[str, Any]
    title: str


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """A question as steps that chain. score: 0..1, share of the content words that are explained, each
    weighted by how certain its explanation is. used: character spans of the explained words. leftover:
    content words that nothing explains. missing: what was asked for and is not in the table.
    """

    steps: tuple[Step, ...]
    score: float
    used: tuple[tuple[int, int], ...]
    leftover: tuple[str, ...]
    missing: str | None = None
