"""The 300 capabilities that stand beside our own in the benchmarks: made of real OpenAPI files."""

from pointsman.router.planning.learned.training.foreign_catalog import (
    foreign_capabilities as distractors,
)

__all__ = ["distractors"]
