"""A clause over a table: a question about it, a wish about its texts, or a task that takes all of it."""

from collections.abc import Sequence
from dataclasses import replace

from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.anything import general
from pointsman.router.planning.composing.composition import (
    FITS,
    SURE,
    Composition,
    Understood,
    reworded,
)
from pointsman.router.planning.composing.feelings import by_feeling
from pointsman.router.planning.composing.over_texts import text_task, text_wish
from pointsman.router.planning.composing.questions import (
    count_each,
    main_topics,
    missing,
    steps,
    understood,
)
from pointsman.router.planning.draft import Value
from pointsman.router.planning.retrieval import Hit
from pointsman.router.planning.tables.question import TableQuestion

WHOLE_TABLE = frozenset(
    ("table.export", "table.duplicates", "table.describe", "table.correlate", "table.outliers")
)
"""What takes a table and hardly a word more."""


async def over_table(
    work: Composition, clause: Clause, source: Value, hits: Sequence[Hit]
) -> Understood | None:
    if source.maker == "table.join" and hits and hits[0].capability.name == "table.join":
        return Understood(source, 0.9, way="table")
    found = count_each(work, clause, source) or main_topics(work, clause, source)
    if found is None:
        found = await by_feeling(work, clause, source, hits)
    if found is None:
        found = await _together(work, clause, source)
    if found is not None:
        return found
    wish = text_wish(work, clause, source, hits)
    question = await understood(work, clause, source)
    if question is not None and _is_sure(question, wish, source):
        found = steps(work, question, source)
        if found is not None and found.value is not None:
            work.asked = (clause.core, source, found.value)
        return found
    if wish is not None:
        return text_task(work, wish.capability, clause, source)
    whole = next((h for h in hits[:2] if h.capability.name in WHOLE_TABLE), None)
    if whole is not None and whole.score >= FITS:
        return await general(work, whole, clause, source)
    return _half_understood(work, question, source)


async def _together(work: Composition, clause: Clause, source: Value) -> Understood | None:
    """ "... and what is their average salary?": asks more of the same groups, so both are asked at once."""
    if work.asked is None or source.maker != "table.aggregate":
        return None
    before, base, value = work.asked
    if value.task != source.task:
        return None
    both = reworded(clause, f"{before} and {clause.core}", refers_back=False)
    question = await understood(work, both, base)
    if question is None or question.missing or question.leftover or question.score < SURE:
        return None
    if len(question.steps) != 1 or question.steps[0].capability != "table.aggregate":
        return None
    found = steps(work, question, base)
    return replace(found, supersedes=value) if found is not None else None


def _half_understood(
    work: Composition, question: TableQuestion | None, source: Value
) -> Understood | None:
    """A question about the table that is not wholly explained: what is missing is said."""
    if question is None:
        return None
    if question.missing or (question.leftover and question.score >= 0.3):
        return missing(question, source)
    if question.steps and question.score >= 0.5:
        return steps(work, question, source)
    return None


def _is_sure(question: TableQuestion, wish: Hit | None, source: Value) -> bool:
    """Whether a clause is a question about the table rather than a wish about its texts."""
    if not question.steps or question.missing or question.score < SURE:
        return False
    if wish is None:
        return True
    conditions = [w for s in question.steps for w in s.arguments.get("where", ())]
    if any(w["column"] == source.prose for w in conditions):
        return False  # what a prose text is like is for an expert to judge
    return question.score > 0.9 and wish.cue < 0.9
