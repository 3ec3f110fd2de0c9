"""Chooses the next action of a dialogue: from its situation, what was done, what is proposed, and what is in context.

Three contexts: the workflow's plan (the texts of its steps), its name only, or neither. Each action is scored by
features of the pair (context, action) alone, so that actions and workflows never seen in training can be chosen:
cosines of texts, what followed similar actions in past dialogues, where the action stands in the plan. A small
network with one hidden layer weighs them (numpy; weights from `learned.training.next_action`).

Whether plans in the context carry over to unseen workflows is the question of Chen et al. 2021 (ABCD, arXiv
2104.00783) and of those who gave models the guideline itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pointsman.router.planning.base import Vectors

Context = Literal["plan", "name", "neither"]
CONTEXTS: tuple[Context, ...] = ("plan", "name", "neither")
Features: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("next_action.safetensors")
PARTS = ("mean", "spread", "inner", "bias", "outer")
ALIKE = 0.1
"""Temperature of the likeness of two texts, exp((cosine - 1) / ALIKE)."""
MEANT = 0.04
"""Temperature at which a step's text is read as one of the actions."""
LONG = 5.0
"""Actions of a usual dialogue."""

COMMON = (
    "situation", "done", "twice_running", "like_last", "follower", "follower_here", "proposed",
    "any_proposed", "end", "end_late",
)  # fmt: skip
OF_NAME = ("name", "follower_by_name")
OF_PLAN = ("next_step", "later_step", "earlier_step", "end_of_plan", "proposed_next")
NAMES: Mapping[Context, tuple[str, ...]] = {
    "plan": (*COMMON, *OF_NAME, *OF_PLAN),
    "name": (*COMMON, *OF_NAME),
    "neither": COMMON,
}


@dataclass(frozen=True, slots=True)
class Actions:
    """names: of the actions; vectors: [n, dim] float32 of their descriptions. Number n stands for the end."""

    names: tuple[str, ...]
    vectors: Vectors

    @property
    def end(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Past:
    """Dialogues that went well: sequences of action numbers, with the vectors of situation and workflow name.

    situations, names: [n dialogues, dim] float32.
    """

    sequences: tuple[tuple[int, ...], ...]
    situations: Vectors
    names: Vectors


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a dialogue. history: numbers of the actions done. proposed: what somebody would do now.

    situation: [dim] float32. name: of the workflow, [dim]. plan: texts of its steps, [n steps, dim], in order.
    """

    situation: Vectors
    history: tuple[int, ...]
    proposed: int | None = None
    name: Vectors | None = None
    plan: Vectors | None = None


class Chooser:
    """Scores the actions of a fixed set, and the end."""

    def __init__(self, actions: Actions, past: Past, weights: Mapping[Context, "Network"]) -> None:
        self.actions = actions
        self.past = past
        self._weights = weights
        self._alike = _likeness(actions.vectors)
        self._steps = _transitions(past.sequences, actions.end)

    def choose(
        self, moment: Moment, context: Context, *, excluded: frozenset[int] = frozenset()
    ) -> int:
        """The number of the best action that is not excluded; `actions.end` for the end."""
        scores = self.scores(moment, context)
        scores[sorted(excluded)] = -np.inf
        return int(scores.argmax())

    def scores(self, moment: Moment, context: Context) -> Floats:
        """[n + 1] float32, the end last."""
        return self._weights[context].scores(self.features(moment, context))

    def features(self, moment: Moment, context: Context) -> Features:
        """[n + 1, features] float32, in the order of NAMES[context]; the end last."""
        columns = self._common(moment)
        if context != "neither":
            assert moment.name is not None, "the context has a name"
            cosines = self._cosines(moment.name)
            followers = self._followers(moment, _shares(self.past.names @ moment.name))
            columns += [cosines, followers]
        if context == "plan":
            columns += self._of_plan(moment)
        return np.stack(columns, axis=1).astype(np.float32)

    def _common(self, moment: Moment) -> list[Floats]:
        count = self.actions.end + 1
        done = np.zeros(count, np.float32)
        done[list(moment.history)] = 1.0
        last = np.zeros(count, np.float32)
        like = np.zeros(count, np.float32)
        if moment.history:
            last[moment.history[-1]] = 1.0
            like = self._cosines(self.actions.vectors[moment.history[-1]])
        proposed = np.zeros(count, np.float32)
        if moment.proposed is not None:
            proposed[moment.proposed] = 1.0
        end = np.zeros(count, np.float32)
        end[-1] = 1.0
        even = np.full(len(self.past.sequences), 1.0, np.float32)
        here = _shares(self.past.situations @ moment.situation)
        return [
            self._cosines(moment.situation),
            done,
            last,
            like,
            self._followers(moment, even),
            self._followers(moment, here),
            proposed,
            np.full(count, float(moment.proposed is not None), np.float32),
            end,
            end * len(moment.history) / LONG,
        ]

    def _of_plan(self, moment: Moment) -> list[Floats]:
        assert moment.plan is not None, "the context has a plan"
        meant = self.read_steps(moment.plan)
        place = reached(meant, moment.history)
        count = self.actions.end + 1
        nothing = np.zeros(count, np.float32)
        following = meant[place] if place < len(meant) else nothing
        later = meant[place + 1 :].max(axis=0, initial=0.0)
        earlier = meant[:place].max(axis=0, initial=0.0)
        over = np.zeros(count, np.float32)
        over[-1] = float(place >= len(meant))
        agreed = following.copy() if place < len(meant) else over.copy()
        mask = np.zeros(count, np.float32)
        if moment.proposed is not None:
            mask[moment.proposed] = 1.0
        return [following, later, earlier, over, agreed * mask]

    def read_steps(self, plan: Vectors) -> Floats:
        """Which action each step's text speaks of: [n steps, n + 1] float32, rows sum to 1, none for the end."""
        cosines = plan @ self.actions.vectors.T
        raised = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / MEANT)
        shares = raised / raised.sum(axis=1, keepdims=True)
        return np.asarray(np.pad(shares, ((0, 0), (0, 1))), np.float32)

    def _cosines(self, vector: Vectors) -> Floats:
        """Of every action, as the difference to their mean: how near texts are in general is no sign."""
        cosines = self.actions.vectors @ vector
        return np.append(cosines - cosines.mean(), 0.0).astype(np.float32)

    def _followers(self, moment: Moment, weights: Floats) -> Floats:
        """How often something like each action followed something like the last one; sums to at most 1."""
        before, following, dialogue = self._steps
        last = moment.history[-1] if moment.history else self.actions.end + 1
        mass = self._alike[last, before] * weights[dialogue]
        total = float(mass.sum())
        if total <= 0.0:
            return np.zeros(self.actions.end + 1, np.float32)
        found = self._alike[: self.actions.end + 1, following] @ (mass / total)
        return np.asarray(found, np.float32)


