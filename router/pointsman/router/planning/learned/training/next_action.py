"""Trains the next-action chooser on simulated dialogues:

python -m pointsman.router.planning.learned.training.next_action --data DIR --situations FILE

A dialogue is a sub-flow of ABCD: a situation in words, and the actions of its plan in order. Every moment of it is
an example, with the right action to be chosen among all: without a proposal, with the right one, and with wrong
ones in the share in which the proposer errs; in a part of them a wrong action was done before. What followed in
past dialogues is looked up in the other sub-flows only, and in a part of the examples nowhere. With the plan in
the context each dialogue is also told with its steps in another order, so that the plan is read and not guessed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.learned.training.encoding import one_thread
from pointsman.router.planning.learned.training.situations import given
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

DIM = 384
HIDDEN = 16
STEPS = 500
BATCH = 512
RATE = 0.02
DECAY = 1e-3
ERRS = 0.2
"""Share of a proposer's steps that are wrong."""
STRAYED = 0.1
"""Share of examples in whose history a wrong action was done."""
FORGOTTEN = 0.3
"""Share of examples without any past dialogue."""
VARIANTS = 4
"""Examples of each moment: half of them with a proposal."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """situations: [n, dim], ways to say it. name: [dim] of the workflow. sequence: its actions.

    plan: [steps, dim], each the mean of the action's name in words and the guideline's text of the step.
    """

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
    if not dialogues:
        nothing = np.zeros((0, DIM), np.float32)
        return Past((), nothing, nothing)
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
    nothing = Chooser(actions, past_of([]), {})
    for number, dialogue in enumerate(dialogues):
        others = [d for i, d in enumerate(dialogues) if i != number]
        chooser = Chooser(actions, past_of(others), {})
        for told in (dialogue, _shuffled(dialogue, random)) if context == "plan" else (dialogue,):
            for moment, right in _moments(told, actions.end, random):
                looks = nothing if random.random() < FORGOTTEN else chooser
                yield Example(looks.features(moment, context), right)


def _moments(
    dialogue: Dialogue, end: int, random: np.random.Generator
) -> Iterator[tuple[Moment, int]]:
    """Every moment of a dialogue with its right action, several times: half of them with a proposal."""
    for situation in dialogue.situations:
        for place, right in enumerate((*dialogue.sequence, end)):
            for variant in range(VARIANTS):
                history = _strayed(dialogue.sequence[:place], end, random)
                offered = offer(right, end, random) if variant % 2 else None
                yield Moment(situation, history, offered, dialogue.name, dialogue.plan), right


def _shuffled(dialogue: Dialogue, random: np.random.Generator) -> Dialogue:
    """With the steps of the plan in another order: the plan in the context counts, and not what is usual."""
    turned = random.permutation(len(dialogue.sequence))
    sequence = tuple(dialogue.sequence[i] for i in turned)
    return replace(dialogue, sequence=sequence, plan=dialogue.plan[turned])


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
        batch = torch.randint(len(right), (BATCH,))
        optimiser.zero_grad()
        scores = torch.tanh(inputs[batch] @ inner + bias) @ outer
        loss = torch.nn.functional.cross_entropy(scores, right[batch])
        torch.autograd.backward(loss)
        optimiser.step()
    return Network(mean, spread, *(p.detach().numpy().copy() for p in (inner, bias, outer)))


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    """[dim] or [n, dim], to unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


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
    texts = [t["title"] for t in form["plan"]["tasks"]]
    words = [a.replace("-", " ") for a, _ in subflow.actions]
    vectors = await embedder.embed([*said, " ".join(said), form["title"], *texts, *words])
    ends = np.cumsum([len(said) + 1, 1, len(texts)])
    situations, name, told, named = np.split(vectors, ends)
    sequence = tuple(place[capability_name(a)] for a, _ in subflow.actions)
    return Dialogue(subflow.key, situations, name[0], _unit(told + named), sequence)


async def _main() -> None:
    told = given(__doc__, WEIGHTS)
    with one_thread() as encoder:
        actions, dialogues = await read_dialogues(told.abcd, told.situations, encoder)
    save_networks(train(dialogues, actions, seed=0), told.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    asyncio.run(_main())
