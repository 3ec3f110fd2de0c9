"""A planner for any catalog: chooses, links and fills by learned heads, without a language model.

planner = LearnedPlanner(encoder, memory=read_past(Path("plans.jsonl")))
proposal = await planner.plan(request, catalog)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import EmptyRequest, PlanError, RequestTooLong
from pointsman.router.plan import Plan, Ref, Task, TaskId, sinks, validate, widen
from pointsman.router.planning.arguments.filling import fill
from pointsman.router.planning.base import Considered, Embedder, Proposal, Refusal, Request
from pointsman.router.planning.cues import built_in
from pointsman.router.planning.learned.chooser import SHIPPED, Choice, SetChooser, Weights
from pointsman.router.planning.learned.heads import LinkHeads, load
from pointsman.router.planning.learned.linking import Link, links
from pointsman.router.planning.learned.past import PastPlan

LONGEST = 20_000
"""Characters of a request."""
TEXTUAL = frozenset({"text"})


@dataclass(frozen=True, slots=True)
class _Question:
    """A required parameter that the request does not say."""

    capability: Capability
    parameter: str

    def __str__(self) -> str:
        told = str(self.capability.properties[self.parameter].get("description", "")).strip(" .")
        named = self.parameter.replace("_", " ")
        doing = self.capability.title or self.capability.name.replace(".", " ").replace("_", " ")
        return f"For {doing!r}: what is the {named}{f' ({told})' if told else ''}?"


class LearnedPlanner:
    """Plans over any catalog. memory: past plans of this catalog; more of them make it better.

    The confidence is the probability of exactly this set of capabilities. strict: what is unlike the past
    requests is left to others, and what needs our own capabilities, which are read by more than descriptions.

    Raises RequestError for requests that cannot be read; all else is a plan or a refusal.
    """

    name = "learned"

    def __init__(
        self,
        embedder: Embedder,
        *,
        weights: Weights | None = None,
        memory: Sequence[PastPlan] = (),
        strict: bool = False,
    ) -> None:
        held = load(SHIPPED) if weights is None else weights
        self._embedder = embedder
        self._chooser = SetChooser(embedder, weights=held)
        self._heads = LinkHeads.of(held)
        self._earliness: NDArray[np.float32] = held["earliness"]
        self.memory = tuple(memory)
        self._strict = strict

    async def warm(self, catalog: Catalog) -> None:
        """Embeds the catalog and the memory, so that the first request does not wait for it."""
        await self._chooser.weigh("count the rows", catalog, memory=self.memory)

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        text = request.text.strip()
        if not any(c.isalnum() for c in text):
            raise EmptyRequest
        if len(text) > LONGEST:
            raise RequestTooLong(len(text), LONGEST)
        choice, found = await self.outline(text, catalog)
        considered = tuple(
            Considered(c.capability.name, c.probability, dict(c.features))
            for c in (*choice.chosen, *choice.others)
        )
        if not choice.chosen:
            return Proposal(Refusal("there is nothing in the catalog"), 0.0, considered)
        why = await self._left_to_others(choice, catalog) if self._strict else None
        if why is not None:
            return Proposal(Refusal(why), 0.0, considered)
        outcome = await self._filled(request, choice, found)
        if isinstance(outcome, Plan):
            try:
                validate(outcome, catalog)
            except PlanError as error:
                outcome = Refusal(f"I could not put together how to do this ({error})")
        return Proposal(outcome, choice.sure, considered)

    async def _left_to_others(self, choice: Choice, catalog: Catalog) -> str | None:
        """Why a strict planner makes no plan, if it makes none."""
        reader = await self._chooser.reader(catalog, self.memory)
        alike = choice.votes.alike if choice.votes is not None else 0.0
        if not self.memory or alike < reader.memory.usual:
            return "it is unlike the requests that I was shown plans for"
        own = next((c.capability for c in choice.chosen if built_in(c.capability.name)), None)
        return f"the embedded planner knows more of {own.name}" if own is not None else None

    async def outline(self, text: str, catalog: Catalog) -> tuple[Choice, list[Link]]:
        """What is needed and what hands on to what, before arguments are filled."""
        choice = await self._chooser.weigh(text, catalog, memory=self.memory)
        if choice.votes is None or len(choice.chosen) < 2:
            return choice, []
        reader = await self._chooser.reader(catalog, self.memory)
        chosen = [c.capability for c in choice.chosen]
        return choice, links(text, chosen, reader, choice.votes, self._heads, self._earliness)

    async def _filled(
        self, request: Request, choice: Choice, found: Sequence[Link]
    ) -> Plan | Refusal:
        """Tasks in the order of their links; what a source gives is not asked of the text."""
        ordered = in_order([c.capability for c in choice.chosen], found)
        ids = task_ids(ordered)
        tasks: list[Task] = []
        asked: list[_Question] = []
        for capability in ordered:
            sources = [
                next(c for c in ordered if c.name == k.source)
                for k in found
                if k.target == capability.name
            ]
            filled = await fill(
                request.text, capability, {}, now=request.now, embedder=self._embedder
            )
            arguments = dict(filled.arguments)
            read = as_before(self.memory, sources, capability, arguments)
            given = handed_on(sources, capability, {**arguments, **read})
            read |= {p: (s.name, ()) for p, s in given.items()}
            arguments |= {p: Ref(ids[name], path) for p, (name, path) in read.items()}
            handing = {name for name, _ in read.values()}
            after = tuple(ids[s.name] for s in sources if s.name not in handing)
            missing = [n for n in filled.missing if n not in read]
            asked += [_Question(capability, name) for name in missing]
            tasks.append(_task(ids[capability.name], capability, arguments, after))
        if asked:
            named = ", ".join(q.parameter.replace("_", " ") for q in asked)
            return Refusal(
                f"the request does not say: {named}",
                tuple(c.title or c.name for c in ordered),
                str(asked[0]),
            )
        return Plan(tuple(tasks), sinks(tasks), "embedded", round(choice.sure, 3))


def _task(
    id: TaskId, capability: Capability, arguments: Mapping[str, Any], after: tuple[TaskId, ...]
) -> Task:
    return Task(id, capability.name, arguments, after, title=capability.title or capability.name)


def as_before(
    past: Sequence[PastPlan],
    sources: Sequence[Capability],
    target: Capability,
    said: Mapping[str, Any],
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What past plans had the target read of the sources: parameter to (source, path), the most frequent.

    A parameter that the request says keeps what it says.
    """
    names = {s.name for s in sources}
    seen: dict[str, Counter[tuple[str, tuple[str, ...]]]] = {}
    for plan in past if names else ():
        for source, reader, parameter, path in plan.hands:
            if reader == target.name and source in names and parameter not in said:
                seen.setdefault(parameter, Counter())[source, path] += 1
    known = {p: counts.most_common(1)[0][0] for p, counts in seen.items()}
    return {p: found for p, found in known.items() if p in target.properties}


