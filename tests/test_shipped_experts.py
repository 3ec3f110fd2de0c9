"""Experts that ship: sound files, what their cards say holds on texts that nothing was chosen by, and `add`."""

from pathlib import Path

import pytest

from pointsman.experts.models.fitted import capability_of
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.registry.folder import ExpertFolder
from pointsman.experts.models.registry.shipped import shipped, shipped_folder
from pointsman.experts.models.registry.updating import register, share_right
from pointsman.router.errors import BadExpert

NAMES = sorted(shipped())


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_added_and_knows_its_canaries(name: str, tmp_path: Path, model: MiniLm) -> None:
    folder = ExpertFolder(tmp_path)
    added = register(folder, shipped_folder(name), model)
    assert added.served
    expert = folder.open(name)
    card = expert.manifest.card
    assert card.scores["expert"].accuracy >= card.scores["nearest centroid"].accuracy
    assert card.scores["expert"].accuracy >= card.scores["majority"].accuracy + 0.3
    assert card.licence
    assert share_right(model, expert, expert.manifest.canaries) > 0.8
    assert capability_of(expert.manifest).name == f"fitted.{name}"


def test_some_ship_and_none_of_another_name() -> None:
    assert "banking" in NAMES
    with pytest.raises(BadExpert, match="no expert that ships"):
        shipped_folder("../banking")
