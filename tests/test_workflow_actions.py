"""Expected action plans: what is allowed next agrees with the set of sequences that a plan stands for."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.router.errors import BadActionPlan, OutsideWorkflow
from pointsman.router.plan import Plan, Task, TaskId, order, parse_plan
from pointsman.router.planning.workflow_match import Workflow
from pointsman.router.planning.workflows.action_plan import (
    ActionPlan,
    Again,
    Do,
    Either,
    Maybe,
    Step,
    Steps,
    in_order,
    of_plan,
    parse_actions,
    to_form,
)
from pointsman.router.planning.workflows.following import follow
from pointsman.workflows.enforcing import Enforcer

LETTERS = "abcd"
LONGEST = 5


def interleaved(words: list[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Every way to take turns."""
    if all(not w for w in words):
        return {()}
    found: set[tuple[str, ...]] = set()
    for i, word in enumerate(words):
        if word:
            rest = [w[1:] if n == i else w for n, w in enumerate(words)]
            found |= {(word[0], *tail) for tail in interleaved(rest)}
    return found


def sequences(step: Step) -> set[tuple[str, ...]]:
    """Every sequence up to LONGEST that a step stands for, from its meaning and not by derivatives."""
    match step:
        case Do(action):
            found = {(action,)}
        case Either(options):
            found = {w for o in options for w in sequences(o)}
        case Maybe(inner):
            found = {(), *sequences(inner)}
        case Again(inner):
            once = sequences(inner)
            found = set(once)
            for _ in range(LONGEST):
                found |= {a + b for a in found for b in once if len(a + b) <= LONGEST}
        case Steps(parts, before):
            found = set()
            chained = bool(before)
            for words in itertools.product(*(sequences(p) for p in parts)):
                if sum(map(len, words)) <= LONGEST:
                    found |= {sum(words, ())} if chained else interleaved(list(words))
    return {w for w in found if len(w) <= LONGEST}


def steps() -> st.SearchStrategy[Step]:
    """Chains and parts in any order; the two kinds of Steps that can be written down."""
    return st.recursive(
        st.sampled_from(LETTERS).map(Do),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda x: Either(tuple(x))),
            inner.map(Maybe),
            inner.map(Again),
            st.lists(inner, min_size=2, max_size=3).map(lambda x: in_order(*x)),
            st.lists(inner, min_size=2, max_size=3).map(lambda x: Steps(tuple(x))),
        ),
        max_leaves=5,
    )


@given(steps(), st.lists(st.sampled_from(LETTERS), max_size=4))
@settings(max_examples=150, deadline=None)
def test_what_is_allowed_is_what_some_sequence_goes_on_with(step: Step, taken: list[str]) -> None:
    plan = ActionPlan(step, "refuse")
    language = sequences(step)
    history: list[str] = []
    for action in taken:
        begun = [w for w in language if list(w[: len(history)]) == history]
        following = {w[len(history)] for w in begun if len(w) > len(history)}
        assert following <= plan.allowed(history)  # sequences above LONGEST are not in the language
        assert plan.is_complete(history) == (tuple(history) in language)
        if action not in plan.allowed(history):
            assert action not in following
            assert plan.check(history, action).kind == "refused"
            return
        history.append(action)


@given(steps())
@settings(max_examples=100, deadline=None)
def test_the_shortest_way_to_the_end_leads_there(step: Step) -> None:
    plan = ActionPlan(step)
    history: list[str] = []
    while not plan.is_complete(history):
        needed = plan.missing(history)
        following = [a for a in needed if a in plan.allowed(history)]
        assert following
        history.append(following[0])
        assert len(plan.missing(history)) < len(needed)


@given(steps())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(step: Step) -> None:
    plan = ActionPlan(in_order(step), "refuse", ("text.*",))
    again = parse_actions(to_form(plan))
    assert sequences(again.step) == sequences(plan.step)
    assert (again.outside, again.free) == (plan.outside, plan.free)


def test_a_step_in_the_middle_may_be_left_out_but_not_made_up_for() -> None:
    plan = parse_actions(["a", {"optional": "b"}, "c"])
    assert plan.allowed(["a"]) == {"b", "c"}
    assert plan.allowed(["a", "c"]) == frozenset()
    assert plan.is_complete(["a", "c"])
    assert "not to be done now" in plan.check(["a", "c"], "b").why


def test_what_a_person_let_pass_does_not_change_what_is_due() -> None:
    plan = parse_actions(["a", "b"])
    assert plan.check(["a"], "x").kind == "ask"
    assert plan.allowed(["a", "x"]) == {"b"}


def test_free_actions_are_no_steps() -> None:
    plan = parse_actions({"steps": ["a", "b"], "outside": "refuse", "free": ["text.*"]})
    assert plan.check([], "text.read").kind == "allowed"
    assert plan.check([], "b").instead == ("a",)


