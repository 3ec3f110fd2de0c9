"""Adapters made of adapters: routed, merged, cut, updated; and logits that are fused."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pointsman.experts.models.adapters import Adapter, load_adapter, save_adapter
from pointsman.experts.models.compose import fusing, merging, ranks, updates
from pointsman.experts.models.compose.merging import Merged, Requests, ada_merged, arithmetic
from pointsman.experts.models.compose.routed import Routed, Way, mean_of
from pointsman.experts.models.compose.tuning import (
    BELOW,
    NONE,
    Fresh,
    Kept,
    Parts,
    Recipe,
    Still,
    all_vectors,
    correct,
    keep,
    tune,
)
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.mixing import Mixer

GOOD = ["what a lovely day", "the best film of the year", "I love it", "works very well", "a great help",
        "so happy with this", "wonderful songs", "they were kind to us"]  # fmt: skip
BAD = ["what an awful day", "the worst film of the year", "I hate it", "broke at once", "no help at all",
       "so angry about this", "terrible songs", "they were rude to us"]  # fmt: skip
QUICK = Recipe(steps=20, batch=16)


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


@pytest.fixture(scope="module")
def texts(model: MiniLm) -> tuple[Kept, torch.Tensor]:
    return keep(model, GOOD + BAD), torch.arange(2).repeat_interleave(8)


def source(seed: int, rank: int = 4) -> Still:
    """An adapter that changes something."""
    torch.manual_seed(seed)
    return Still({k: (d, torch.randn_like(u) / 30) for k, (d, u) in Fresh(rank).parts().items()})


def product(parts: Parts, key: tuple[int, str]) -> torch.Tensor:
    down, up = parts.parts()[key]
    return (down @ up).detach()


KEYS = list(source(0).parts())


def test_kept_states_give_what_the_whole_backbone_gives(
    model: MiniLm, texts: tuple[Kept, torch.Tensor]
) -> None:
    """With an adapter too, and in the files and the mixture that serve it."""
    ids = [t.ids for t in model.tokenize(GOOD + BAD)]
    plain = all_vectors(model, texts[0], NONE)
    np.testing.assert_allclose(plain, model.embed(ids), atol=2e-3)
    adapter = Adapter(source(1).parts(), "one")
    served = model.embed(ids, Mixer().mixture([adapter] * len(ids)))
    np.testing.assert_allclose(all_vectors(model, texts[0], source(1)), served, atol=2e-3)
    assert np.abs(served - plain.numpy()).max() > 0.01


def test_training_fits_adapter_and_head(model: MiniLm, texts: tuple[Kept, torch.Tensor]) -> None:
    states, labels = texts
    torch.manual_seed(0)
    adapter = Fresh()
    head = tune(model, states, labels, adapter, classes=2, seed=0, recipe=QUICK)
    assert correct(head, all_vectors(model, states, adapter), labels) == 1
    assert all(float(up.detach().abs().max()) > 0 for _, up in adapter.parts().values())


@pytest.mark.parametrize("way", ["poly", "mhr", "scale", "uniform"])
def test_routes_begin_with_the_mean_and_learn(
    way: Way, model: MiniLm, texts: tuple[Kept, torch.Tensor]
) -> None:
    """Each method trains its few weights alone; the sources stay as they were."""
    sources = [source(seed) for seed in range(3)]
    before = [product(s, KEYS[0]) for s in sources]
    routed = Routed(sources, way)
    for key in KEYS:
        mean = torch.stack([product(s, key) for s in sources]).mean(0)
        torch.testing.assert_close(product(routed, key), mean, atol=1e-5, rtol=1e-4)
    start = routed.weights.detach().clone()
    tune(model, *texts, routed, classes=2, seed=0, recipe=QUICK)
    assert not torch.equal(start, routed.weights.detach())
    assert routed.weights.numel() == {"poly": 12, "mhr": 96, "scale": 3, "uniform": 3}[way]
    for one, was in zip(sources, before, strict=True):
        torch.testing.assert_close(product(one, KEYS[0]), was)


def test_a_composed_adapter_is_served_from_a_file(tmp_path, model: MiniLm) -> None:  # type: ignore[no-untyped-def]
    routed = Routed([source(1), source(2)], "mhr")
    with torch.no_grad():
        routed.weights.normal_()
    parts = {key: (d.detach(), u.detach()) for key, (d, u) in routed.parts().items()}
    save_adapter(tmp_path, parts, alpha=8, base="all-MiniLM-L6-v2")
    found = load_adapter(tmp_path)
    assert found.rank == 8
    for key in KEYS:
        torch.testing.assert_close(found.parts[key][0] @ found.parts[key][1], product(routed, key))


def test_the_nearest_product_of_a_rank() -> None:
    torch.manual_seed(1)
    down, up = torch.randn(30, 6), torch.randn(6, 20)
    s = torch.linalg.svdvals(down @ up)
    for rank in (1, 3, 6):
        cut_down, cut_up = ranks.truncated_pair(down, up, rank)
        lost = torch.linalg.norm(down @ up - cut_down @ cut_up)
        assert float(lost) == pytest.approx(float((s[rank:] ** 2).sum().sqrt()), abs=1e-3)


def test_no_more_memory_than_the_limit_and_it_goes_where_it_counts() -> None:
    """One adapter is needed whole, one not at all; equal shares would cut both."""
    needed, spare = source(1).parts(), source(2).parts()
    whole = ranks.numbers(needed)

    def loss(at: int, parts: object) -> float:
        return (1 - ranks.numbers(parts) / whole) * (10 if at == 0 else 0)  # type: ignore[arg-type]

    tiers = ranks.chosen([needed, spare], loss, 0.51)
    assert tiers == [1.0, 0.0]
    for share in (0.1, 1 / 3, 0.5):
        assert 0 < ranks.numbers(ranks.truncated(needed, share)) <= share * whole
    assert ranks.truncated(needed, 0.0) == {}


def test_mean_of_equal_adapters_is_that_adapter() -> None:
    mean = mean_of([source(1), source(1)], 4)
    for key in KEYS:
        torch.testing.assert_close(
            product(Still(mean), key), product(source(1), key), atol=1e-4, rtol=1e-3
        )


def test_arithmetic_takes_what_the_canary_likes() -> None:
    sources = [source(1), source(2)]
    made = arithmetic(sources, lambda m: -abs(m.coefficients[0, 0].item() - 0.3), (0.1, 0.3, 0.5))  # type: ignore[attr-defined]
    both = product(sources[0], KEYS[0]) + product(sources[1], KEYS[0])
    torch.testing.assert_close(product(made, KEYS[0]), 0.3 * both, atol=1e-5, rtol=1e-4)


def test_entropy_falls_without_labels_and_the_canary_stops_it(
    model: MiniLm, texts: tuple[Kept, torch.Tensor]
) -> None:
    states, labels = texts
    sources = [source(1), source(2)]
    head = tune(model, states, labels, NONE, classes=2, seed=0, recipe=QUICK)
    requests = [Requests(states, head)] * 2

    def sureness(m: Parts) -> float:
        return -float(merging._entropy(head(all_vectors(model, states, m))).detach())

    made, step = ada_merged(model, sources, requests, sureness, start=0.3, seed=0, steps=20, every=10)  # fmt: skip
    assert step > 0
    assert sureness(made) > sureness(Merged(sources, 0.3))
    same, step = ada_merged(model, sources, requests, lambda m: 0.0, start=0.3, seed=0, steps=10, every=5)  # fmt: skip
    assert step == 0
    torch.testing.assert_close(
        same.coefficients.detach(), Merged(sources, 0.3).coefficients.detach()
    )


def test_flips_are_counted_and_what_was_right_is_kept_to() -> None:
    labels = torch.tensor([0, 1, 1, 0])
    old = torch.tensor([[2.0, 0], [0, 2], [2, 0], [0, 2]])
    assert updates.flips(old.argmax(1), torch.tensor([1, 1, 1, 1]), labels) == (0.25, 0.25)
    loss, rows = updates.compatible(old, 1.0), torch.arange(4)
    assert float(loss(old, labels, rows)) == pytest.approx(float(cross_entropy(old, labels)))
    turned, freed = old.clone(), old.clone()
    turned[0] = torch.tensor([0.0, 2])
    freed[2] = torch.tensor([0.0, 2])
    for given, drawn in ((turned, True), (freed, False)):
        more = float(loss(given, labels, rows)) - float(cross_entropy(given, labels))
        assert (more > 0.01) is drawn
    assert updates.widened(old, 3).argmax(1).tolist() == old.argmax(1).tolist()


def test_a_small_expert_steers_as_far_as_it_went_itself() -> None:
    torch.manual_seed(0)
    large, plain = torch.randn(5, 4), torch.randn(5, 4)
    tuned = plain + torch.randn(5, 4)
    tuned[0] = plain[0]
    moved = fusing.fused(large, [tuned], [plain])
    torch.testing.assert_close(moved[0], large[0])
    far = fusing.reach(large, tuned, plain)[1:] < fusing.MOST - 1e-3
    went, goal = fusing._divergence(moved, large)[1:], fusing._divergence(tuned, plain)[1:]
    assert bool(far.any())
    torch.testing.assert_close(went[far], goal[far], atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(fusing.fused(plain, [tuned], [plain]).softmax(1)[1:], tuned.softmax(1)[1:], atol=1e-3, rtol=1e-2)  # fmt: skip


def test_adapters_are_above_the_kept_layers_only() -> None:
    assert {layer for layer, _ in KEYS} == set(range(BELOW, 6))
