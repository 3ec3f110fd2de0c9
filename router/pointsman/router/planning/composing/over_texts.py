"""Wishes about texts: which capability of the text family a clause asks for, and its tasks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.plan import Condition, Ref
from pointsman.router.planning import texts, wishes
from pointsman.router.planning.arguments.lists import limit
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import FITS, Composition, Understood
from pointsman.router.planning.composing.questions import EACH, LABELS, counted, main_topics
from pointsman.router.planning.draft import Value
from pointsman.router.planning.retrieval import Hit

SCORE = 0.85
NEARLY = 0.12
"""How far below the best hit a text capability may stand and still be meant."""
READ_EXACTLY = ("date.", "math.", "units.")
"""What is read word by word or not at all: no rival of an answer from the texts."""
ASKS_WHEN = re.compile(
    r"(?:(?:at|on|in|for|by|from|until)\s+)?(?:what time|when|how (?:long|much|far|old|often)|where|why|may|can|is|are|"
    r"does|do|must|should)\b",
    re.IGNORECASE,
)
"""Questions that a passage answers, whatever else is named in them."""
ASKS_ONE = re.compile(
    r"(?:what(?:'s| is| was)|which is)\s+(?:the|his|her|their|our|my|its)\s+(?:\w+\s+){0,2}?(?:number|code|id|name|address|date|price|amount|total|deadline|rent|fee|cost|salary)\b(?!\s+and\b)",
    re.IGNORECASE,
)
"""One thing is asked for, and a passage says it."""
TELLS = re.compile(r"(?:tell|find out|say)\b", re.IGNORECASE)
HOW_MANY = re.compile(r"\W*how many\b|\W*count\b|\W*number of\b", re.IGNORECASE)


def text_wish(work: Composition, clause: Clause, source: Value, hits: Sequence[Hit]) -> Hit | None:
    """The text capability that a clause asks for, if one stands out."""
    if not source.has_texts:
        return None
    for hit in hits[:3]:
        name = hit.capability.name
        near = hit.score >= FITS and hit.score >= hits[0].score - NEARLY
        if not texts.is_text_capability(name) or not near:
            continue
        if not source.documents and _is_selection(work, name, clause):
            continue
        asks_one = ASKS_WHEN.match(clause.core) or ASKS_ONE.match(clause.core)
        if source.documents and name == "text.entities" and asks_one:
            continue
        if texts.arguments_for(name, clause.core) is not None:
            return hit
    criterion = wishes.criterion(clause.core)
    if criterion is not None and work.can("text.filter") and not source.documents:
        filter_ = next((h for h in hits if h.capability.name == "text.filter"), None)
        if filter_ is not None and filter_.score >= 0.3:
            return replace(filter_, cue=1.0)
        if wishes.OF_THESE.match(clause.core):
            return Hit(work.draft.catalog["text.filter"], SCORE, meaning=SCORE, words=0.0, cue=1.0)
    return None


def _is_selection(work: Composition, name: str, clause: Clause) -> bool:
    """Whether texts are to be picked by what they are like, although another capability is near."""
    if wishes.criterion(clause.core) is None or not work.can("text.filter"):
        return False
    if name == "text.emotion":
        return not re.search(r"\bemotions?\b|\bmoods?\b", clause.core, re.IGNORECASE)
    return name == "text.search" and clause.question


def over_texts(
    work: Composition, clause: Clause, source: Value, hits: Sequence[Hit]
) -> Understood | None:
    says = source.documents and wishes.SAYS_ABOUT.search(clause.core)
    if says and work.can("text.search"):
        return text_task(work, work.draft.catalog["text.search"], clause, source)
    wish = text_wish(work, clause, source, hits)
    if wish is not None:
        return text_task(work, wish.capability, clause, source)
    asks = clause.question or TELLS.match(clause.core)
    rival = next((h.score for h in hits if not h.capability.name.startswith(READ_EXACTLY)), 0.0)
    if asks and source.documents and work.can("text.answer") and rival < 0.75:
        return text_task(work, work.draft.catalog["text.answer"], clause, source)
    return None


def text_task(
    work: Composition, capability: Capability, clause: Clause, source: Value
) -> Understood | None:
    """None when the clause does not say what the capability needs."""
    name = capability.name
    given = texts.arguments_for(name, clause.text if name == "text.answer" else clause.core)
    if given is None:
        return None
    if name == "text.topics":
        return topics_of(work, clause, source)
    if not source.documents and source.table is not None:
        column = _named_column(clause.core, source)
        if column is not None and "column" in capability.properties:
            given["column"] = column
    arguments = {texts.parameter_of(name): source.argument, **given}
    made = work.add(name, arguments, texts.title_for(name, capability.title, given), source)
    if name == "text.count" and given.get("phrase") is None:
        return Understood(
            made, SCORE, way="texts", also=_other_counts(work, clause, arguments, source)
        )
    return _followed(work, name, clause, source, made)


def _other_counts(
    work: Composition, clause: Clause, arguments: Mapping[str, Any], source: Value
) -> tuple[Value, ...]:
    """ "how many sentences and words": one count for each."""
    return tuple(
        work.add("text.count", {**arguments, "what": what}, f"count {what}", source)
        for what in texts.counted(clause.core)[1:]
    )


def _followed(
    work: Composition, name: str, clause: Clause, source: Value, made: Value
) -> Understood:
    """What the same words ask for besides: counts of the labels, passages where there is no answer."""
    several = not isinstance(source.argument, str)
    overall = name in ("text.sentiment", "text.emotion") and clause.question and several
    if overall or (name in LABELS and EACH.search(clause.core)):
        of_each = counted(work, made)
        if of_each is not None:
            return of_each
    if name == "text.answer" and work.can("text.search"):
        _nearest(work, made, source, clause)
    if name == "text.filter" and HOW_MANY.match(clause.core) and work.can("table.aggregate"):
        arguments = {"table": made.argument, "measures": [{"fn": "count"}]}
        made = work.add("table.aggregate", arguments, "count them", made)
    return Understood(made, SCORE, way="texts")


def topics_of(work: Composition, clause: Clause, source: Value) -> Understood:
    given = texts.arguments_for("text.topics", clause.core) or {}
    arguments = {"texts": source.argument, **given}
    grouped = work.add("text.topics", arguments, "group by topic", source)
    listed = main_topics(work, clause, grouped) if limit(clause.core) else None
    return listed or Understood(grouped, 0.9, way="texts")


def _nearest(work: Composition, answer: Value, source: Value, clause: Clause) -> None:
    """Where the texts do not say, the passages that come nearest are shown instead."""
    query = wishes.search_query(clause.core)
    arguments = {"texts": source.argument, "query": query, "limit": 3}
    found = work.add("text.search", arguments, "show the nearest passages", source)
    assert isinstance(answer.argument, Ref)
    condition = Condition(Ref(answer.argument.task, ("text",)), "missing")
    work.draft.only_when(found, condition)


def _named_column(text: str, source: Value) -> str | None:
    """A column of prose that the clause names as a column."""
    assert source.table is not None
    for column in source.table.columns:
        name = re.escape(column.name)
        if re.search(rf"\b{name}\s+column\b|\bcolumn\s+[\"']?{name}\b", text, re.IGNORECASE):
            return column.name
    return None
