"""A run on a real Redis with a model and a witness beside it: acting, comparing, looking."""

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from benchmarks.protocol.model import NO, OK, Model, Rule, Told
from benchmarks.protocol.witness import Violation, Witness, hold, same_state
from pointsman.router.errors import PointsmanError
from pointsman.router.events import RunId, TaskDone, TaskStatus
from pointsman.router.usage import Budget, Usage
from pointsman.router.workspace import Before, Claim, Owner, RunSpec, Workspace, keys
from pointsman.router.workspace.acts import FOCUS
from pointsman.router.workspace.watching import UNSEEN

T = TypeVar("T")
MANY = FOCUS + 2
"""Children of a loop, or results that are kept: more than the focus holds."""
LIVE, LAPSED = 3600.0, -1.0
"""Seconds of a lease that stands, and of one that has ended already."""
APART = 1000
"""Milliseconds by which a run's keys may seem to expire apart, for they are read one after the other."""
OWNERS = st.sampled_from(["one", "two", "three"])
PICK = st.integers(0, 63)
SELDOM = st.integers(0, 63).map(lambda n: n % 8 == 5)
"""Lets an act through that would stop the others too often."""
SHAPES = st.lists(st.integers(0, 127), min_size=1, max_size=6)
"""A plan: for each task a mask of the ones before that it reads; bit 6 makes it a loop."""
CAPS = st.sampled_from([{}, {"calls": 4}, {"cost": 50}, {"calls": 6, "cost": 100}])


class Dying(Workspace):
    """Of somebody who dies once the script has run: nothing follows it."""

    async def _call_back(self, run: RunId | str) -> None:
        return None


@dataclass(slots=True)
class Bench:
    """Where machines work: a loop, a workspace, and what has come of it so far.

    tally: violations are counted and the machine goes on with another run, instead of failing.
    """

    runner: asyncio.Runner
    workspace: Workspace
    dying: "Dying"
    tally: bool = False
    steps: int = 0
    refused: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    violations: Counter[Rule] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def do(self, act: Awaitable[T]) -> T:
        async def done() -> T:
            return await act

        return self.runner.run(done())


