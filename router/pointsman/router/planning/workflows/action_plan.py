"""Expected action plans: which actions a workflow takes, in which order, with alternatives and optional steps.

An action plan is a regular expression over actions with interleaving; an action is the name of a capability.
What may come next is found by derivatives (Brzozowski 1964, "Derivatives of Regular Expressions", rules of
section 3; partial derivatives as sets of expressions: Antimirov 1996), so there is no table to build and a
history is checked in one pass:

    plan = parse_actions(["shop.find", {"any_of": ["shop.refund", "shop.exchange"]}, {"optional": "mail.send"}])
    plan.allowed(["shop.find"])                    # {"shop.refund", "shop.exchange"}
    plan.check(["shop.find"], "shop.delete")       # Verdict("ask", "'shop.delete' is no action of ...")

In YAML: a list of steps in order, or a mapping {steps: [...], outside: ask | refuse, free: [patterns]}. A step is
an action's name, or one of {any_of: [...]}, {in_any_order: [...]}, {in_order: [...]}, {optional: step},
{repeat: step} (once or more).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal, TypeAlias

from pointsman.router.errors import BadActionPlan
from pointsman.router.plan import Plan, order

Outside = Literal["ask", "refuse"]
FORMS = ("any_of", "in_any_order", "in_order", "optional", "repeat")
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Do:
    """One action."""

    action: str


@dataclass(frozen=True, slots=True)
class Either:
    """Exactly one of the options."""

    options: "tuple[Step, ...]"


@dataclass(frozen=True, slots=True)
class Maybe:
    """May be left out."""

    step: "Step"


@dataclass(frozen=True, slots=True)
class Again:
    """Once or more."""

    step: "Step"


@dataclass(frozen=True, slots=True)
class Steps:
    """All of the parts; (i, j) in `before`: part i is over when part j begins. Transitively closed."""

    parts: "tuple[Step, ...]"
    before: frozenset[tuple[int, int]] = frozenset()


Step: TypeAlias = Do | Either | Maybe | Again | Steps
DONE = Steps(())


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an action may be taken now; why not, and which may be instead."""

    kind: Literal["allowed", "ask", "refused"]
    why: str = ""
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """step: what is expected. outside: what happens with any other action: a person is asked, or it is refused.

    free: patterns ("text.*") of actions that may be taken at any time, and are no step.
    """

    step: Step
    outside: Outside = "ask"
    free: tuple[str, ...] = ()

    def allowed(self, history: Iterable[str]) -> frozenset[str]:
        """The actions that may come next, without those that are always free."""
        return frozenset(a for state in self.reached(history) for a in _first(state))

    def check(self, history: Iterable[str], action: str) -> Verdict:
        """Actions of the history that did not belong to the plan (a person let them pass) change nothing."""
        taken = tuple(history)
        allowed = self.allowed(taken)
        if action in allowed or self.is_free(action):
            return Verdict("allowed")
        kind: Literal["ask", "refused"] = "ask" if self.outside == "ask" else "refused"
        return Verdict(kind, self._why(taken, action, allowed), tuple(sorted(allowed)))

    def is_free(self, action: str) -> bool:
        return any(fnmatchcase(action, pattern) for pattern in self.free)

    def is_complete(self, history: Iterable[str]) -> bool:
        """Whether nothing more has to be done."""
        return any(may_end(state) for state in self.reached(history))

    def missing(self, history: Iterable[str]) -> tuple[str, ...]:
        """Actions that still have to be taken, on the shortest way to the end; of alternatives the first."""
        return min((_needed(state) for state in self.reached(history)), key=len)

    def actions(self) -> frozenset[str]:
        """Every action that the plan knows."""
        return frozenset(_names(self.step))

    def reached(self, history: Iterable[str]) -> frozenset[Step]:
        """What may remain after a history."""
        states: frozenset[Step] = frozenset([self.step])
        for action in history:
            states = after(states, action) or states
        return states

    def _why(self, history: Sequence[str], action: str, allowed: frozenset[str]) -> str:
        due = " or ".join(repr(a) for a in sorted(allowed)) or "nothing"
        if action not in self.actions():
            return f"{action!r} is no action of the plan; expected now: {due}"
        when = "again" if action in history else "now"
        return f"{action!r} is not to be done {when}; expected: {due}"


