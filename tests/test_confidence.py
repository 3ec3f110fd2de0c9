"""How sure the planner is: a probability, fitted and held out, that the reading of a clause is right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.router.planning.confidence import (
    FEATURES,
    WAYS,
    Evidence,
    confidence,
    together,
)
from pointsman.router.planning.learned.training.confidence import (
    brier,
    calibration_error,
    fit,
    folds,
    held_out,
)
from pointsman.router.planning.learned.training.plans import Planned
from pointsman.router.planning.learned.training.requests import load, right

SURE = Evidence("table", 1.0, likeness=0.9, words=6)
UNSURE = Evidence("foreign", 0.36, share=0.2, literals=0.0, likeness=0.36, lead=0.01, words=6)


def drawn(count: int = 240, seed: int = 1) -> list[Planned]:
    """Plans that are right by chance, the likelier the higher the score of their reading."""
    chance = np.random.default_rng(seed)
    made: list[Planned] = []
    for group in range(count):
        score = float(chance.random())
        rows = Evidence("table", score, words=5).features()[None]
        made.append(Planned(group, rows, score**3, bool(chance.random() < score), 1.0, ""))
    return made


def test_a_well_explained_reading_is_surer_than_a_poor_one() -> None:
    shipped = confidence()
    assert shipped.of(UNSURE) < shipped.least.confidence < shipped.sure.confidence
    assert shipped.of(SURE) > shipped.sure.confidence


def test_what_speaks_for_and_against_is_told_in_words() -> None:
    reasons = confidence().reasons(UNSURE)
    assert reasons
    assert all(any(r.startswith(f) for f in FEATURES) for r in reasons)
    assert any("against" in r for r in reasons)


@given(st.floats(-10, 10), st.floats(-50, 50), st.floats(0, 1), st.integers(0, 100))
def test_it_is_a_probability_whatever_is_known(
    score: float, odds: float, share: float, words: int
) -> None:
    for way in WAYS:
        found = confidence().of(Evidence(way, score, share, odds=odds, words=words))
        assert 0.0 <= found <= 1.0


def test_a_plan_is_as_sure_as_all_of_its_clauses() -> None:
    assert together([0.9, 0.5]) == pytest.approx(0.45)
    assert together([]) == 1.0


def test_fitted_confidence_is_better_calibrated_than_the_score_it_is_made_of() -> None:
    made = drawn()
    truth, weight = np.array([m.right for m in made]), np.ones(len(made))
    raw, fitted = np.array([m.raw for m in made]), held_out(made, 0)
    assert brier(fitted, truth, weight) < brier(raw, truth, weight)
    assert calibration_error(fitted, truth, weight) < calibration_error(raw, truth, weight)


def test_thresholds_hold_what_they_state_on_the_plans_held_out() -> None:
    model = fit(drawn())
    assert model.least.coverage >= 0.97
    assert model.sure.precision >= 0.94
    assert model.sure.confidence >= model.least.confidence


def test_what_was_made_of_one_request_is_in_one_fold() -> None:
    made = [replace(m, group=m.group // 3) for m in drawn()]
    fold = folds(made, 0)
    assert all(len({fold[i], fold[i + 1], fold[i + 2]}) == 1 for i in range(0, len(made), 3))
    assert len(set(fold.tolist())) > 1


def test_weights_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    model = fit(drawn(60))
    model.save(tmp_path / "c.safetensors")
    again = confidence(tmp_path / "c.safetensors")
    assert again.of(SURE) == model.of(SURE)
    assert (again.sure, again.least) == (model.sure, model.least)


def test_requests_it_is_fitted_to_say_what_is_right_and_are_none_of_the_benchmark() -> None:
    examples = load()
    texts = {e.text.casefold() for e in examples}
    folder = Path(__file__).parents[1] / "benchmarks" / "requests"
    asked = "".join(p.read_text("utf-8") for p in folder.glob("*.yaml")).casefold()
    assert len(texts) == len(examples)
    assert not [t for t in texts if f'"{t}"' in asked]
    assert sum(not e.in_scope for e in examples) >= 20
    assert callable(right)
