"""ABCD's guidelines as workflows: imported, found by what a customer says, planned and enforced; composition; CLI."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pointsman.cli import main
from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import BadFile, OutsideWorkflow
from pointsman.router.plan import Plan, Task, TaskId, parse_plan
from pointsman.router.planning.base import Refusal, Request, Vectors
from pointsman.router.planning.retrieval import stems
from pointsman.router.planning.workflow_match import WorkflowPlanner
from pointsman.router.planning.workflows.abcd import (
    capabilities,
    first_person,
    read_subflows,
    workflow_form,
)
from pointsman.router.planning.workflows.ranking import (
    Described,
    WorkflowRanker,
    load_weights,
    sentences,
)
from pointsman.workflows.enforcing import Enforcer
from pointsman.workflows.library import load_library, read_workflow
from pointsman.workflows.writing import to_yaml, write_new

GUIDELINES = {
    "Order Help": {
        "description": "orders and fees",
        "subflows": {
            "Mystery Fee": {
                "instructions": ["The customer wants a fee removed from their order.", "Wrap up."],
                "actions": [
                    {"button": "Pull up Account", "text": "Get a name for [Pull up Account]"},
                    {"button": "N/A", "text": "Explain", "subtext": ["then [Ask the Oracle] once"]},
                    {"button": "Update Order", "text": "Remove the fee:", "subtext": []},
                ],
            },
            "Boots FAQ": {
                "instructions": ["Find the question:", "are they waterproof, do they stretch"],
                "actions": [{"button": "Boots", "text": "Choose the item"}],
            },
        },
    }
}
KB = {
    "fee": ["pull-up-account", "ask-the-oracle", "update-order"],
    "boots": ["search-boots"],
}
ONTOLOGY: dict[str, Any] = {
    "intents": {"subflows": {"order_help": ["fee", "boots"]}},
    "actions": {
        "kb_query": {"ask-the-oracle": []},
        "interaction": {"pull-up-account": ["customer_name"], "update-order": ["amount"]},
        "faq_policy": {"search-boots": []},
    },
}


class WordVectors:
    """An Embedder that counts stems: texts with the same words are alike."""

    dim = 64

    async def embed(self, texts: Any) -> Vectors:
        made = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(made, texts, strict=True):
            for stem in stems(text):
                row[sum(stem.encode()) % self.dim] += 1.0
        return made / np.maximum(1e-6, np.linalg.norm(made, axis=1, keepdims=True))


@pytest.fixture
def abcd(tmp_path: Path) -> Path:
    folder = tmp_path / "abcd"
    folder.mkdir()
    for name, value in (("guidelines", GUIDELINES), ("kb", KB), ("ontology", ONTOLOGY)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_a_subflow_becomes_a_workflow_with_its_expected_actions(abcd: Path) -> None:
    fee, boots = (workflow_form(s) for s in read_subflows(abcd))
    made = read_workflow(to_yaml(fee), "fee.yaml")
    assert made.name == "order-help-fee"
    assert made.examples == ("I want a fee removed from my order.",)
    assert made.actions is not None
    assert made.actions.allowed(["abcd.pull_up_account"]) == {"abcd.ask_the_oracle"}
    titles = [t["title"] for t in made.plan["tasks"]]
    assert titles[1] == "ask the oracle: then Ask the Oracle once"
    assert boots["examples"] == ["boots: are they waterproof", "boots: do they stretch"]
    known = Catalog(capabilities(abcd))
    assert all(t["capability"] in known for t in made.plan["tasks"])


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("The customer believes they have a problem.", "I believe I have a problem."),
        (
            "Some credit is missing from the customer’s account.",
            "Some credit is missing from my account.",
        ),
        (
            "The customer is wondering if their payment went through",
            "I am wondering if my payment went through",
        ),
    ],
)
def test_guidelines_are_said_in_the_first_person(sentence: str, said: str) -> None:
    assert first_person(sentence) == said


def test_guidelines_that_do_not_agree_are_refused(abcd: Path) -> None:
    (abcd / "kb.json").write_text(json.dumps({"fee": KB["fee"]}))
    with pytest.raises(BadFile, match="no plan for 'boots'"):
        read_subflows(abcd)
    (abcd / "guidelines.json").write_text("[")
    with pytest.raises(BadFile, match="guidelines"):
        read_subflows(abcd)


def test_a_procedure_is_planned_from_words_that_nobody_foresaw(abcd: Path) -> None:
    library = [read_workflow(to_yaml(workflow_form(s)), "x") for s in read_subflows(abcd)]
    planner = WorkflowPlanner(WordVectors(), library)
    catalog = Catalog(capabilities(abcd))

    def planned(text: str) -> Plan | Refusal:
        request = Request(text, datetime(2026, 1, 1, tzinfo=UTC))
        return asyncio.run(planner.plan(request, catalog)).outcome

    found = planned("Please, the fee removed from my order! I want this order fee removed.")
    assert isinstance(found, Plan)
    assert found.source == "workflow:order-help-fee"
    assert isinstance(planned("What is the capital of France?"), Refusal)
    extra = Task(TaskId("x"), "abcd.search_boots")
    with pytest.raises(OutsideWorkflow, match=r"no action of the plan"):
        Enforcer(library).review(Plan((*found.tasks, extra), found.answer, found.source))


def test_what_a_procedure_still_needs_is_asked_for() -> None:
    form = {
        "name": "fee",
        "title": "remove a fee",
        "description": "Removes a fee.",
        "examples": ["I want a fee removed from my order."],
        "parameters": {"amount": {"type": "number", "description": "the amount of the fee"}},
        "plan": {
            "tasks": [
                {
                    "id": "a",
                    "capability": "shop.waive",
                    "arguments": {"amount": {"$param": "amount"}},
                }
            ]
        },
        "actions": ["shop.waive"],
    }
    amount = {"type": "object", "properties": {"amount": {"type": "number"}}}
    catalog = Catalog([Capability("shop.waive", "Waives a fee.", amount, {})])
    planner = WorkflowPlanner(WordVectors(), [read_workflow(to_yaml(form), "fee.yaml")])
    text = "I want a fee removed from my order. Remove a fee! The fee from my order removed, I want"

    def planned(said: str) -> Plan | Refusal:
        request = Request(said, datetime(2026, 1, 1, tzinfo=UTC))
        return asyncio.run(planner.plan(request, catalog)).outcome

    asked = planned(f"{text}.")
    assert isinstance(asked, Refusal)
    assert asked.question == "For 'remove a fee': what is the amount of the fee?"
    found = planned(f"{text}: 12.5")
    assert isinstance(found, Plan)
    assert found.tasks[0].arguments == {"amount": 12.5}


def test_probabilities_of_workflows_and_of_none_sum_to_one() -> None:
    library = [Described("a", "wash the car", ("wash my car",)), Described("b", "mow", ("mow it",))]
    ranker = WorkflowRanker(WordVectors(), library, load_weights())
    ranked = asyncio.run(ranker.rank("Please wash my car. The car has to be washed."))
    assert ranked[0].name == "a"
    assert 0.0 < sum(m.probability for m in ranked) < 1.0
    assert sentences("One. Two? Three") == ["One.", "Two?", "Three"]
    assert asyncio.run(WorkflowRanker(WordVectors(), [], load_weights()).rank("x")) == []


# --- composition, validation -----------------------------------------------------------------------

INNER = """
name: shout
title: shout
description: Shouts.
examples: [shout it]
parameters: {text: {type: string}, times: {type: integer, default: 2}}
plan:
  tasks:
    - {id: up, capability: test.upper, arguments: {text: {$param: text}, times: {$param: times}}}
    - {id: end, capability: test.mark, arguments: {text: {$task: up}}}
