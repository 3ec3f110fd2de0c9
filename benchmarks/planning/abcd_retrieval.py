"""ABCD, first half: from what a customer says to the workflow, among all 55."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from pointsman.router.planning.learned.training.workflow_ranking import Row, fit
from pointsman.router.planning.workflows.ranking import Described, RankWeights

LINES = (1, 2, 3)
SURE = 0.8
"""Probability above which a match is counted as sure."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """top: share of right first workflows by lines said; the rest is of whole situations.

    probability: of the first workflow, mean. sure: share with at least SURE; sure_right: of those right. none: share
    where "none" is most probable although the workflow is there; none_right: where it is not there; sure_wrong:
    share with at least SURE for another one then.
    """

    top: Mapping[int, float]
    probability: float
    sure: float
    sure_right: float
    none: float
    none_right: float
    sure_wrong: float


def held_out(count: int, size: int, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the sub-flows to train on, and of those held out."""
    order = np.random.default_rng(seed).permutation(count)
    return sorted(int(i) for i in order[size:]), sorted(int(i) for i in order[:size])


def ranked(rows: Sequence[Row], training: Sequence[int], held: Sequence[int]) -> Ranked:
    """The ranker, trained on the situations of some workflows and asked with those of others."""
    weights = fit([r for r in rows if r.right in set(training)])
    asked = [r for r in rows if r.right in set(held)]
    top = {n: _mean(_is_first(r, weights) for r in asked if r.lines == n) for n in LINES}
    whole = [r for r in asked if r.lines == max(LINES)]
    shares = [weights.shares(r.features, r.sentences) for r in whole]
    sure = [
        int(s[:-1].argmax()) == r.right
        for r, s in zip(whole, shares, strict=True)
        if s[:-1].max() >= SURE
    ]
    without = [_without(r, weights) for r in whole]
    return Ranked(
        top,
        _mean(float(s[:-1].max()) for s in shares),
        len(sure) / len(whole),
        _mean(float(s) for s in sure),
        _mean(float(s.argmax() == len(s) - 1) for s in shares),
        _mean(float(s.argmax() == len(s) - 1) for s in without),
        _mean(float(s[:-1].max() >= SURE) for s in without),
    )


def _without(row: Row, weights: RankWeights) -> np.ndarray:
    """Probabilities when the right workflow is not in the library."""
    return weights.shares(np.delete(row.features, row.right, axis=0), row.sentences)


def first_of(row: Row, weights: RankWeights) -> int:
    """The number of the workflow that comes first."""
    return int((row.features @ weights.weights).argmax())


def _is_first(row: Row, weights: RankWeights) -> float:
    return float(first_of(row, weights) == row.right)


def baselines(
    library: Mapping[str, Described], texts: Sequence[str], rows: Sequence[Row]
) -> dict[str, list[int]]:
    """The first workflow of each row by a rule that learns nothing. texts[i]: what was said in rows[i]."""
    documents = [d.text for d in library.values()]
    return {
        "BM25": _by_bm25(documents, texts),
        "TF-IDF": _by_tfidf(documents, texts),
        "plain cosine": [int(r.features[:, 0].argmax()) for r in rows],
    }


def _by_bm25(documents: Sequence[str], texts: Sequence[str]) -> list[int]:
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(documents), show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(texts), show_progress=False, return_ids=False)
    return [int(index.get_scores(words).argmax()) if words else 0 for words in asked]


def _by_tfidf(documents: Sequence[str], texts: Sequence[str]) -> list[int]:
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    known = vectorizer.fit_transform(documents)
    similar = vectorizer.transform(texts) @ known.T
    return [int(row.argmax()) for row in similar.toarray()]


def spread(values: Sequence[float], show: Callable[[float], str] = "{:.3f}".format) -> str:
    """Mean and standard deviation over the seeds."""
    kept = [v for v in values if not math.isnan(v)]
    if not kept:
        return "-"
    return f"{show(float(np.mean(kept)))} ±{np.std(kept):.3f}"


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return float(np.mean(kept)) if kept else math.nan
