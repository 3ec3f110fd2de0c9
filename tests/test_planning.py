"""What the embedded planner makes of requests, with the real encoder and the real catalog."""

import asyncio
import string
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import planning_files
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.experts.builtin import model_experts, tool_experts
from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Capability, Catalog, Prior
from pointsman.router.errors import BadFile, EmptyRequest, RequestError, RequestTooLong, UnknownFile
from pointsman.router.plan import Plan, Ref, validate
from pointsman.router.planning.base import Refusal, Request, Turn
from pointsman.router.planning.composing.named import is_said, named
from pointsman.router.planning.embedded import EmbeddedPlanner
from pointsman.router.planning.following_up import follow_up
from pointsman.router.values import FileProfile

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REQUESTS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "planning_requests.yaml").read_text("utf-8")
)
OPEN = {"What percentage of the feedback is positive?"}
"""Served by a plan with one step more than needed."""


class Planning:
    """One planner for all tests of the module; embedding a catalog takes seconds."""

    def __init__(self) -> None:
        self.encoder = Encoder(threads=2)
        experts = [*tool_experts(), *model_experts(self.encoder)]
        self.catalog = Catalog(c for e in experts for c in e.capabilities)
        self.planner = EmbeddedPlanner(self.encoder)

    def plan(
        self, text: str, files: tuple[str, ...] = (), catalog: Catalog | None = None
    ) -> Plan | Refusal:
        profiles = tuple(planning_files.FILES[f] for f in files)
        request = Request(text, NOW, profiles)
        proposal = asyncio.run(self.planner.plan(request, catalog or self.catalog))
        return proposal.outcome


@pytest.fixture(scope="module")
def planning() -> Iterator[Planning]:
    made = Planning()
    yield made
    made.encoder.close()


def wanted(entry: Mapping[str, Any]) -> list[list[str]]:
    caps = entry.get("caps", [])
    choices = caps if caps and isinstance(caps[0], list) else [caps]
    return [sorted(c) for c in choices]


@pytest.mark.parametrize(
    "entry", [e for e in REQUESTS if e["q"] not in OPEN], ids=lambda e: e["q"][:60]
)
def test_a_request_becomes_the_plan_that_serves_it(
    planning: Planning, entry: Mapping[str, Any]
) -> None:
    outcome = planning.plan(entry["q"], tuple(entry.get("files", ())))
    if entry.get("refuse"):
        assert isinstance(outcome, Refusal), [t.capability for t in outcome.tasks]
        return
    assert isinstance(outcome, Plan), outcome
    sure = [t.capability for t in outcome.tasks if t.when is None]
    assert sorted(sure) in wanted(entry)
    for key, value in (entry.get("args") or {}).items():
        name, argument = key.rsplit(".", 1)
        given = [t.arguments.get(argument) for t in outcome.tasks if t.capability == name]
        assert value in given


def test_independent_questions_are_not_linked(planning: Planning) -> None:
    plan = planning.plan("What is 12 * 7? What is 15% of 80?")
    assert isinstance(plan, Plan)
    assert len(plan.answer) == 2
    assert all(not t.inputs() for t in plan.tasks)


def test_a_chain_is_linked_by_references(planning: Planning) -> None:
    plan = planning.plan("convert 3.5 acres to square metres and multiply by 12")
    assert isinstance(plan, Plan)
    first, second = plan.tasks
    assert second.arguments["variables"] == {"x": Ref(first.id)}
    assert plan.answer == (second.id,)


def test_what_cannot_be_served_is_named_beside_what_can(planning: Planning) -> None:
    plan = planning.plan("What is 12 * 7? Book me a flight to Rome.")
    assert isinstance(plan, Plan)
    assert len(plan.tasks) == 1
    assert "flight" in plan.unserved[0]


def test_a_missing_column_is_named_with_those_there_are(planning: Planning) -> None:
    refusal = planning.plan("average discount by region", ("sales.csv",))
    assert isinstance(refusal, Refusal)
    assert "discount" in refusal.why
    assert "revenue" in refusal.why


def test_a_capability_never_seen_before_is_used(planning: Planning) -> None:
    """A user's own capability: nothing but its description, parameters and examples is known."""
    shipping = Capability(
        "shop.track",
        "Tells where a parcel is by its tracking number.",
        {
            "type": "object",
            "properties": {"number": {"type": "string", "description": "tracking number"}},
            "required": ["number"],
        },
        {"type": "string"},
        title="track a parcel",
        examples=("where is parcel 'ZX-4411'", "track shipment 'AB-1'", "status of my parcel"),
        prior=Prior(),
    )
    catalog = Catalog([*planning.catalog, shipping])
    plan = planning.plan("please track the parcel 'QQ-77'", catalog=catalog)
    assert isinstance(plan, Plan)
    assert [t.capability for t in plan.tasks] == ["shop.track"]
    assert plan.tasks[0].arguments["number"] == "QQ-77"
    refusal = planning.plan("please track my parcel", catalog=catalog)
    assert isinstance(refusal, Refusal)
    assert "number" in refusal.why


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyRequest),
        ("?! ...", EmptyRequest),
        ("a" * 100_000, RequestTooLong),
        ("sum the amounts in nowhere.csv", UnknownFile),
    ],
)
def test_bad_requests_are_told_apart(
    planning: Planning, text: str, error: type[RequestError]
) -> None:
    with pytest.raises(error):
        planning.plan(text)


WORDS = st.sampled_from(
    "negative reviews sales.csv total by region and then of those \" ' { } ( %s $ ; -- 15% top 3 "
    "which how many count them 2024-01-01 acres to in https://example.com/x <b> \n 🎉 für".split(
        " "
    )
)