"""
OUTER = """
name: tell
title: tell
description: Tells.
examples: [tell them]
parameters: {what: {type: string}}
plan:
  tasks:
    - {id: read, capability: test.read, arguments: {name: {$param: what}}}
    - {id: loud, workflow: shout, parameters: {text: {$task: read}}, when: {ref: {$task: read}}}
    - {id: send, capability: test.send, arguments: {text: {$task: loud}}, after: [loud]}
  answer: [loud, send]
"""


def test_a_workflow_stands_on_another(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(OUTER)
    (tmp_path / "b.yaml").write_text(INNER)
    tell = {w.name: w for w in load_library(tmp_path)}["tell"]
    filled = json.loads(json.dumps(tell.plan).replace('{"$param": "what"}', '"news"'))
    plan = parse_plan(filled)
    assert [t.id for t in plan.tasks] == ["read", "loud_up", "loud_end", "send"]
    assert plan.task(TaskId("loud_up")).arguments["times"] == 2
    assert plan.task(TaskId("send")).inputs() == ("loud_end",)
    assert plan.answer == ("loud_end", "send")
    assert all(plan.task(TaskId(i)).when is not None for i in ("loud_up", "loud_end"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("workflow: shout", "workflow: whisper"), r"at plan \(line 7\): .*no workflow 'whisper'"),
        (("{text: {$task: read}}", "{texts: 1}"), "no parameter texts"),
        (("{text: {$task: read}}", "{}"), "needs text under 'parameters'"),
        (("shout, parameters: {text: {$task: read}}", "tell, parameters: {what: a}"), "stand on each other: tell -> tell"),
        (("capability: test.send", "capabilty: test.send"), r"plan/tasks/2/capability \(line 11\): is missing"),
        (("after: [loud]", "after: [lout]"), "reads 'lout', which no task writes"),
        (("workflow: shout", "workflow: {a: 1}"), "needs an id and a name"),
        (("answer:", "answers:"), r"answers \(line 12\): is not known here"),
        (("answer: [loud, send]", "answer: [send]\nactions: [test.read]"), r"actions \(line 13\): .*breaks them"),
        (("answer: [loud, send]", "answer: [send]\nactions: [x, {repeat: [y]}]"), r"actions/1/repeat \(line 13\)"),
    ],
)  # fmt: skip
def test_a_faulty_workflow_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    (tmp_path / "a.yaml").write_text(OUTER.replace(*change))
    (tmp_path / "b.yaml").write_text(INNER)
    with pytest.raises(BadFile, match=words):
        load_library(tmp_path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "shout.yaml"
    mine.write_text("mine")
    written, kept = write_new(tmp_path, {"shout": INNER, "shout-2": INNER})
    assert (written, kept) == ((tmp_path / "shout-2.yaml",), (mine,))
    assert mine.read_text() == "mine"


# --- the command line ------------------------------------------------------------------------------


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_guidelines_are_imported_checked_and_shown(
    abcd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own"
    assert ran("workflows", "import-abcd", str(abcd), "--out", str(out)) == 0
    assert ran("workflows", "list", "--folder", str(out), "--json") == 0
    listed = {w["name"]: w["binds"] for w in json.loads(capsys.readouterr().out)}
    assert listed["order-help-fee"] is True
    assert listed["ticket-triage"] is False
    assert ran("workflows", "show", "order-help-fee", "--folder", str(out)) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["actions"]["outside"] == "refuse"
    bad = out / "bad.yml"
    bad.write_text(INNER.replace("title", "tilte"))
    assert ran("workflows", "check", str(out / "order-help-fee.yaml"), "--folder", str(abcd)) == 0
    assert ran("workflows", "check", str(bad), "--folder", str(abcd)) == 2
    assert "at title" in capsys.readouterr().err
    assert ran("workflows", "show", "nothing", "--folder", str(abcd)) == 2
