"""Clauses that speak of negative, positive or complaining texts: judged first, then used."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pointsman.router.planning import wishes
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import SURE, Composition, Understood
from pointsman.router.planning.composing.over_texts import text_task, text_wish, topics_of
from pointsman.router.planning.composing.questions import (
    EACH,
    counted,
    steps,
    understood,
    without_score,
)
from pointsman.router.planning.draft import Value
from pointsman.router.planning.retrieval import Hit
from pointsman.router.planning.tables.question import TableQuestion

TOPICS = re.compile(
    r"\b(?:topics?|themes?|main|top|most|common|biggest|frequent|about what|what .* about|reasons?|why)\b",
    re.IGNORECASE,
)


async def by_feeling(
    work: Composition, clause: Clause, source: Value, hits: Sequence[Hit]
) -> Understood | None:
    if source.prose is None or not work.can("text.sentiment"):
        return None
    assert source.table is not None
    known = any(c.name.casefold() == "sentiment" for c in source.table.columns)
    if len(wishes.sentiments(clause.core)) > 1 and not known:
        return await _several(work, clause, source)
    wanted = _wanted(clause, hits)
    if wanted is None or (known and source.maker != "text.sentiment"):
        return None
    judged = source if source.maker == "text.sentiment" else _judged(work, source)
    return await _of_one(work, clause, judged, wanted, hits)


def _wanted(clause: Clause, hits: Sequence[Hit]) -> str | None:
    asks_for_topics = _asks_for_topics(clause.core, hits)
    complaints = wishes.COMPLAINTS.search(clause.core) and asks_for_topics
    problems = wishes.PROBLEMS.search(clause.core) and asks_for_topics
    picked = wishes.ARE_COMPLAINTS.search(clause.core)
    negative = complaints or problems or picked
    return wishes.sentiment(clause.core) or ("negative" if negative else None)


async def _several(work: Composition, clause: Clause, source: Value) -> Understood | None:
    """ "positive and negative ...": all are judged, and counted when that is asked for."""
    judged = _judged(work, source)
    question = await understood(work, clause, without_score(judged))
    if question is not None and _groups(question) and question.score >= SURE:
        return steps(work, _by_sentiment(question), judged)
    if EACH.search(clause.core):
        return counted(work, judged)
    return Understood(judged, 0.9, way="texts")


async def _of_one(
    work: Composition, clause: Clause, judged: Value, wanted: str, hits: Sequence[Hit]
) -> Understood | None:
    """The texts of one feeling, and what is asked of them."""
    picked = wishes.ARE_COMPLAINTS.search(clause.core) is not None
    topics = not picked and _asks_for_topics(clause.core, hits) and work.can("text.topics")
    if not topics:
        question = await understood(work, clause, without_score(judged))
        if question is not None and question.steps and question.score >= SURE:
            return steps(work, question, judged)
    where = [{"column": "sentiment", "op": "eq", "value": wanted}]
    arguments = {"table": judged.argument, "where": where}
    kept = work.add("table.filter", arguments, f"keep the {wanted} ones", judged)
    if topics:
        return topics_of(work, clause, kept)
    others = [h for h in hits if h.capability.name != "text.sentiment"]
    wish = None if picked else text_wish(work, clause, kept, others)
    if wish is not None and wish.capability.name != "text.filter":
        return text_task(work, wish.capability, clause, kept)
    return Understood(kept, 0.9, way="texts")


def _judged(work: Composition, source: Value) -> Value:
    return work.add("text.sentiment", {"texts": source.argument}, "judge the sentiment", source)


def _asks_for_topics(text: str, hits: Sequence[Hit]) -> bool:
    near = any(h.capability.name == "text.topics" and h.score >= 0.4 for h in hits[:4])
    return near and TOPICS.search(text) is not None


def _groups(question: TableQuestion) -> bool:
    return any(len(s.arguments.get("by", ())) > 0 for s in question.steps)


def _by_sentiment(question: TableQuestion) -> TableQuestion:
    """ "positive against negative per product": groups by the sentiment beside what was named."""
    found = []
    for step in question.steps:
        by = list(step.arguments.get("by", ()))
        if by and all(b["column"] != "sentiment" for b in by):
            arguments = {**step.arguments, "by": [*by, {"column": "sentiment"}]}
            step = replace(step, arguments=arguments, title=f"{step.title}, sentiment")
        found.append(step)
    return replace(question, steps=tuple(found))