@given(st.lists(WORDS, min_size=1, max_size=14).map(" ".join))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_words_break_the_planner(planning: Planning, text: str) -> None:
    try:
        outcome = planning.plan(text, ("sales.csv", "reviews.csv"))
    except RequestError:
        return
    if isinstance(outcome, Plan):
        validate(outcome, planning.catalog)


@given(st.text(alphabet=string.printable + "äßé漢字🙂", max_size=200))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_characters_break_the_planner(planning: Planning, text: str) -> None:
    try:
        outcome = planning.plan(text, ("contract.txt",))
    except RequestError:
        return
    if isinstance(outcome, Plan):
        validate(outcome, planning.catalog)


def test_a_file_that_cannot_be_read_is_named_once(planning: Planning) -> None:
    ref = planning_files.FILES["sales.csv"].ref
    broken = FileProfile(ref, "other", error="file 'sales.csv' cannot be read: it is empty")
    request = Request("total revenue per region", NOW, (broken,))
    with pytest.raises(BadFile) as raised:
        asyncio.run(planning.planner.plan(request, planning.catalog))
    assert str(raised.value) == "file 'sales.csv' cannot be read: it is empty"


def arguments(plan: Plan | Refusal, capability: str) -> list[dict[str, Any]]:
    assert isinstance(plan, Plan), plan
    return [dict(t.arguments) for t in plan.tasks if t.capability == capability]


def test_what_nothing_does_is_refused_with_what_is_possible(planning: Planning) -> None:
    refusal = planning.plan("turn off the heating in the hall")
    assert isinstance(refusal, Refusal)
    assert refusal.could_do


def test_every_decision_is_told_in_words(planning: Planning) -> None:
    request = Request("total revenue by region", NOW, (planning_files.FILES["sales.csv"],))
    proposal = asyncio.run(planning.planner.plan(request, planning.catalog))
    first = proposal.considered[0]
    assert first.name == "read as a question about the table"
    assert first.score == proposal.confidence
    assert "right readings reach" in str(first.detail["decision"])
    assert first.detail["reasons"]


def test_two_counts_asked_for_at_once_are_both_answered(planning: Planning) -> None:
    plan = planning.plan("how many sentences and words are in speech.txt", ("speech.txt",))
    assert [a["what"] for a in arguments(plan, "text.count")] == ["sentences", "words"]
    assert isinstance(plan, Plan)
    assert len(plan.answer) == 2


@pytest.mark.parametrize(
    ("text", "expression"),
    [("3 quarters of 188", "3/4 * 188"), ("what is two thirds of 96?", "2/3 * 96")],
)
def test_fractions_in_words_are_calculated(planning: Planning, text: str, expression: str) -> None:
    (given,) = arguments(planning.plan(text), "math.calculate")
    assert given["expression"].replace(" ", "") == expression.replace(" ", "")


def test_a_pie_in_a_recipe_is_no_chart(planning: Planning) -> None:
    plan = planning.plan("How long does the apple pie bake?", ("policy.md",))
    assert isinstance(plan, Plan)
    assert "chart.draw" not in [t.capability for t in plan.tasks]


def test_what_goes_on_from_the_turn_before_uses_it(planning: Planning) -> None:
    files = (planning_files.FILES["customers.csv"],)
    before = (Turn("show customers from Germany", "12 customers"),)
    request = Request("how many of those are older than 30?", NOW, files, before)
    plan = asyncio.run(planning.planner.plan(request, planning.catalog)).outcome
    assert isinstance(plan, Plan)
    said = str([dict(t.arguments) for t in plan.tasks])
    assert "Germany" in said
    assert "30" in said
    assert len(plan.answer) == 1
    assert "show customers from Germany" in plan.assumptions[0]


def test_the_same_for_another_value_asks_the_turn_before_again() -> None:
    before = (Turn("total revenue in 2024 by region", "a table"),)
    again = follow_up(Request("and the same for 2023?", NOW, (), before))
    assert again.request.text == "total revenue in 2023 by region"
    assert follow_up(Request("what about March 2023", NOW, (), before)).request.text == (
        "total revenue in 2023 by region"
    )
    plain = Request("total revenue in 2023", NOW, (), before)
    assert follow_up(plain).request is plain


def test_a_request_that_stands_on_its_own_leaves_the_turn_before_alone(
    planning: Planning,
) -> None:
    before = (Turn("show customers from Germany", "12 customers"),)
    request = Request("What is 12 * 7?", NOW, (), before)
    plan = asyncio.run(planning.planner.plan(request, planning.catalog)).outcome
    assert isinstance(plan, Plan)
    assert [t.capability for t in plan.tasks] == ["math.calculate"]


REPOSITORY = {
    "type": "object",
    "properties": {
        "owner": {"type": "string"},
        "repo": {"type": "string"},
        "issue_number": {"type": "integer"},
    },
    "required": ["owner", "repo", "issue_number"],
}


@pytest.mark.parametrize(
    "text",
    [
        "remove the labels of issue 42 in acme/widgets",
        "remove all labels from issue 42 of the repository widgets owned by acme",
        "issue number 42, repository widgets of acme",
    ],
)
def test_values_are_read_beside_the_name_of_what_they_are(text: str) -> None:
    labels = Capability("git.unlabel", "Removes all labels from an issue.", REPOSITORY, {})
    assert named(labels, text) == {"owner": "acme", "repo": "widgets", "issue_number": 42}


def test_a_number_is_no_value_of_a_parameter_that_is_not_named() -> None:
    schema = {"type": "object", "properties": {"release_type": {"type": "integer"}}}
    found = Capability("film.find", "Finds films.", schema, {})
    assert not is_said(found, "release_type", 13, "films like film 13")
    assert is_said(found, "release_type", 3, "films with release type 3")
