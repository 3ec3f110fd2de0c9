"""Trains the next-action chooser on simulated dialogues:

python -m pointsman.router.planning.learned.training.next_action --data DIR --situations FILE

A dialogue is a sub-flow of ABCD: a situation in words, and the actions of its plan in order. Every moment of it is
an example, with the right action to be chosen among all: without a proposal, with the right one, and with wrong
ones in the share in which the proposer errs; in a part of them a wrong action was done before. What followed in
past dialogues is looked up in the other sub-flows only.
"""

import argparse
import asyncio
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.workflows.abcd import (
    Subflow,
    capabilities,
    capability_name,
    read_subflows,
    workflow_form,
)
from pointsman.router.planning.workflows.next_action import (
    CONTEXTS,
    WEIGHTS,
    Actions,
    Chooser,
    Context,
    Features,
    Moment,
    Network,
    Past,
    save_networks,
)

HIDDEN = 16
STEPS = 300
RATE = 0.02
DECAY = 1e-3
ERRS = 0.2
"""Share of a proposer's steps that are wrong."""
STRAYED = 0.1
"""Share of examples in whose history a wrong action was done."""
VARIANTS = 4
"""Examples of each moment: half of them with a proposal."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """situations: [n, dim], ways to say it. name: [dim] of the workflow. plan: [steps, dim]. sequence: actions."""

    key: str
    situations: Vectors
    name: Vectors
    plan: Vectors
    sequence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Example:
    features: Features
    right: int


def past_of(dialogues: Sequence[Dialogue]) -> Past:
    """What is remembered of dialogues: each once, its situations averaged."""
    return Past(
        tuple(d.sequence for d in dialogues),
        np.stack([_unit(d.situations.mean(axis=0)) for d in dialogues]),
        np.stack([d.name for d in dialogues]),
    )


def train(dialogues: Sequence[Dialogue], actions: Actions, *, seed: int) -> dict[Context, Network]:
    """A network for each context. Deterministic by seed."""
    return {
        context: _fitted(list(_examples(dialogues, actions, context, seed)), seed)
        for context in CONTEXTS
    }


def _examples(
    dialogues: Sequence[Dialogue], actions: Actions, context: Context, seed: int
) -> Iterator[Example]:
    random = np.random.default_rng(seed)
    for number, dialogue in enumerate(dialogues):
        others = [d for i, d in enumerate(dialogues) if i != number]
        chooser = Chooser(actions, past_of(others), {})
        for situation in dialogue.situations:
            for place, right in enumerate((*dialogue.sequence, actions.end)):
                for variant in range(VARIANTS):
                    history = _strayed(dialogue.sequence[:place], actions.end, random)
                    offered = None
                    if variant % 2:
                        offered = offer(right, actions.end, random)
                    moment = Moment(situation, history, offered, dialogue.name, dialogue.plan)
                    yield Example(chooser.features(moment, context), right)


def offer(right: int, end: int, random: np.random.Generator, *, errs: float = ERRS) -> int:
    """What the proposer says: wrong in a share of cases, then any other action or the end, all equally likely."""
    if random.random() >= errs:
        return right
    wrong = int(random.integers(end))
    return wrong if wrong < right else wrong + 1


def _strayed(history: tuple[int, ...], count: int, random: np.random.Generator) -> tuple[int, ...]:
    if random.random() >= STRAYED:
        return history
    place = int(random.integers(len(history) + 1))
    return (*history[:place], int(random.integers(count)), *history[place:])


def _fitted(examples: Sequence[Example], seed: int) -> Network:
    """By Adam on the log-likelihood of the right action (a conditional logit over the actions)."""
    torch.manual_seed(seed)
    rows = np.stack([e.features for e in examples])
    mean = rows.reshape(-1, rows.shape[-1]).mean(axis=0)
    spread = rows.reshape(-1, rows.shape[-1]).std(axis=0) + 1e-3
    inputs = torch.from_numpy((rows - mean) / spread)
    right = torch.tensor([e.right for e in examples])
    width = rows.shape[-1]
    inner = torch.nn.Parameter(torch.randn(width, HIDDEN) / width**0.5)
    bias = torch.nn.Parameter(torch.zeros(HIDDEN))
    outer = torch.nn.Parameter(torch.randn(HIDDEN) / HIDDEN**0.5)
    optimiser = torch.optim.AdamW([inner, bias, outer], lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimiser.zero_grad()
        scores = torch.tanh(inputs @ inner + bias) @ outer
        loss = torch.nn.functional.cross_entropy(scores, right)
        torch.autograd.backward(loss)
        optimiser.step()
    return Network(mean, spread, *(p.detach().numpy().copy() for p in (inner, bias, outer)))


def _unit(vector: NDArray[np.float32]) -> Vectors:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


async def read_dialogues(
    folder: Path, situations: Mapping[str, Sequence[str]], embedder: Embedder
) -> tuple[Actions, list[Dialogue]]:
    """Every sub-flow that has situations, as a dialogue: each situation by itself, then all of them together."""
    described = {c.name: c.description for c in capabilities(folder)}
    names = tuple(described)
    actions = Actions(names, await embedder.embed(list(described.values())))
    place = {name: i for i, name in enumerate(names)}
    found: list[Dialogue] = []
    for subflow in read_subflows(folder):
        said = list(situations.get(subflow.key, ()))
        if said:
            found.append(await _dialogue(subflow, said, place, embedder))
    return actions, found


async def _dialogue(
    subflow: Subflow, said: Sequence[str], place: Mapping[str, int], embedder: Embedder
) -> Dialogue:
    form = workflow_form(subflow)
    steps = [t["title"] for t in form["plan"]["tasks"]]
    vectors = await embedder.embed([*said, " ".join(said), form["title"], *steps])
    count = len(said) + 1
    sequence = tuple(place[capability_name(a)] for a, _ in subflow.actions)
    return Dialogue(subflow.key, vectors[:count], vectors[count], vectors[count + 1 :], sequence)


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that has abcd")
    parser.add_argument(
        "--situations", type=Path, required=True, help="YAML: sub-flow to situations"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    situations = yaml.safe_load(given.situations.read_text("utf-8"))
    # the encoder is an expert, and the router imports none of them: only this command does, at its border
    encoder = importlib.import_module("pointsman.experts.models.encoder").Encoder(threads=1)
    try:
        actions, dialogues = await read_dialogues(
            given.data / "abcd", situations, cast(Embedder, encoder)
        )
    finally:
        encoder.close()
    save_networks(train(dialogues, actions, seed=0), given.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    asyncio.run(_main())
