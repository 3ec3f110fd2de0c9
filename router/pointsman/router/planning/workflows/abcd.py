"""ABCD's guidelines as workflows: one for each sub-flow, with its expected action plan.

ABCD (Chen et al. 2021, "Action-Based Conversations Dataset", arXiv 2104.00783; MIT) describes customer service as
flows and sub-flows. `guidelines.json` has their texts, `kb.json` the actions of each in order, `ontology.json`
the actions with their slots. The names in guidelines.json are titles; they are those of ontology.json in the same
order.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pointsman.router.catalog import Capability
from pointsman.router.errors import BadFile

PREFIX = "abcd."
BUTTON = re.compile(r"\[([^\]]+)\]")
BUTTONS = {
    "notify internal team": "notify-team",
    "membership privileges": "membership",
    "enter detail": "enter-details",
    "log out/in": "log-out-in",
    "select answer": "select-faq",
}
"""Where a button is not called as the action is."""
SENTENCE = re.compile(r"(?<=[.?!:])\s+")
LISTED = re.compile(r"[,?]\s+")
AGENT = re.compile(
    r"""\bflow\b|\bsurvey\b|\bapologize\b|\bconversation|\bwrap(s)?\ up\b|\bas\ (usual|always)\b
    |\bnatural\ language\b|\bright\ or\ wrong\b|\bfollowing\b|\bset\ of\ actions\b|\bask\ (if\ they|the\ customer)\b
    |\blikely\b|\bconsider\b|^(ask|if\ you\ have|help|to\ proceed|start|let|choose|pick|please|feel|remember|keep|explain|be|in\ this|in\ all|make|act
    |shuffle|share|the\ system|if\ you|if\ the\ customer\ (does|do)|to\ get|that’s|valid)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Sentences that tell the agent what to do, or speak of another sub-flow."""
SAID = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"\b(the customer|customers|they) (is|are)\b", "I am"),
        (r"\b(the customer|customer|they) has\b|\bthey have\b", "I have"),
        (r"\b(the )?customers? (search|wish)es\b", r"I \2"),
        (r"\b(the )?customers? (\w+?)s\b", r"I \2"),
        (r"\band wants\b", "and want"),
        (r"\bthey were\b", "I was"),
        (r"\b(the )?customers?[’']s?\b|\btheir\b", "my"),
        (r"\b(the )?customers?\b|\bthey\b", "I"),
        (r"\bthem\b", "me"),
    )
)
PLACES = ("guidelines.json", "kb.json", "ontology.json")


class StepIn(BaseModel):
    model_config = ConfigDict(extra="ignore")

    button: str
    text: str
    subtext: list[str] = []


class SubflowIn(BaseModel):
    model_config = ConfigDict(extra="ignore")

    instructions: list[str]
    actions: list[StepIn]


class FlowIn(BaseModel):
    model_config = ConfigDict(extra="ignore")

    description: str
    subflows: dict[str, SubflowIn]


@dataclass(frozen=True, slots=True)
class Subflow:
    """key: its name in kb.json. actions: with the guideline's text of each step, in order."""

    key: str
    flow: str
    title: str
    area: str
    instructions: tuple[str, ...]
    actions: tuple[tuple[str, str], ...]


def read_subflows(folder: Path) -> tuple[Subflow, ...]:
    """Raises BadFile when a file is missing, is not what it should be, or the three do not agree."""
    guidelines, kb, ontology = (_json(folder / name) for name in PLACES)
    try:
        flows = {_key(k): FlowIn.model_validate(v) for k, v in guidelines.items()}
        names: Mapping[str, list[str]] = ontology["intents"]["subflows"]
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(str(folder), f"guidelines or ontology have another form: {error}") from error
    found: list[Subflow] = []
    for flow, form in flows.items():
        keys = names.get(flow, [])
        if len(keys) != len(form.subflows):
            raise BadFile(
                PLACES[2], f"flow {flow!r} has {len(keys)} sub-flows, not {len(form.subflows)}"
            )
        for key, (title, subflow) in zip(keys, form.subflows.items(), strict=True):
            if key not in kb:
                raise BadFile(PLACES[1], f"it has no plan for {key!r}")
            found.append(_subflow(key, flow, title, form.description, subflow, kb[key]))
    return tuple(found)