class Stage(RuleBasedStateMachine):
    """One example: some runs, one after the other."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.workspace = bench.workspace
        self.failed = False

    def _begin(self, caps: Mapping[str, int]) -> None:
        self.model = Model(caps, FOCUS)
        self.witness = Witness()
        self.owners: list[Owner] = []
        self.claims: list[Claim] = []
        self.loops: set[str] = set()
        self.costs: dict[tuple[str, int], int] = {}
        self.values: dict[tuple[str, int], int] = {}
        self.numbers = 0
        spec = RunSpec("x", budget=Budget(**caps))
        self.run: RunId = self.bench.do(self.workspace.create_run(spec))
        self._watch([("run.created", "")], Rule.BUS)

    def teardown(self) -> None:
        if not self.failed:
            self._checked(self._read_again)
        self.bench.do(self._forget())

    def _read_again(self) -> None:
        whole = self.bench.do(self.workspace.history(self.run))
        self.witness.read_again(whole)

    async def _forget(self) -> None:
        redis: Any = self.workspace._redis
        await redis.delete(*keys.of_run(self.run))
        await redis.zrem(keys.ACTIVE, self.run)
        await redis.zrem(keys.RUNS, self.run)
        await self.workspace.admission.leave(self.run)

    # --- acting and looking ---------------------------------------------------------------------

    def _act(self, name: str, told: Told, act: Awaitable[T]) -> T | None:
        """Does it, and compares; what it returned when it was not refused."""
        return self._together(name, [told], [act])[0]

    def _together(
        self, name: str, told: Sequence[Told], acts: Sequence[Awaitable[T]]
    ) -> list[T | None]:
        """All at once: the answers are those of the acts one after the other, in some order."""
        found = self.bench.do(_gathered(acts))
        self.bench.steps += 1
        self.bench.acts[name] += 1
        words = [_word(f) for f in found]
        note(f"  {name}: {', '.join(words)}, posts {[p for t in told for p in t.posts]}")
        self.bench.refused += words[0] != OK
        if not self._checked(lambda: self._compare(name, told, words)):
            return [None] * len(found)
        return [None if isinstance(f, BaseException) else f for f in found]

    def _compare(self, name: str, told: Sequence[Told], words: Sequence[str]) -> None:
        wanted = sorted(t.word for t in told)
        rule = next((t.rule for t, w in zip(told, words, strict=True) if t.word != w), told[0].rule)
        hold(rule, wanted == sorted(words), f"{name}: answered {words}, not {wanted}")
        self._watch([p for t in told for p in t.posts], told[0].rule, in_order=len(told) == 1)

    def _checked(self, check: Callable[[], None]) -> bool:
        try:
            check()
        except Violation as error:
            if not self.bench.tally:
                self.failed = True
                raise
            self.bench.violations[error.rule] += 1
            if len(self.bench.found) < 40:
                self.bench.found[re.sub(r"\d+", "n", str(error))[:150]] += 1
            self.bench.do(self._forget())
            self._begin({})
            return False
        return True

    def _watch(self, wanted: list[tuple[str, str]], rule: Rule, *, in_order: bool = True) -> None:
        """What is new on the bus, and the whole state."""
        page = self.bench.do(self.workspace.history(self.run, after=self.witness.last))
        self.witness.read(page)
        found = [(p.event.type, getattr(p.event, "task", "")) for p in page]
        # what becomes ready in one act does so in any order, after its cause
        caused = [kind for kind, _ in wanted if kind != "task.started"][1:]
        free = not in_order or all(kind == "task.ready" for kind in caused)
        same = sorted(found) == sorted(wanted) if free else found == wanted
        hold(Rule.ORDER if same else rule, same, f"the bus got {found}, not {wanted}")
        if in_order and wanted:
            hold(Rule.ORDER, found[0][0] == wanted[0][0], f"{found[0]} before {wanted[0]}")
        snapshot, ttls, looked_for = self.bench.do(self._look())
        self.witness.look(snapshot)
        same_state(self.model, snapshot)
        self._check_lists(ttls, looked_for)

    async def _look(self) -> tuple[Any, list[int], float]:
        """A snapshot, how long the run's keys live, and when somebody looks for it at the latest."""
        redis: Any = self.workspace._redis
        snapshot = await self.workspace.snapshot(self.run)
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys.of_run(self.run):
                pipe.pttl(key)
            pipe.zscore(keys.ACTIVE, self.run)
            pipe.zscore(keys.ADMISSION, self.run)
            *ttls, watched, waits = await pipe.execute()
        return snapshot, ttls, 0.0 if waits is not None else watched or math.inf

    def _check_lists(self, ttls: Sequence[int], looked_for: float) -> None:
        there = [t for t in ttls if t != -2]
        if self.model.over:
            one = -1 not in there and max(there) - min(there) <= APART
            hold(Rule.EXPIRY, one, f"milliseconds to live: {there}")
        else:
            hold(Rule.EXPIRY, set(there) == {-1}, f"milliseconds to live: {there}")
            soon = time.time() + UNSEEN if not (self.model.live or self.model.parked) else 1e10
            hold(Rule.FOUND, looked_for <= soon, f"in {looked_for - time.time():.0f} s")

    def _gateway(self, dies: bool) -> Workspace:
        """One that goes on, or one that dies once its script has run."""
        return self.bench.dying if dies else self.workspace

    # --- who and what ---------------------------------------------------------------------------

    def _pick(self, good: Sequence[T], every: Sequence[T], pick: int) -> T:
        """Mostly one of those that should be taken, sometimes any."""
        among = good if good and pick % 8 else every
        return among[pick // 8 % len(among)]

    def _owner(self, pick: int) -> Owner:
        good = [o for o in self.owners if o.epoch == self.model.epoch]
        return self._pick(good, self.owners, pick)

    def _task(self, pick: int, *statuses: TaskStatus, loops: bool | None = None) -> str:
        """Of the plan, or one that is in no plan. loops: only such, or only others."""
        wanted = [t for t in self.model.cells if loops is None or (t in self.loops) == loops]
        good = [t for t in wanted if self.model.cells[t].status in statuses]
        return self._pick(good, wanted or ["nowhere"], pick)

    def _attempt_of(self, task: str) -> int:
        return self.model.cells[task].attempt if task in self.model.cells else 0

    def _claim(self, pick: int) -> Claim:
        cells = self.model.cells
        good = [
            c
            for c in self.claims
            if cells[c.task].status == "running" and cells[c.task].attempt == c.attempt
        ]
        return self._pick(good, self.claims, pick)

    def _unsettled(self) -> list[str]:
        return self.model.tasks("waiting", "ready", "queued", "running", "held")

    def _number(self) -> int:
        """No two results are alike."""
        self.numbers += 1
        return self.numbers


async def plain(act: Awaitable[None]) -> bool:
    """True for an act that returns nothing when it is done."""
    await act
    return True


async def _gathered(acts: Sequence[Awaitable[T]]) -> list[T | BaseException]:
    return await asyncio.gather(*acts, return_exceptions=True)


def _word(found: object) -> str:
    """The answer of an act as the model speaks of it."""
    if isinstance(found, PointsmanError):
        return found.code
    if isinstance(found, BaseException):
        return f"{type(found).__name__}: {found}"
    if isinstance(found, Before):
        return OK if found.answer == "go" else found.answer
    return OK if found is True or not (found is False or found is None) else NO


def done_event(task: str, attempt: int, cost: int = 0) -> TaskDone:
    usage = Usage(cost=cost, calls=1).to_json()
    return TaskDone(task, attempt, "number", "1", "", usage, 0.0, time.time())