def handed_on(
    sources: Sequence[Capability], target: Capability, said: Mapping[str, Any]
) -> dict[str, Capability]:
    """Which parameter takes which source's whole result, where the kinds are known and fit.

    A parameter that the request says keeps what it says. Text goes only into what is required: a plain
    text parameter takes any text, so that an optional one proves nothing.
    """
    given: dict[str, Capability] = {}
    parameters = sorted(target.properties, key=lambda n: n not in target.required)
    for source in sources:
        for name in parameters:
            takes = target.takes(name)
            weak = name not in target.required and (source.gives & takes) <= TEXTUAL
            if name in given or name in said or weak or "any" in source.gives | takes:
                continue
            if source.gives & widen(takes):
                given[name] = source
                break
    return given


def in_order(chosen: Sequence[Capability], found: Sequence[Link]) -> list[Capability]:
    """Every capability after those that are linked to it, else as given."""
    waiting = {c.name: {k.source for k in found if k.target == c.name} for c in chosen}
    by_name = {c.name: c for c in chosen}
    ordered: list[Capability] = []
    while waiting:
        name = next(n for n, sources in waiting.items() if not sources & waiting.keys())
        del waiting[name]
        ordered.append(by_name[name])
    return ordered


def task_ids(capabilities: Sequence[Capability]) -> dict[str, TaskId]:
    """Short ids: the last word of the name, numbered where two share it."""
    made: dict[str, TaskId] = {}
    for capability in capabilities:
        word = capability.name.rpartition(".")[2].replace("_", "-")[:56]
        taken, id, count = set(made.values()), TaskId(word), 1
        while id in taken:
            count += 1
            id = TaskId(f"{word}-{count}")
        made[capability.name] = id
    return made