def after(states: frozenset[Step], action: str) -> frozenset[Step]:
    """What may remain of any of the states once an action was taken; empty when none allows it."""
    return frozenset(rest for state in states for rest in _rest(state, action))


@lru_cache(maxsize=4096)
def may_end(step: Step) -> bool:
    match step:
        case Do():
            return False
        case Either(options):
            return any(may_end(o) for o in options)
        case Maybe():
            return True
        case Again(inner):
            return may_end(inner)
        case Steps(parts):
            return all(may_end(p) for p in parts)


@lru_cache(maxsize=4096)
def _first(step: Step) -> frozenset[str]:
    match step:
        case Do(action):
            return frozenset([action])
        case Either(options):
            return frozenset(a for o in options for a in _first(o))
        case Maybe(inner) | Again(inner):
            return _first(inner)
        case Steps(parts):
            return frozenset(a for i in _open(step) for a in _first(parts[i]))


@lru_cache(maxsize=4096)
def _rest(step: Step, action: str) -> frozenset[Step]:
    match step:
        case Do(name):
            return frozenset([DONE]) if name == action else frozenset()
        case Either(options):
            return frozenset(r for o in options for r in _rest(o, action))
        case Maybe(inner):
            return _rest(inner, action)
        case Again(inner):
            more = Maybe(step)
            return frozenset(in_order(rest, more) for rest in _rest(inner, action))
        case Steps():
            return _rest_of_steps(step, action)


def _rest_of_steps(step: Steps, action: str) -> frozenset[Step]:
    found: set[Step] = set()
    for i in _open(step):
        over = {a for a, b in step.before if b == i}
        for rest in _rest(step.parts[i], action):
            parts = [(n, rest if n == i else p) for n, p in enumerate(step.parts) if n not in over]
            found.add(_without_done(parts, step.before))
    return frozenset(found)


def _open(step: Steps) -> list[int]:
    """Parts that may begin or go on: all before them may be over."""
    waiting = {b for a, b in step.before if not may_end(step.parts[a])}
    return [i for i in range(len(step.parts)) if i not in waiting]


def _without_done(parts: Sequence[tuple[int, Step]], before: frozenset[tuple[int, int]]) -> Step:
    left = [(n, p) for n, p in parts if p != DONE]
    if len(left) == 1:
        return left[0][1]
    place = {n: i for i, (n, _) in enumerate(left)}
    kept = ((place[a], place[b]) for a, b in before if a in place and b in place)
    return Steps(tuple(p for _, p in left), frozenset(kept))


def _needed(step: Step) -> tuple[str, ...]:
    """The shortest way to the end of a step."""
    match step:
        case Do(action):
            return (action,)
        case Either(options):
            return min((_needed(o) for o in options), key=len)
        case Maybe():
            return ()
        case Again(inner):
            return _needed(inner)
        case Steps(parts):
            return tuple(a for p in parts for a in _needed(p))


def _names(step: Step) -> Iterable[str]:
    match step:
        case Do(action):
            yield action
        case Either(inner) | Steps(inner):
            for one in inner:
                yield from _names(one)
        case Maybe(one) | Again(one):
            yield from _names(one)


def once_each(step: Step) -> bool:
    """Whether every action stands in one place only and none is repeated: then its order is a partial order."""
    names = tuple(_names(step))
    return len(names) == len(set(names)) and not _repeats(step)


def _repeats(step: Step) -> bool:
    match step:
        case Do():
            return False
        case Either(inner) | Steps(inner):
            return any(_repeats(one) for one in inner)
        case Maybe(one):
            return _repeats(one)
        case Again():
            return True


def in_order(*parts: Step) -> Step:
    """The parts one after the other."""
    count = len(parts)
    pairs = frozenset((i, j) for i in range(count) for j in range(i + 1, count))
    return _without_done(list(enumerate(parts)), pairs)


