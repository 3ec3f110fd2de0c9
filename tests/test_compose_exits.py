"""Early exit: no more compute than asked for, no earlier exit for more budget, and what has left costs nothing."""

import numpy as np
import pytest
import torch

from pointsman.experts.models.compose import exits
from pointsman.experts.models.compose.exits import EarlyExit, fit_exits, leaving
from pointsman.experts.models.minilm import LAYERS, MiniLm

TOPICS = {
    "money": ["my card was declined", "send money abroad", "the bank charged a fee", "what is my balance",
              "close the account", "a transfer is late", "top up with cash", "the loan has a rate"],
    "food": ["a recipe for soup", "how long to boil eggs", "is this cheese still good", "book a table for two",
             "order a pizza", "what goes with fish", "bake some bread", "spices for a curry"],
    "travel": ["a flight to Rome", "my luggage is lost", "do I need a visa", "rent a car in Oslo",
               "the hotel near the sea", "when does the train leave", "a map of the town", "the plane is late"],
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


@pytest.fixture(scope="module")
def made(model: MiniLm) -> tuple[exits.Heads, exits.Exits, list[str], torch.Tensor]:
    texts = [t for group in TOPICS.values() for t in group]
    labels = torch.arange(len(TOPICS)).repeat_interleave(8)
    means = exits.layer_means(model, texts)
    heads = exits.fit_heads(means, labels, (means, labels), len(TOPICS), seed=0)
    return heads, fit_exits(exits.confidence_of(heads, means)[0]), texts, labels


def some(seed: int, texts: int = 300) -> np.ndarray:
    """Confidences that grow by the layer."""
    draw = np.random.default_rng(seed)
    hard = draw.uniform(0, 1, texts)
    sure = np.clip(np.linspace(0.4, 0.98, LAYERS)[:, None] + draw.normal(0, 0.2, (LAYERS, texts)) - hard / 4, 0.05, 1)  # fmt: skip
    return sure.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_more_budget_never_means_an_earlier_exit(seed: int) -> None:
    plan = fit_exits(some(seed))
    other = some(seed + 100)
    layers = np.stack([leaving(other, plan.at(b)) for b in np.linspace(0, 1.2, 60)])
    assert (np.diff(layers, axis=0) >= 0).all()
    assert layers[0].mean() < layers[-1].mean()


def test_the_mean_compute_is_within_the_budget() -> None:
    sure = some(5)
    plan = fit_exits(sure)
    for budget in exits.BUDGETS:
        assert (leaving(sure, plan.at(budget)) + 1).mean() / LAYERS <= budget + 1e-9


def test_texts_leave_at_the_layer_that_was_foreseen(
    model: MiniLm, made: tuple[exits.Heads, exits.Exits, list[str], torch.Tensor]
) -> None:
    """One by one and in a batch with others, with budgets of their own."""
    heads, plan, texts, _ = made
    sure, labels = exits.confidence_of(heads, exits.layer_means(model, texts))
    budgets = [(0.2, 0.5, 1.0)[n % 3] for n in range(len(texts))]
    answers = EarlyExit(model, heads, plan).answers(texts, budgets)
    for n, (answer, budget) in enumerate(zip(answers, budgets, strict=True)):
        layer = int(leaving(sure[:, n : n + 1], plan.at(budget))[0])
        assert answer.layers == layer + 1
        assert answer.label == labels[layer, n]
        assert answer.confidence == pytest.approx(sure[layer, n], abs=1e-4)


def test_layers_above_the_exit_are_not_run(
    model: MiniLm,
    made: tuple[exits.Heads, exits.Exits, list[str], torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads, _, texts, _ = made
    run: list[int] = []
    upward = model.upward

    def counted(x: torch.Tensor, mask: torch.Tensor, first: int, *, until: int) -> torch.Tensor:
        run.append(len(x))
        return upward(x, mask, first, until=until)

    monkeypatch.setattr(model, "upward", counted)
    at_once = exits.Exits({0.1: 0.0})
    EarlyExit(model, heads, at_once).answers(texts, [1.0] * len(texts))
    assert run == [len(texts)]
    assert EarlyExit(model, heads, at_once).answers([], []) == []
