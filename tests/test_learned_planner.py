"""The learned planner: past plans vote without seeing themselves, sets are chosen whole, plans are valid."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import BadExample, EmptyRequest
from pointsman.router.plan import Plan, Ref, Task, TaskId, parse_plan, validate
from pointsman.router.planning.base import Refusal, Request
from pointsman.router.planning.learned.chooser import SetChooser
from pointsman.router.planning.learned.index import SMALL, CapabilityIndex, lines
from pointsman.router.planning.learned.linking import Link, without_cycles
from pointsman.router.planning.learned.memory import PlanMemory
from pointsman.router.planning.learned.own import FittedPlanner, OwnPlanner
from pointsman.router.planning.learned.past import PastPlan, read_past
from pointsman.router.planning.learned.planner import (
    LearnedPlanner,
    as_before,
    handed_on,
    in_order,
)
from pointsman.router.planning.learned.subsets import best_set, sets_of
from pointsman.router.planning.nearest import FEW, Nearest
from pointsman.router.planning.retrieval import Retrieval, masked
from pointsman.services.planning import WarmPlanner

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
TEXT = {"type": "string"}


def capability(
    name: str, description: str, output: object = None, **parameters: object
) -> Capability:
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return Capability(name, description, schema, output or {"type": "object"})  # type: ignore[arg-type]


CATALOG = Catalog(
    [
        capability("alarm.set", "Set an alarm clock for a given time"),
        capability("alarm.cancel", "Cancel an alarm clock that was set"),
        capability("flight.search", "Search for flights between two cities"),
        capability("flight.book", "Book a seat on a flight"),
        capability("weather.now", "Tell the current weather of a city"),
        capability("mail.send", "Send an e-mail message to a person"),
        capability("music.play", "Play a song or an album"),
    ]
)
HOURS = ("six", "seven", "eight", "nine", "ten")
PAST = [
    *(
        PastPlan(
            f"move my alarm to {hour} o'clock tomorrow",
            ("alarm.cancel", "alarm.set"),
            (("alarm.cancel", "alarm.set"),),
        )
        for hour in HOURS
    ),
    *(
        PastPlan(
            f"get me a seat to {city} on Monday",
            ("flight.search", "flight.book"),
            (("flight.search", "flight.book"),),
        )
        for city in ("Rome", "Oslo", "Lima", "Kyoto", "Cairo")
    ),
]


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    made = Encoder()
    yield made
    made.close()


def vectors_of(encoder: Encoder, past: list[PastPlan]) -> np.ndarray:
    return asyncio.run(encoder.embed([masked(p.request) for p in past]))


def test_a_past_plan_does_not_see_itself(encoder: Encoder) -> None:
    """The closed form equals a memory that was made without the plan."""
    vectors = vectors_of(encoder, PAST)
    memory = PlanMemory(PAST, vectors)
    for left_out in (0, 7):
        others = [p for i, p in enumerate(PAST) if i != left_out]
        without = PlanMemory(others, np.delete(vectors, left_out, axis=0))
        text, vector = PAST[left_out].request, vectors[left_out]
        seen = memory.votes(text, vector, left_out=left_out)
        unseen = without.votes(text, vector)
        order = [without.names.index(n) for n in memory.names]
        assert left_out not in seen.plans
        np.testing.assert_allclose(seen.wide, unseen.wide[order], atol=1e-3)
        np.testing.assert_array_equal(seen.counts, unseen.counts[order])


def test_sets_are_all_there_once_and_the_best_has_the_greatest_expected_f1() -> None:
    sets = sets_of(4)
    assert len({tuple(m) for m in sets.members.tolist()}) == len(sets.members) == 15
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(15)).astype(np.float32)
    members = [frozenset(c) for size in range(1, 5) for c in combinations(range(4), size)]

    def expected(chosen: frozenset[int]) -> float:
        return sum(
            float(p) * 2 * len(chosen & other) / (len(chosen) + len(other))
            for p, other in zip(probabilities, members, strict=True)
        )

    best = frozenset(np.flatnonzero(sets.members[best_set(probabilities, sets)]).tolist())
    assert expected(best) == pytest.approx(max(expected(m) for m in members))


def test_habits_are_learned_from_past_plans(encoder: Encoder) -> None:
    """What "a seat" takes is not in any description; past plans tell."""
    chooser = SetChooser(encoder)
    chosen = asyncio.run(chooser.choose("get me a seat to Paris on Friday", CATALOG, memory=PAST))
    assert {c.capability.name for c in chosen} == {"flight.search", "flight.book"}
    assert all(0 <= c.probability <= 1 for c in chosen)


def test_without_past_plans_meaning_decides(encoder: Encoder) -> None:
    chosen = asyncio.run(SetChooser(encoder).choose("what is the weather in Turin?", CATALOG))
    assert chosen[0].capability.name == "weather.now"


def test_an_empty_catalog_gives_a_refusal(encoder: Encoder) -> None:
    planner = LearnedPlanner(encoder)
    proposal = asyncio.run(planner.plan(Request("play a song", NOW), Catalog()))
    assert isinstance(proposal.outcome, Refusal)
    assert proposal.confidence == 0


def test_a_request_without_a_word_is_refused(encoder: Encoder) -> None:
    with pytest.raises(EmptyRequest):
        asyncio.run(LearnedPlanner(encoder).plan(Request(" ?! ", NOW), CATALOG))


def test_a_plan_is_valid_and_ordered_as_past_plans_were(encoder: Encoder) -> None:
    planner = LearnedPlanner(encoder, memory=PAST)
    proposal = asyncio.run(planner.plan(Request("move my alarm to noon tomorrow", NOW), CATALOG))
    plan = proposal.outcome
    assert isinstance(plan, Plan)
    validate(plan, CATALOG)
    by_name = {t.capability: t for t in plan.tasks}
    assert set(by_name) == {"alarm.cancel", "alarm.set"}
    assert by_name["alarm.set"].after == (by_name["alarm.cancel"].id,)
    assert parse_plan(json.dumps(plan.to_json())).tasks == plan.tasks
    assert 0 < proposal.confidence <= 1
    assert {"ridge", "words"} <= set(proposal.considered[0].detail)


def test_what_is_required_and_not_said_is_asked(encoder: Encoder) -> None:
    catalog = Catalog(
        [capability("mail.send", "Send an e-mail", address={"type": "string", "format": "email"})]
    )
    proposal = asyncio.run(LearnedPlanner(encoder).plan(Request("send an e-mail", NOW), catalog))
    assert isinstance(proposal.outcome, Refusal)
    assert proposal.outcome.question is not None
    assert "address" in proposal.outcome.question


def test_a_result_is_handed_on_where_the_kind_fits(encoder: Encoder) -> None:
    table = {"type": "object", "x-kind": "table"}
    read = capability("rows.read", "Read rows", table)
    count = capability("rows.count", "Count rows", {"type": "number"}, table=table)
    assert handed_on([read], count, {}) == {"table": read}
    assert handed_on([count], count, {}) == {}
    catalog = Catalog([read, count])
    past = [
        PastPlan(
            f"how many rows has sheet {n}",
            ("rows.read", "rows.count"),
            (("rows.read", "rows.count"),),
        )
        for n in HOURS
    ]
    planner = LearnedPlanner(encoder, memory=past)
    plan = asyncio.run(planner.plan(Request("how many rows has sheet two", NOW), catalog)).outcome
    assert isinstance(plan, Plan)
    assert plan.task(plan.answer[0]).arguments == {"table": Ref(plan.tasks[0].id)}


def test_links_that_would_close_a_circle_are_left_out() -> None:
    found = [Link("a", "b", 0.9), Link("b", "c", 0.8), Link("c", "a", 0.7), Link("a", "c", 0.2)]
    kept = without_cycles(found)
    assert [(k.source, k.target) for k in kept] == [("a", "b"), ("b", "c")]
    capabilities = [capability(n, n) for n in "cba"]
    assert [c.name for c in in_order(capabilities, kept)] == ["a", "b", "c"]


def test_the_file_of_past_plans_names_the_bad_line(tmp_path: Path) -> None:
    plan = {
        "tasks": [
            {"id": "a", "capability": "alarm.set"},
            {"id": "b", "capability": "mail.send", "after": ["a"]},
        ]
    }
    good = {"request": "wake me", "plan": plan, "right": True, "run": None, "at": None}
    path = tmp_path / "plans.jsonl"
    wrong = {**good, "right": False}
    path.write_text("\n".join(json.dumps(v) for v in (good, wrong)), "utf-8")
    assert read_past(path) == [
        PastPlan("wake me", ("alarm.set", "mail.send"), (("alarm.set", "mail.send"),))
    ]
    path.write_text("\n".join(json.dumps(v) for v in (good, {**good, "color": 1})), "utf-8")
    with pytest.raises(BadExample, match="line 2: color"):
        read_past(path)


def test_the_best_few_are_the_first_of_all(encoder: Encoder) -> None:
    retrieval = Retrieval(encoder)

    async def both() -> tuple[list[str], list[str]]:
        ranked = await retrieval.rank("book a flight to Rome", CATALOG)
        top = await retrieval.top("book a flight to Rome", CATALOG, 3)
        return [h.capability.name for h in ranked], [h.capability.name for h in top]

    ranked, top = asyncio.run(both())
    assert len(ranked) == len(CATALOG)
    assert ranked[:3] == top
    assert top[0].startswith("flight")


def test_several_lines_of_a_capability_count_by_the_best(encoder: Encoder) -> None:
    plain = capability("a.one", "Does something")
    shown = Capability(
        "a.two", "Does something", plain.parameters, {}, examples=("feed the cat", "feed the dog")
    )
    texts = [t for c in (plain, shown) for _, t in lines(c)]
    index = CapabilityIndex([plain, shown], asyncio.run(encoder.embed(texts)))
    vector = asyncio.run(encoder.embed(["feed the cat"]))[0]
    near = index.near("feed the cat", vector, vector)
    assert near.example[1] == pytest.approx(1, abs=1e-4)
    assert near.best[1] > near.best[0]
    assert near.soft[1] <= near.best[1]
    assert near.example[0] == near.best[0]


def test_what_is_usual_beside_others_does_not_see_the_plan_itself(encoder: Encoder) -> None:
    vectors = vectors_of(encoder, PAST)
    memory = PlanMemory(PAST, vectors)
    others = PAST[1:]
    without = PlanMemory(others, vectors[1:])
    order = [without.names.index(n) for n in memory.names]
    votes = memory.votes(PAST[0].request, vectors[0], left_out=0)
    ridge = np.array([0.9, 0.2, 0.4, 0.0], np.float32)
    back = np.argsort(order)
    expected = without.company(ridge[back], without.votes(PAST[0].request, vectors[0]))[order]
    np.testing.assert_allclose(memory.company(ridge, votes), expected, atol=1e-6)


def test_few_axes_find_the_nearest_of_many() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(60, 96))
    made = centres[random.integers(0, 60, FEW + 1_000)] + 0.4 * random.normal(
        size=(FEW + 1_000, 96)
    )
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    index = Nearest(vectors)
    for query in vectors[:20]:
        right = set(np.argsort(-(vectors @ query))[:10].tolist())
        assert len(right & set(index.rows(query[None], 10)[0].tolist())) >= 9
    few = Nearest(vectors[:50])
    assert set(few.rows(vectors[3:4], 5)[0].tolist()) == set(
        np.argsort(-(vectors[:50] @ vectors[3]))[:5].tolist()
    )


def test_of_a_large_catalog_what_is_near_by_meaning_or_words_is_looked_at() -> None:
    random = np.random.default_rng(1)
    many = [capability(f"tool.t{n}", f"does thing number{n}") for n in range(SMALL + 500)]
    made = random.normal(size=(2 * len(many), 64))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    index = CapabilityIndex(many, vectors)
    asked = vectors[2 * 700 + 1]
    near = index.near("that famous number1234", asked, asked, also=[42])
    assert {700, 1234, 42} <= set(near.places.tolist())
    assert len(near.places) < 400
    at = near.places.tolist().index(700)
    assert near.description[at] == pytest.approx(1, abs=1e-5)
    whole = CapabilityIndex(many[:900], vectors[:1800]).near("number1", asked, asked)
    assert near.name[at] == pytest.approx(whole.name[700], abs=1e-5)
    assert whole.places.tolist() == list(range(900))


def test_what_past_plans_read_of_a_result_is_read_again(encoder: Encoder) -> None:
    find = capability("people.find", "Find a person by name")
    films = capability("people.films", "Films of a person", person_id={"type": "integer"})
    path = ("results", "0", "id")
    tasks = (
        Task(TaskId("a"), "people.find"),
        Task(TaskId("b"), "people.films", {"person_id": Ref(TaskId("a"), path)}),
    )
    plan = Plan(tasks, (TaskId("b"),))
    past = [PastPlan.of(f"films with {n}", plan) for n in ("Ana", "Bo", "Cy", "Di", "Eva")]
    assert past[0].hands == (("people.find", "people.films", "person_id", path),)
    assert as_before(past, [find], films, {}) == {"person_id": ("people.find", path)}
    assert as_before(past, [find], films, {"person_id": 7}) == {}
    assert as_before(past, [films], find, {}) == {}
    catalog = Catalog([find, films])
    planner = LearnedPlanner(encoder, memory=[*past, *past, *past])
    asked = Request("find the person Leo, then the films with Leo", NOW)
    made = asyncio.run(planner.plan(asked, catalog)).outcome
    assert isinstance(made, Plan)
    assert made.task(made.answer[0]).arguments == {"person_id": Ref(made.tasks[0].id, path)}


def shown(path: Path, past: Sequence[PastPlan]) -> Path:
    """A file of past plans."""
    rows: list[str] = []
    for one in past:
        ids = {name: TaskId(f"t{place}") for place, name in enumerate(one.capabilities)}
        tasks = [
            Task(ids[n], n, {}, tuple(ids[a] for a, b in one.links if b == n))
            for n in one.capabilities
        ]
        plan = Plan(tuple(tasks), (ids[one.capabilities[-1]],))
        rows.append(json.dumps({"request": one.request, "plan": plan.to_json(), "right": True}))
    path.write_text("\n".join(rows), "utf-8")
    return path


def test_fitting_changes_what_is_served_from_the_next_request_on(
    encoder: Encoder, tmp_path: Path
) -> None:
    """No description says what "a seat" takes; the server knows it once it was shown plans, and only of the like."""
    served = WarmPlanner(encoder, None, own=tmp_path / "planner")
    seat = Request("get me a seat to Paris on Monday", NOW)

    def capabilities(request: Request) -> list[str]:
        outcome = asyncio.run(served.plan(request, CATALOG)).outcome
        return [t.capability for t in outcome.tasks] if isinstance(outcome, Plan) else []

    before = capabilities(seat)
    OwnPlanner(tmp_path / "planner").keep(None, shown(tmp_path / "plans.jsonl", PAST))
    assert before != capabilities(seat) == ["flight.search", "flight.book"]
    weather = asyncio.run(served.plan(Request("what is the weather in Turin?", NOW), CATALOG))
    told = [c for c in weather.considered if c.name == "learned planner"]
    assert "unlike" in str(told[0].detail["decision"])


def test_a_file_of_the_fitted_planner_that_cannot_be_read_plans_nothing(
    encoder: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = OwnPlanner(tmp_path)
    (tmp_path / "plans.jsonl").write_text("no plan", "utf-8")
    proposal = asyncio.run(FittedPlanner(own, encoder).plan(Request("wake me", NOW), CATALOG))
    assert isinstance(proposal.outcome, Refusal)
    assert "cannot be read" in caplog.text
