"""In-scope score: on made-up clusters on the unit sphere, whose truth is known."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.foreign import Foreign
from pointsman.router.planning.scope import Scope

DIM = 48


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters(
    labels: int, each: int, seed: int = 0, of: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`of`: which universe of cluster centres; `seed`: which draw from it."""
    centres = np.random.default_rng(1_000 + of).normal(size=(labels, DIM))
    names = np.repeat(np.arange(labels), each)
    noise = np.random.default_rng(seed).normal(size=(len(names), DIM))
    return unit(centres[names] + 0.6 * noise), names


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_stated_share_of_new_requests_passes(coverage: float) -> None:
    scope = Scope.fit(*clusters(12, 40))
    requests, _ = clusters(12, 200, seed=1)
    passed = float(np.mean(scope.score(requests) >= scope.threshold(coverage)))
    assert coverage - 0.02 <= passed <= coverage + 0.07


def test_requests_of_no_label_fall_below_the_threshold() -> None:
    scope = Scope.fit(*clusters(12, 40))
    foreign, _ = clusters(12, 20, of=1)
    assert float(np.mean(scope.score(foreign) < scope.threshold(0.95))) > 0.95


def test_out_of_scope_examples_help_against_their_like() -> None:
    examples, labels = clusters(6, 10)
    middle = unit((examples[labels == 0][:8] + examples[labels == 1][:8]).astype(np.float64))
    without = Scope.fit(examples, labels)
    having = Scope.fit(examples, labels, outside=middle)
    own, _ = clusters(6, 50, seed=2)
    wider = unit(middle + 0.02 * np.random.default_rng(3).normal(size=middle.shape))

    def gap(scope: Scope) -> float:
        return float(np.median(scope.probability(own)) - np.median(scope.probability(wider)))

    assert gap(having) > gap(without) + 0.05


def test_probability_rises_with_the_score_and_with_the_prior() -> None:
    scope = Scope.fit(*clusters(5, 12))
    requests = np.concatenate([clusters(5, 4, seed=4)[0], clusters(5, 4, of=2)[0]])
    score, chance = scope.score(requests), scope.probability(requests)
    assert np.array_equal(np.argsort(score), np.argsort(chance))
    assert (scope.probability(requests, prior=0.9) >= chance).all()
    assert ((chance >= 0) & (chance <= 1)).all()


def test_p_values_say_how_many_in_scope_requests_score_lower() -> None:
    scope = Scope.fit(*clusters(12, 40))
    low, high = scope.coverage_at(np.array([scope.threshold(0.95), scope.threshold(0.5)]))
    assert low == pytest.approx(0.05, abs=0.01)
    assert high == pytest.approx(0.5, abs=0.01)


def test_labels_are_told_apart() -> None:
    scope = Scope.fit(*clusters(12, 10))
    requests, truth = clusters(12, 20, seed=5)
    names, fits = scope.label_scores(requests)
    assert float(np.mean(names[fits.argmax(1)] == truth)) > 0.95


@pytest.mark.parametrize(("labels", "each"), [(1, 1), (1, 3), (2, 1), (3, 2)])
def test_tiny_catalogs_are_fitted(labels: int, each: int) -> None:
    scope = Scope.fit(*clusters(labels, each))
    own, _ = clusters(labels, 1, seed=6)
    foreign, _ = clusters(labels, 1, of=3)
    assert np.isfinite(scope.score(np.concatenate([own, foreign]))).all()
    assert scope.score(own).mean() > scope.score(foreign).mean()


def test_too_few_examples_promise_nothing() -> None:
    scope = Scope.fit(*clusters(3, 4))
    own, _ = clusters(3, 4, seed=7)
    assert (scope.score(own) >= scope.threshold(0.99)).all()


def test_variations_of_one_example_do_not_make_the_threshold_strict() -> None:
    """Each example nine times, all but the same: as sure of new requests as with one of each."""
    examples, labels = clusters(8, 12)
    noise = np.random.default_rng(8).normal(size=(9, *examples.shape)) * 0.002
    copies = unit((examples[None] + noise).reshape(-1, DIM))
    scope = Scope.fit(copies, np.tile(labels, 9))
    requests, _ = clusters(8, 100, seed=9)
    assert float(np.mean(scope.score(requests) >= scope.threshold(0.9))) > 0.85


def test_a_fit_is_repeatable_and_order_of_examples_does_not_decide() -> None:
    examples, labels = clusters(6, 10)
    turned = np.random.default_rng(10).permutation(len(labels))
    requests, _ = clusters(6, 5, seed=11)
    one, same = Scope.fit(examples, labels), Scope.fit(examples, labels)
    other = Scope.fit(examples[turned], labels[turned])
    assert np.array_equal(one.score(requests), same.score(requests))
    assert np.corrcoef(one.score(requests), other.score(requests))[0, 1] > 0.95


def test_what_cannot_be_fitted_is_refused() -> None:
    examples, labels = clusters(2, 3)
    with pytest.raises(ValueError, match="0 examples"):
        Scope.fit(examples[:0], labels[:0])
    with pytest.raises(ValueError, match="6 examples with 5 labels"):
        Scope.fit(examples, labels[:5])
    with pytest.raises(ValueError, match="not between 0 and 1"):
        Scope.fit(examples, labels).threshold(1.5)


def test_a_fit_that_was_kept_gives_the_same_scores_and_a_broken_one_is_made_anew(
    tmp_path: Path,
) -> None:
    made = np.random.default_rng(5).normal(size=(40, 16)).astype(np.float32)
    vectors = made / np.linalg.norm(made, axis=1, keepdims=True)

    class Given:
        """An embedder of texts that are numbers."""

        dim = 16

        async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return vectors[[sum(t.encode()) % 40 for t in texts]]

    schema = {"type": "object", "properties": {}}
    names = ("alpha", "beta", "gamma", "delta")
    catalog = Catalog([Capability(n, f"does {n}", schema, {}, examples=(n, n + n)) for n in names])

    def odds() -> float:
        return asyncio.run(Foreign(Given(), tmp_path).outside("beta please", catalog)).odds

    fitted = odds()
    (kept,) = tmp_path.glob("scope-*.safetensors")
    began = kept.stat().st_mtime_ns
    assert odds() == pytest.approx(fitted, abs=1e-9)
    assert kept.stat().st_mtime_ns == began
    kept.write_bytes(b"broken")
    assert odds() == pytest.approx(fitted, abs=1e-9)
    assert kept.stat().st_size > 6