@pytest.mark.parametrize(
    ("form", "where", "words"),
    [
        ([], "the top", "at least one"),
        (["a", {"any_of": []}], "1/any_of", "at least one"),
        (["a", {"anyof": ["b"]}], "1", "any_of, in_any_order"),
        ([{"optional": 7}], "0/optional", "7"),
        ({"steps": ["a"], "outside": "maybe"}, "outside", "'ask' or 'refuse'"),
        ({"step": ["a"]}, "the top", "unknown: step"),
        ({"steps": ["a"], "free": "text.*"}, "free", "list"),
    ],
)
def test_a_malformed_action_plan_is_refused_with_its_place(
    form: object, where: str, words: str
) -> None:
    with pytest.raises(BadActionPlan) as caught:
        parse_actions(form)
    assert f"at {where}:" in caught.value.message
    assert words in caught.value.message


# --- plans held against them -----------------------------------------------------------------------


def tasks(*names: str, after: dict[str, list[str]] | None = None) -> Plan:
    """One task for each letter; its id is the letter with its number."""
    waits = after or {}
    made = [
        Task(TaskId(f"{n}{i}"), n, after=tuple(TaskId(a) for a in waits.get(f"{n}{i}", ())))
        for i, n in enumerate(names)
    ]
    return Plan(tuple(made), (made[-1].id,), "workflow:w")


def linear_orders(plan: Plan) -> list[list[str]]:
    """Every order in which the tasks may start."""
    inputs = {t.id: set(t.inputs()) for t in plan.tasks}
    names = {t.id: t.capability for t in plan.tasks}
    found = []
    for permuted in itertools.permutations(inputs):
        if all(inputs[id] <= set(permuted[:i]) for i, id in enumerate(permuted)):
            found.append([names[id] for id in permuted])
    return found


@given(steps(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_plan_that_follows_is_allowed_in_every_order_it_may_run_in(
    step: Step, data: st.DataObject
) -> None:
    """The tasks are those of some allowed sequence, in any order of the plan's own."""
    sequences_ = sorted(w for w in sequences(step) if w)
    names = data.draw(st.sampled_from(sequences_).flatmap(st.permutations))
    actions = ActionPlan(step, "refuse")
    found = follow(tasks(*names), actions)
    order(found.plan)  # no cycle
    if found.outside:
        return
    for sequence in linear_orders(found.plan):
        for place, action in enumerate(sequence):
            assert actions.check(sequence[:place], action).kind == "allowed", sequence


def test_order_is_added_only_where_the_action_plan_asks_for_it() -> None:
    actions = parse_actions(["a", {"in_any_order": ["b", "c"]}, "d"])
    plan = follow(tasks("a", "b", "c", "d"), actions).plan
    assert {t.id: set(t.after) for t in plan.tasks} == {
        "a0": set(),
        "b1": {"a0"},
        "c2": {"a0"},
        "d3": {"b1", "c2"},
    }


def test_many_tasks_in_any_order_run_side_by_side() -> None:
    names = [f"a{i}" for i in range(30)]
    actions = parse_actions(["first", {"in_any_order": names}, "last"])
    plan = follow(tasks("first", *names, "last"), actions).plan
    assert all(t.after == ("first0",) for t in plan.tasks[1:-1])
    assert len(plan.tasks[-1].after) == 30


def test_a_plan_expects_of_itself_what_it_does() -> None:
    plan = parse_plan(
        {
            "tasks": [
                {"id": "x", "capability": "a"},
                {"id": "y", "capability": "b", "after": ["x"], "when": {"ref": {"$task": "x"}}},
                {
                    "id": "z",
                    "capability": "c",
                    "for_each": {"over": {"$task": "x"}},
                    "arguments": {"v": {"$item": ""}},
                },
            ]
        }
    )
    expected = of_plan(plan)
    assert expected.allowed([]) == {"a"}
    assert expected.is_complete(["a", "c", "c"])
    assert not expected.is_complete(["a", "b"])
    assert not follow(plan, expected).outside


def workflow(outside: str) -> Workflow:
    actions = parse_actions({"steps": ["a", "b"], "outside": outside})
    return Workflow("w", "w", "w", ("w",), tasks("a", "b").to_json(), {}, actions)


def test_a_task_outside_of_the_workflow_is_asked_about_or_refused() -> None:
    plan = tasks("a", "x", "b")
    asked = Enforcer([workflow("ask")]).review(plan)
    assert set(asked.ask) == {"x1"}
    assert "'x' is no action of the plan" in asked.ask[TaskId("x1")]
    with pytest.raises(OutsideWorkflow, match=r"'x1' is refused by workflow 'w'"):
        Enforcer([workflow("refuse")]).review(plan)


def test_a_plan_made_anew_is_still_bound_by_the_workflow_that_the_run_began_with() -> None:
    enforcer = Enforcer([workflow("refuse")])
    later = Plan(tasks("b").tasks, (TaskId("b0"),), "embedded")
    reviewed = enforcer.review(later, follows="workflow:w", done=["a"])
    assert reviewed.plan.source == "workflow:w"
    with pytest.raises(OutsideWorkflow, match="leaves out b"):
        enforcer.review(tasks("a"), follows="workflow:w")
    assert enforcer.review(later).plan == later


def test_a_review_of_what_was_reviewed_changes_nothing() -> None:
    enforcer = Enforcer([workflow("ask")])
    once = enforcer.review(tasks("a", "b"))
    assert enforcer.review(once.plan) == once
