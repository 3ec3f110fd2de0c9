"""ABCD: do plans in the context carry over to unseen workflows, and what does enforcement add?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from benchmarks.planning.abcd_dialogues import (
    REPEATS,
    Decide,
    Tally,
    by_chooser,
    by_followers,
    by_proposer,
    carry_out,
    followers,
    next_accuracy,
    plan_of,
)
from benchmarks.planning.abcd_retrieval import LINES, first_of, spread
from pointsman.router.planning.learned.training.next_action import Dialogue, past_of, train
from pointsman.router.planning.learned.training.workflow_ranking import Row, fit
from pointsman.router.planning.workflows.next_action import CONTEXTS, Actions, Chooser

Kind = Literal["alone", "enforced", "retrieved"]
KINDS: tuple[Kind, ...] = ("alone", "enforced", "retrieved")
Way: TypeAlias = Callable[[Dialogue, np.ndarray], Decide]
"""How decisions are made for a workflow in the context and a situation."""
PROPOSER = "proposer"


@dataclass(frozen=True, slots=True)
class Trial:
    """Held-out dialogues, the workflow that retrieval found for each, and the actions of all."""

    actions: Actions
    asked: tuple[Dialogue, ...]
    found: tuple[Dialogue, ...]
    seed: int


def following(
    rows: Sequence[Row],
    actions: Actions,
    dialogues: Sequence[Dialogue],
    splits: Sequence[tuple[list[int], list[int]]],
    seeds: Sequence[int],
) -> dict[str, object]:
    """Prints the table; returns its figures, means over the seeds."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed, (training, held) in zip(seeds, splits, strict=True):
        known = [dialogues[i] for i in training]
        weights = fit([r for r in rows if r.right in training])
        first = {r.right: first_of(r, weights) for r in rows if r.lines == max(LINES)}
        trial = Trial(
            actions,
            tuple(dialogues[i] for i in held),
            tuple(dialogues[first[i]] for i in held),
            seed,
        )
        chooser = Chooser(actions, past_of(known), train(known, actions, seed=seed))
        for name, way in _ways(chooser, known, actions).items():
            found.setdefault(name, []).append(_figures(trial, name, way))
    return _table(found)


def _ways(chooser: Chooser, known: Sequence[Dialogue], actions: Actions) -> dict[str, Way]:
    likely = by_followers(followers(known, actions.end), actions.end)
    choosers: dict[str, Way] = {
        f"chooser, {context}": partial(by_chooser, chooser, context) for context in CONTEXTS
    }
    return {
        PROPOSER: lambda dialogue, situation: by_proposer,
        "most frequent follower": lambda dialogue, situation: likely,
        **choosers,
    }


def _figures(trial: Trial, name: str, way: Way) -> dict[str, float]:
    quiet = name != PROPOSER  # the proposer says nothing by itself
    found = {"next": next_accuracy(trial.asked, trial.actions, way) if quiet else np.nan}
    for kind in KINDS:
        tally = _tally(trial, way, kind)
        found |= {
            f"{kind} exact": tally.exact / tally.dialogues,
            f"{kind} invalid": tally.invalid / max(1, tally.carried_out),
            f"{kind} refused": tally.refused / tally.dialogues,
            f"{kind} stopped": tally.stopped / tally.dialogues,
        }
    return found


def _tally(trial: Trial, way: Way, kind: Kind) -> Tally:
    """Every way of saying a situation, several times, with errors that are the same for all ways of deciding."""
    random = np.random.default_rng(trial.seed)
    tally = Tally()
    for dialogue, found in zip(trial.asked, trial.found, strict=True):
        context = found if kind == "retrieved" else dialogue
        held = None if kind == "alone" else plan_of(trial.actions, context.sequence)
        for situation in dialogue.situations:
            decide = way(context, situation)
            for _ in range(REPEATS):
                carry_out(dialogue, trial.actions, decide, random, tally, enforced=held)
    return tally


def _table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, object]:
    columns = {
        "next": "next action",
        "alone exact": "exact, alone",
        "alone invalid": "invalid, alone",
        "enforced exact": "exact, enforced",
        "enforced invalid": "invalid, enf.",
        "enforced refused": "refused, enf.",
        "retrieved exact": "exact, retrieved",
    }
    print(
        f"   {'a proposer errs in 20 % of its steps':37}"
        + "".join(f"{c:17}" for c in columns.values())
    )
    figures: dict[str, object] = {}
    for name, seeds in found.items():
        cells = "".join(f"{spread([s[c] for s in seeds]):17}" for c in columns)
        print(f"   {name:37}{cells}")
        figures[name] = {key: _mean([s[key] for s in seeds]) for key in seeds[0]}
    return figures


def _mean(values: Sequence[float]) -> float | None:
    """None where there is no figure: JSON has no NaN."""
    return None if np.isnan(values).any() else float(np.mean(values))
