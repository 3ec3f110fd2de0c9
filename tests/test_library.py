"""The workflow library: what ships is sound, and a workflow wins only when it is meant."""

from pathlib import Path

import pytest
from test_planning import Planning, planning

from pointsman.router.errors import BadFile
from pointsman.router.plan import Plan
from pointsman.router.planning.workflow_match import WorkflowPlanner
from pointsman.workflows.library import load_library, read_workflow

__all__ = ["planning"]

GOOD = """
name: greet
title: greet
description: Greets.
examples: [greet me]
parameters: {who: {type: string}}
plan:
  tasks: [{id: a, capability: test.greet, arguments: {who: {$param: who}}}]
"""


def plan_by_library(planning: Planning, text: str, files: tuple[str, ...]) -> Plan | None:
    import asyncio
    from datetime import UTC, datetime

    import planning_files

    from pointsman.router.planning.base import Request

    planner = WorkflowPlanner(planning.encoder, load_library())
    profiles = tuple(planning_files.FILES[f] for f in files)
    request = Request(text, datetime(2026, 1, 1, tzinfo=UTC), profiles)
    outcome = asyncio.run(planner.plan(request, planning.catalog)).outcome
    return outcome if isinstance(outcome, Plan) else None


@pytest.mark.parametrize(
    ("text", "files", "name"),
    [
        ("please triage my tickets", ("tickets.csv",), "ticket-triage"),
        ("Could you give me a digest of policy.md?", ("policy.md",), "document-digest"),
        ("data quality report for customers.csv please", ("customers.csv",), "data-quality"),
        (
            "what are the four main complaints in the reviews?",
            ("reviews.csv",),
            "review-complaints",
        ),
    ],
)
def test_a_workflow_is_found_by_meaning(
    planning: Planning, text: str, files: tuple[str, ...], name: str
) -> None:
    plan = plan_by_library(planning, text, files)
    assert plan is not None
    assert plan.source == f"workflow:{name}"


def test_parameters_are_filled_from_the_words(planning: Planning) -> None:
    plan = plan_by_library(planning, "show the top 5 complaints with counts", ("reviews.csv",))
    assert plan is not None
    assert plan.task(plan.answer[0]).arguments["limit"] == 5


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("group the positive reviews by topic and show the top 5", ("reviews.csv",)),
        ("main complaints in reviews from Germany since 2024", ("reviews.csv",)),
        ("triage the tickets and email the angry ones to Bob", ("tickets.csv",)),
        ("how many tickets are there", ("tickets.csv",)),
        ("summarise policy.md", ("policy.md",)),
        ("make a data quality report", ("customers.csv", "orders.csv")),
    ],
)
def test_what_asks_for_more_or_for_something_else_is_left_to_other_planners(
    planning: Planning, text: str, files: tuple[str, ...]
) -> None:
    assert plan_by_library(planning, text, files) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("greet me", "[greet"), "not YAML"),
        (("name: greet", "name: Greet Me"), "name"),
        (("$param: who", "$param: whom"), "who, whom"),
        (("capability: test.greet", "capabilty: test.greet"), "capability"),
        (("{$param: who}", "{$task: b, path: no}"), "path"),
    ],
)
def test_a_faulty_workflow_is_refused_with_its_place(change: tuple[str, str], words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read_workflow(GOOD.replace(*change), "greet.yaml")


def test_a_library_of_ones_own_is_read_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(GOOD)
    assert [w.name for w in load_library(tmp_path)] == ["greet"]
    (tmp_path / "greet-again.yaml").write_text(GOOD)
    with pytest.raises(BadFile, match="another workflow"):
        load_library(tmp_path)
