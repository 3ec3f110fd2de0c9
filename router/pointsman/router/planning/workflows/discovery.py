"""An expected action plan from sequences of actions that were taken: the Inductive Miner.

Leemans, Fahland, van der Aalst 2013, "Discovering Block-Structured Process Models from Event Logs: A Constructive
Approach": the log's directly-follows graph is cut into alternatives, parts in order, parts in any order, or a
loop, and each part is discovered for itself. What no cut explains is any of its actions, any number of times. All
sequences of the log are allowed by what is found.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from pointsman.router.planning.workflows.action_plan import (
    DONE,
    Again,
    Do,
    Either,
    Maybe,
    Step,
    Steps,
    in_order,
)

Trace: TypeAlias = tuple[str, ...]
Groups: TypeAlias = list[frozenset[str]]


def discover(log: Sequence[Trace]) -> Step:
    """What every sequence of the log follows. An empty log, or one of empty sequences, is an empty step."""
    traces = [t for t in log if t]
    if not traces:
        return DONE
    step = _whole(traces)
    return step if len(traces) == len(log) else Maybe(step)


def _whole(log: Sequence[Trace]) -> Step:
    """Of sequences that are not empty."""
    actions = sorted({a for t in log for a in t})
    if len(actions) == 1:
        action = Do(actions[0])
        return action if all(len(t) == 1 for t in log) else Again(action)
    for cut in (_alternatives, _in_order, _in_any_order, _loop):
        step = cut(log, actions)
        if step is not None:
            return step
    return Again(Either(tuple(Do(a) for a in actions)))


def _alternatives(log: Sequence[Trace], actions: Sequence[str]) -> Step | None:
    """Groups of actions that never occur together."""
    linked = {(a, b) for t in log for a in t for b in t}
    groups = _joined(actions, lambda a, b: (a, b) in linked)
    if len(groups) < 2:
        return None
    return Either(tuple(discover([t for t in log if t[0] in g]) for g in groups))


def _in_order(log: Sequence[Trace], actions: Sequence[str]) -> Step | None:
    """Groups such that nothing of a later one comes before anything of an earlier one."""
    before = {(a, b) for t in log for i, a in enumerate(t) for b in t[i + 1 :]}
    groups = _joined(
        actions, lambda a, b: ((a, b) in before) == ((b, a) in before)
    )  # both ways, or neither: their order says nothing
    if len(groups) < 2:
        return None
    ordered = sorted(groups, key=lambda g: len({a for a, b in before if b in g and a not in g}))
    for i, one in enumerate(ordered):
        if any((b, a) in before for later in ordered[i + 1 :] for a in one for b in later):
            return None
    return in_order(*(discover([_only(t, g) for t in log]) for g in ordered))


def _in_any_order(log: Sequence[Trace], actions: Sequence[str]) -> Step | None:
    """Groups whose actions follow each other both ways round, and each of which begins and ends some sequence."""
    follows = {pair for t in log for pair in pairwise(t)}
    groups = _joined(actions, lambda a, b: not ((a, b) in follows and (b, a) in follows))
    first, last = {t[0] for t in log}, {t[-1] for t in log}
    if len(groups) < 2 or not all(g & first and g & last for g in groups):
        return None
    return Steps(tuple(discover([_only(t, g) for t in log]) for g in groups))


def _loop(log: Sequence[Trace], actions: Sequence[str]) -> Step | None:
    """A part that is done again whenever one of its first actions follows one of its last ones."""
    first, last = {t[0] for t in log}, {t[-1] for t in log}
    rounds = [r for t in log for r in _rounds(t, first, last)]
    if len(rounds) == len(log):
        return None
    return Again(discover(rounds))


def _rounds(trace: Trace, first: set[str], last: set[str]) -> Iterable[Trace]:
    begun = 0
    for i in range(1, len(trace)):
        if trace[i - 1] in last and trace[i] in first:
            yield trace[begun:i]
            begun = i
    yield trace[begun:]


def _only(trace: Trace, group: frozenset[str]) -> Trace:
    return tuple(a for a in trace if a in group)


def _joined(actions: Sequence[str], linked: Callable[[str, str], bool]) -> Groups:
    """Connected components, in the order of their first action."""
    groups: list[set[str]] = []
    for action in actions:
        near = [g for g in groups if any(linked(action, b) for b in g)]
        groups = [g for g in groups if g not in near]
        groups.append({action}.union(*near))
    return [frozenset(g) for g in sorted(groups, key=min)]
