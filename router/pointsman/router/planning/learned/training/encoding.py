"""The encoder, for trainings only: it is an expert, and the planner's own code imports none."""

from collections.abc import Iterator
from contextlib import contextmanager

from pointsman.experts.models.encoder import Encoder


@contextmanager
def one_thread() -> Iterator[Encoder]:
    """The encoder on one thread, so that its sums are the same everywhere."""
    encoder = Encoder(threads=1)
    try:
        yield encoder
    finally:
        encoder.close()