def of_plan(plan: Plan) -> ActionPlan:
    """What a plan itself expects: its tasks after their inputs, those with `when` optional, loops repeated.

    Raises CyclicPlan.
    """
    place = {t.id: i for i, t in enumerate(plan.tasks)}
    above: dict[str, set[int]] = {}
    for id in order(plan):
        inputs = [i for i in plan.task(id).inputs() if i in place]
        above[id] = {place[i] for i in inputs}.union(*(above[i] for i in inputs))
    parts: list[Step] = []
    for task in plan.tasks:
        step: Step = Do(task.capability)
        step = Again(step) if task.for_each is not None else step
        parts.append(Maybe(step) if task.when is not None else step)
    before = frozenset((i, place[t.id]) for t in plan.tasks for i in above[t.id])
    return ActionPlan(_without_done(list(enumerate(parts)), before))


def parse_actions(form: object) -> ActionPlan:
    """An action plan from its YAML form. Raises BadActionPlan, which names the place in it."""
    if isinstance(form, Mapping):
        unknown = set(form) - {"steps", "outside", "free"}
        if unknown or "steps" not in form:
            told = f"unknown: {', '.join(sorted(map(str, unknown)))}" if unknown else "no 'steps'"
            raise BadActionPlan("", f"{told}; it has steps, outside and free")
        return ActionPlan(_sequence(form["steps"], "steps"), _outside(form), _free(form))
    return ActionPlan(_sequence(form, ""))


def _outside(form: Mapping[object, object]) -> Outside:
    match form.get("outside", "ask"):
        case "ask":
            return "ask"
        case "refuse":
            return "refuse"
        case other:
            raise BadActionPlan("outside", f"{other!r} must be 'ask' or 'refuse'")


def _free(form: Mapping[object, object]) -> tuple[str, ...]:
    value = form.get("free", [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadActionPlan("free", "it must be a list of names or patterns, as [text.*]")
    return tuple(str(v) for v in value)


def _sequence(form: object, where: str) -> Step:
    return in_order(*_list(form, where, 0))


def _list(form: object, where: str, depth: int) -> list[Step]:
    if not isinstance(form, list) or not form:
        raise BadActionPlan(where, "it must be a list of steps with at least one")
    return [_step(v, f"{where}/{i}".lstrip("/"), depth + 1) for i, v in enumerate(form)]


def _step(form: object, where: str, depth: int) -> Step:
    if depth > DEEPEST:
        raise BadActionPlan(where, f"steps are nested more than {DEEPEST} deep; flatten them")
    if isinstance(form, str) and form.strip():
        return Do(form.strip())
    if not isinstance(form, Mapping) or len(form) != 1:
        raise BadActionPlan(
            where, f"{form!r} must be an action's name or one of {', '.join(FORMS)}"
        )
    ((word, inner),) = form.items()
    inside = f"{where}/{word}"
    match word:
        case "any_of":
            return Either(tuple(_list(inner, inside, depth)))
        case "in_any_order":
            return _without_done(list(enumerate(_list(inner, inside, depth))), frozenset())
        case "in_order":
            return in_order(*_list(inner, inside, depth))
        case "optional":
            return Maybe(_step(inner, inside, depth + 1))
        case "repeat":
            return Again(_step(inner, inside, depth + 1))
        case _:
            raise BadActionPlan(where, f"{word!r} is none of {', '.join(FORMS)}")


def to_form(actions: ActionPlan) -> dict[str, object]:
    """The YAML form. Raises BadActionPlan for a partial order that no nesting of steps can say."""
    form: dict[str, object] = {"steps": _listed(actions.step), "outside": actions.outside}
    return {**form, "free": list(actions.free)} if actions.free else form


def _listed(step: Step) -> list[object]:
    if isinstance(step, Steps) and _is_chain(step):
        return [_form(p) for p in step.parts]
    return [_form(step)]


def _form(step: Step) -> object:
    match step:
        case Do(action):
            return action
        case Either(options):
            return {"any_of": [_form(o) for o in options]}
        case Maybe(inner):
            return {"optional": _form(inner)}
        case Again(inner):
            return {"repeat": _form(inner)}
        case Steps(parts) if not step.before:
            return {"in_any_order": [_form(p) for p in parts]}
        case Steps(parts) if _is_chain(step):
            return {"in_order": [_form(p) for p in parts]}
        case Steps():
            raise BadActionPlan("", "this partial order has no written form")


def _is_chain(step: Steps) -> bool:
    count = len(step.parts)
    return len(step.before) == count * (count - 1) // 2 and all(a < b for a, b in step.before)