@dataclass(frozen=True, slots=True)
class Network:
    """scores = tanh(((x - mean) / spread) W1 + b1) w2: W1 [features, hidden], b1 [hidden], w2 [hidden], all float32."""

    mean: Floats
    spread: Floats
    inner: Floats
    bias: Floats
    outer: Floats

    def scores(self, features: Features) -> Floats:
        """[n, features] -> [n] float32."""
        hidden = np.tanh(((features - self.mean) / self.spread) @ self.inner + self.bias)
        return np.asarray(hidden @ self.outer, np.float32)


def reached(meant: Floats, history: Sequence[int]) -> int:
    """How many steps of a plan a history has passed. meant: [n steps, n + 1], as `Chooser.read_steps` gives it."""
    place = 0
    for action in history:
        for step in range(place, len(meant)):
            if int(meant[step].argmax()) == action:
                place = step + 1
                break
    return place


def _likeness(vectors: Vectors) -> Floats:
    """[n + 2, n + 2] float32 of the actions, the end and the beginning, which are like nothing else."""
    count = len(vectors)
    alike = np.eye(count + 2, dtype=np.float32)
    alike[:count, :count] = np.exp((vectors @ vectors.T - 1.0) / ALIKE)
    return alike


def _transitions(
    sequences: Sequence[Sequence[int]], end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Action before, action after, number of the dialogue, of every step of the past."""
    found = [
        (before, following, number)
        for number, sequence in enumerate(sequences)
        for before, following in zip((end + 1, *sequence), (*sequence, end), strict=True)
    ]
    array = np.array(found, np.int64).reshape(-1, 3)
    return array[:, 0], array[:, 1], array[:, 2]


def _shares(cosines: Floats) -> Floats:
    """Weights of past dialogues by how near they are; sum to 1."""
    if not len(cosines):
        return cosines
    raised = np.exp((cosines - cosines.max()) / ALIKE)
    return np.asarray(raised / raised.sum(), np.float32)


def load_networks(path: Path) -> dict[Context, Network]:
    """Weights that `save_networks` wrote. Raises OSError, SafetensorError."""
    held = load_file(path)
    return {c: Network(*(held[f"{c}.{part}"] for part in PARTS)) for c in CONTEXTS}


def save_networks(networks: Mapping[Context, Network], path: Path) -> None:
    """As safetensors."""
    held = {
        f"{context}.{part}": np.ascontiguousarray(getattr(network, part), np.float32)
        for context, network in networks.items()
        for part in PARTS
    }
    save_file(held, path)
    path.chmod(0o644)