def workflow_form(subflow: Subflow) -> dict[str, Any]:
    """The YAML form of a sub-flow's workflow."""
    tasks: list[dict[str, Any]] = []
    before: list[str] = []
    for action, text in subflow.actions:
        tasks.append(
            {"id": action, "capability": capability_name(action), "title": text, "after": before}
        )
        before = [action]
    about = _about(subflow)
    return {
        "name": f"{subflow.flow}-{subflow.key}".replace("_", "-"),
        "title": f"{subflow.flow.replace('_', ' ')}: {subflow.title.lower()}",
        "description": " ".join([*about, f"({subflow.area})"]),
        "examples": (about if _is_faq(subflow) else [first_person(a) for a in about])
        or [subflow.title],
        "plan": {"tasks": tasks, "answer": before},
        "actions": {
            "steps": [capability_name(a) for a, _ in subflow.actions],
            "outside": "refuse",
        },
    }


def capabilities(folder: Path) -> tuple[Capability, ...]:
    """The ontology's actions as capabilities, so that the workflows' plans can be validated. Raises BadFile."""
    kinds = _json(folder / PLACES[2])["actions"]
    found: list[Capability] = []
    for kind, actions in kinds.items():
        for action, slots in actions.items():
            words = action.replace("-", " ")
            asks = f", with {', '.join(slots).replace('_', ' ')}" if slots else ""
            found.append(
                Capability(
                    capability_name(action),
                    f"{words} ({kind.replace('_', ' ')}){asks}",
                    {"type": "object", "properties": {s: {"type": "string"} for s in slots}},
                    {},
                    title=words,
                    effect="pure" if kind == "faq_policy" else "once",
                )
            )
    return tuple(found)


def capability_name(action: str) -> str:
    return PREFIX + action.replace("-", "_")


def _subflow(
    key: str, flow: str, title: str, area: str, form: SubflowIn, actions: list[str]
) -> Subflow:
    texts: dict[str, str] = {}
    for step in form.actions:
        texts.setdefault(_action(step.button), _plain(step.text))
    for step in form.actions:  # an action that is only spoken of inside another step
        for line in (step.text, *step.subtext):
            for name in BUTTON.findall(line):
                texts.setdefault(_action(name), _plain(line))
    told = tuple((a, _told(texts, a)) for a in actions)
    return Subflow(key, flow, title, area, tuple(form.instructions), told)


def _told(texts: Mapping[str, str], action: str) -> str:
    words = action.replace("-", " ")
    text = texts.get(action) or texts.get(action.removeprefix("search-")) or ""
    return f"{words}: {text}" if len(text) > 1 else words


def _action(button: str) -> str:
    name = button.lower().strip()
    return BUTTONS.get(name, name.replace(" ", "-"))


def _plain(text: str) -> str:
    return " ".join(BUTTON.sub(r"\1", text).split()).rstrip(":. ")


def _about(subflow: Subflow) -> list[str]:
    """What the instructions say of the customer; the questions, where the guideline lists them."""
    if _is_faq(subflow):
        topic = subflow.title.removesuffix(" FAQ").lower()
        listed = [p.strip(" ?") for line in subflow.instructions[1:] for p in LISTED.split(line)]
        return [f"{topic}: {p}" for p in listed if p]
    sentences = [s.strip() for line in subflow.instructions for s in SENTENCE.split(line)]
    return [s for s in sentences if s and not AGENT.search(s)]


def _is_faq(subflow: Subflow) -> bool:
    """Its guideline lists the questions that customers ask."""
    return f"search-{subflow.key}" in {a for a, _ in subflow.actions}


def first_person(sentence: str) -> str:
    """A sentence about the customer as the customer would say it: "The customer wants" is "I want"."""
    text = sentence
    for pattern, words in SAID:
        text = pattern.sub(words, text)
    return text[:1].upper() + text[1:]


def _key(title: str) -> str:
    return title.lower().replace(" ", "_").replace("-", "_")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(str(path), str(error)) from error
