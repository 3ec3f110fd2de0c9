import numpy as np
import pytest

from pointsman.router.errors import BadRouterModel
from pointsman.router.routing.quality import QualityModel, fit
from pointsman.router.routing.surface import FEATURES, surface

EXPERTS = ("small", "large")


def some(n, seed=0):
    """Inputs in two regions: the small expert is right in one of them only, the large one nearly always."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n) < 0.5
    centre = np.where(easy[:, None], np.eye(16)[0], np.eye(16)[1])
    vectors = (centre + 0.1 * rng.normal(size=(n, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.stack([easy | (rng.random(n) < 0.1), rng.random(n) < 0.95], 1)
    return easy, vectors, np.zeros((n, FEATURES), np.float32), right.astype(np.float32)


def test_an_expert_is_expected_to_do_well_where_it_did_well():
    _, vectors, surfaces, right = some(300)
    model = fit(EXPERTS, vectors, surfaces, right)
    easy, others, their_surfaces, _ = some(200, seed=1)
    expected = model.predict(others, their_surfaces)
    assert expected.shape == (200, 2)
    assert ((expected >= 0) & (expected <= 1)).all()
    assert expected[easy, 0].min() > 0.8
    assert expected[~easy, 0].max() < 0.4
    assert expected[:, 1].min() > 0.8


def test_what_was_not_tried_is_not_held_against_an_expert():
    easy, vectors, surfaces, right = some(400)
    right[::2, 0] = np.nan
    right[1::2, 1] = np.nan
    expected = fit(EXPERTS, vectors, surfaces, right).predict(vectors, surfaces)
    assert expected[easy, 0].mean() > 0.9 > 0.5 > expected[~easy, 0].mean()
    assert expected[:, 1].mean() > 0.9


def test_an_expert_of_which_nothing_is_known_is_expected_in_the_middle():
    _, vectors, surfaces, right = some(100)
    right[:, 0] = np.nan
    expected = fit(EXPERTS, vectors, surfaces, right).predict(vectors, surfaces)
    assert expected[:, 0] == pytest.approx(0.5, abs=0.01)


def test_outcomes_that_come_in_move_what_is_expected_nearby_and_not_elsewhere():
    easy, vectors, surfaces, right = some(200)
    model = fit(EXPERTS, vectors, surfaces, right)
    here = vectors[easy][0]
    learned = model
    for _ in range(200):
        learned = learned.learned(here, "small", 0.0)
    before, after = (m.predict(vectors, surfaces) for m in (model, learned))
    assert after[easy, 0].mean() < before[easy, 0].mean() - 0.1
    assert after[~easy, 0].mean() == pytest.approx(before[~easy, 0].mean(), abs=0.05)
    assert after[:, 1] == pytest.approx(before[:, 1])
    assert model.learned(here, "somebody else", 1.0) is model


def test_a_model_is_the_same_after_a_file(tmp_path):
    _, vectors, surfaces, right = some(60)
    model = fit(EXPERTS, vectors, surfaces, right)
    model.save(tmp_path / "quality.safetensors")
    found = QualityModel.load(tmp_path / "quality.safetensors")
    assert found.experts == EXPERTS
    expected = model.predict(vectors, surfaces)
    assert found.predict(vectors, surfaces) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x00" * 64])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "quality.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadRouterModel, match="fit them again"):
        QualityModel.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadRouterModel):
        QualityModel.load(tmp_path / "none.safetensors")


def test_too_little_is_not_fitted():
    _, vectors, surfaces, right = some(9)
    with pytest.raises(ValueError, match="ten or more"):
        fit(EXPERTS, vectors, surfaces, right)


def test_the_surface_of_a_text_counts_what_tells_its_difficulty():
    plain, sums = surface(["Hello there.", "If each of 12 boxes holds 1.5 kg, how much do 3 hold?"])
    assert plain.shape == (FEATURES,)
    assert (plain[2], sums[2]) == (0, 3)
    assert sums[8] == 1
    assert surface([""]).tolist()[0][:4] == [0, 0, 0, 0]
