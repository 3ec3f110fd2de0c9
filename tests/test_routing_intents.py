import numpy as np
import pytest

from pointsman.router.routing.intents import fit
from pointsman.router.routing.logistic import best_threshold, binary_fit

NAMES = ("balance", "transfer", "weather")


def some(n, seed=0, places=(0, 1, 2)):
    rng = np.random.default_rng(seed)
    where = rng.integers(0, len(places), n)
    vectors = np.eye(12, dtype=np.float32)[np.array(places)[where]]
    vectors = vectors + 0.15 * rng.normal(size=vectors.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), [NAMES[w % 3] for w in where]


def test_a_text_gets_the_intent_of_its_examples():
    head = fit(*some(60))
    others, right = some(100, seed=1)
    chosen = head.choose(others)
    assert np.mean([c.name == r for c, r in zip(chosen, right, strict=True)]) > 0.97
    assert head.probabilities(others).sum(1) == pytest.approx(1, abs=1e-5)


def test_what_is_none_of_them_is_told_once_such_texts_were_shown():
    head = fit(*some(60))
    outside, _ = some(40, seed=3, places=(7, 8))
    later, _ = some(40, seed=4, places=(7, 9))
    validation, right = some(80, seed=2)
    assert all(c.name is not None for c in head.choose(later))
    tuned = head.tuned(validation, right, outside=outside)
    assert np.mean([c.name is None for c in tuned.choose(later)]) > 0.95
    assert np.mean([c.name is None for c in tuned.choose(some(80, seed=5)[0])]) < 0.05


def test_confidence_is_about_the_share_of_right_ones():
    rng = np.random.default_rng(0)
    vectors, right = some(60)
    noisy = [NAMES[rng.integers(3)] if rng.random() < 0.4 else r for r in right]
    validation, truth = some(400, seed=1)
    mixed = [NAMES[rng.integers(3)] if rng.random() < 0.4 else r for r in truth]
    head = fit(vectors, noisy).tuned(validation, mixed)
    chosen = head.choose(validation)
    sure = np.mean([c.confidence for c in chosen])
    share = np.mean([c.name == r for c, r in zip(chosen, mixed, strict=True)])
    assert sure == pytest.approx(share, abs=0.06)


def test_one_intent_is_nothing_to_choose_from():
    with pytest.raises(ValueError, match="two or more"):
        fit(np.eye(3, dtype=np.float32), ["a", "a", "a"])


def test_a_threshold_lies_between_what_can_be_told_apart():
    assert 0.4 < best_threshold([0.5, 0.7, 0.9], [0.1, 0.4]) < 0.5
    with pytest.raises(ValueError, match="both kinds"):
        best_threshold([0.5], [])


def test_rows_count_by_their_weight():
    rows = np.ones((2, 1), np.float32)
    weights, bias = binary_fit(rows, np.array([1.0, 0.0]), strength=100, weights=np.array([3.0, 1]))
    assert 1 / (1 + np.exp(-(weights[0] + bias))) == pytest.approx(0.75, abs=0.01)
