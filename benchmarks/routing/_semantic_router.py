"""semantic-router on the same vectors. It embeds through an encoder class of ours that knows them by text."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from semantic_router import IndexedRouter, Route  # type: ignore[import-not-found,unused-ignore]
from semantic_router.encoders import DenseEncoder  # type: ignore[import-not-found,unused-ignore]

from pointsman.experts.models.encoder import Encoder

if TYPE_CHECKING:
    from benchmarks.routing.intents import Outcome, Rows, Task


VALIDATED = 3
"""Every third validation row sets its threshold: a choice takes it some 10 ms among 15,000 examples."""


class Known(DenseEncoder):  # type: ignore[misc,unused-ignore]
    """Texts whose vectors were made before: what is timed is the routing alone."""

    name: str = "all-MiniLM-L6-v2, known"
    vectors: dict[str, list[float]] = {}  # noqa: RUF012

    def __call__(self, docs: list[str]) -> list[list[float]]:
        return [self.vectors[text] for text in docs]


class Live(DenseEncoder):  # type: ignore[misc,unused-ignore]
    """The encoder that ours uses."""

    name: str = "all-MiniLM-L6-v2"
    encoder: Encoder

    def __call__(self, docs: list[str]) -> list[list[float]]:
        made: list[list[float]] = asyncio.run(self.encoder.embed(docs)).tolist()
        return made


def judged(task: "Task", aggregation: Literal["mean", "max"]) -> "Outcome":
    from benchmarks.routing.intents import TIMED, Outcome, none_f1, share, speed, threshold

    sets = [task.train, task.validation, task.test]
    sets += [rows for rows in (task.outside, task.strange) if rows is not None]
    known = {
        text: vector
        for rows in sets
        for text, vector in zip(rows.texts, rows.vectors.tolist(), strict=True)
    }
    router = IndexedRouter(Known(vectors=known), _routes(task.train), aggregation=aggregation)
    first = _chosen(router, task.test.texts)
    f1 = None
    if task.outside is not None and task.strange is not None:
        inside = [c for _, c in _chosen(router, task.validation.texts[::VALIDATED])]
        outside = [c for _, c in _chosen(router, task.outside.texts)]
        least = threshold(inside, outside)
        f1 = none_f1(
            [c < least for _, c in first],
            [c < least for _, c in _chosen(router, task.strange.texts)],
        )
    texts = task.test.texts
    each = speed(lambda at: router(texts[at]), min(TIMED, len(texts)))
    return Outcome(share([n for n, _ in first], task.test.labels), f1, each)


def whole(few: "Rows", encoder: Encoder, texts: list[str]) -> dict[str, float]:
    """Texts a second, embedding included: one by one, and in its one batch."""
    router = IndexedRouter(Live(encoder=encoder), _routes(few))
    from benchmarks.routing.intents import speed

    single = speed(lambda at: router(texts[at]), len(texts))
    began = time.perf_counter()
    router.evaluate(texts, [None] * len(texts))
    return {
        "semantic-router": single,
        "semantic-router, in one batch": len(texts) / (time.perf_counter() - began),
    }


def _routes(rows: "Rows") -> list[Route]:
    examples: dict[str, list[str]] = {}
    for text, label in zip(rows.texts, rows.labels, strict=True):
        examples.setdefault(label, []).append(text)
    return [Route(name=name, utterances=texts) for name, texts in sorted(examples.items())]


def _chosen(router: IndexedRouter, texts: Sequence[str]) -> list[tuple[str | None, float]]:
    choices = [router(text) for text in texts]
    return [(c.name, float(c.confidence or 0.0)) for c in choices]


__all__ = ["judged", "whole"]
