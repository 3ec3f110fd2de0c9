"""The Global Workspace controller: it learns to chain modules, and goes on beyond what it was trained on."""

import pytest
import torch

from pointsman.router.planning.learned.training import chaining
from pointsman.router.planning.learned.training.chaining import (
    INCREMENT,
    INPUT,
    OUTPUT,
    Chain,
    Workspace,
    accuracies,
    shift,
    split,
)

SEEDS = (0, 1, 2)


def parts(name: str) -> torch.Tensor:
    return torch.stack([split(seed)[name] for seed in SEEDS])


@pytest.fixture(scope="module")
def net() -> Workspace:
    return chaining.trained(Chain(), SEEDS, parts("train"), shift())


def test_it_adds_beyond_the_numbers_it_was_trained_on(net: Workspace) -> None:
    assert int(parts("train")[..., 1].max()) == chaining.SEEN < int(parts("beyond")[..., 1].min())
    assert accuracies(net, parts("between")) == [1, 1, 1]
    assert accuracies(net, parts("beyond")) == [1, 1, 1]


def test_the_controllers_serve_a_larger_workspace(net: Workspace) -> None:
    """Sums that the workspace of the training has no place for."""
    pairs = torch.tensor([[9, 10], [9, 11]]).expand(3, -1, -1)
    assert sum(accuracies(net.wider(30), pairs)) > sum(accuracies(net, pairs)) == 0


def test_a_count_that_stays_does_not_carry_over() -> None:
    """The case that does not work: told a number, it learns the numbers that it was told."""
    told = Chain(stalled=0.0, count="scalar")
    made = chaining.trained(told, SEEDS, parts("train"), shift())
    assert max(accuracies(made, parts("beyond"))) < 0.9


def test_the_same_seed_gives_the_same_controller() -> None:
    short = Chain(steps=5)
    one, two = (chaining.trained(short, SEEDS, parts("train"), shift()) for _ in range(2))
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, two.state_dict()[name], rtol=0, atol=0)


def test_modules_do_what_their_gates_say() -> None:
    """By hand: load, add while tokens are left, answer."""

    class Told(torch.nn.Module):
        def forward(self, seen, state):  # type: ignore[no-untyped-def]
            filled, left = seen[..., 0] > 0.5, seen[..., 1] > 0.5
            module = torch.where(~filled, INPUT, torch.where(left, INCREMENT, OUTPUT))
            return torch.nn.functional.one_hot(module, 3).float(), state

    made = Workspace(Chain(), shift(), (0,)).eval()
    made.controller = Told()  # type: ignore[assignment]
    every = torch.cartesian_prod(torch.arange(10), torch.arange(10))
    assert accuracies(made, every[None]) == [1]


def test_pairs_kept_back_are_in_no_training() -> None:
    pairs = split(4)
    seen = {tuple(p) for p in pairs["train"].tolist()}
    assert not seen & {tuple(p) for part in ("between", "beyond") for p in pairs[part].tolist()}
    assert len(pairs["train"]) + len(pairs["between"]) + len(pairs["beyond"]) == 100
    assert {sum(p) for p in pairs["known"].tolist()} <= {sum(p) for p in seen}
