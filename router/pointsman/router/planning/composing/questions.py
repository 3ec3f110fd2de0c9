"""Steps over a table: a question that was understood, how many of each label, the largest topics."""

import re
from dataclasses import replace

from pointsman.router.plan import Ref
from pointsman.router.planning.arguments.lists import limit
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import Composition, Understood, goes_on
from pointsman.router.planning.draft import Value
from pointsman.router.planning.tables.question import TableQuestion, understand

LABELS = {"text.classify": "label", "text.sentiment": "sentiment", "text.emotion": "emotion"}
"""The column that what labels texts adds."""
EACH = re.compile(r"\b(?:count(?:s|ed)?|how many|number of|tally|totals?)\b", re.IGNORECASE)
PLAIN_COUNT = re.compile(
    r"^\W*(?:and\s+)?(?:then\s+)?(?:also\s+)?(?:give|show|tell|list|return|report)?\s*(?:me|us)?\s*(?:with\s+)?(?:the\s+|their\s+)?(?:count|tally|number|how many)\b"
    r"(?:\s+(?:them|these|those|each|of|per|by|the|in|for|every|are|there|class|label|category|type|one|how|many|group|topic|tickets?|sentiment|emotion|kind|s)\b|\s|s\b)*\W*$",
    re.IGNORECASE,
)
GROUP_MAIN = re.compile(
    r"\b(?:main|top|biggest|most|largest|common|frequent|major|key|leading|chief)\b", re.IGNORECASE
)


async def understood(work: Composition, clause: Clause, source: Value) -> TableQuestion | None:
    """What a clause asks of a table, if anything."""
    if source.table is None or not isinstance(source.argument, Ref):
        return None
    return await understand(
        work.bare(clause.core) or clause.core,
        source.table,
        now=work.request.now,
        embedder=work.embedder,
        refers_back=clause.refers_back or goes_on(clause),
    )


def steps(work: Composition, question: TableQuestion, source: Value) -> Understood | None:
    """The tasks of a question; None when the catalog lacks one of them."""
    if not all(work.can(s.capability) for s in question.steps):
        return None
    value = source
    for step in question.steps:
        name = "tables" if step.capability == "table.sql" else "table"
        value = work.add(
            step.capability,
            {name: value.argument, **step.arguments},
            step.title[:1].lower() + step.title[1:],
            value,
        )
    score = min(1.0, question.score + 0.1)
    return Understood(value, score, way="table", share=question.score)


def missing(question: TableQuestion, source: Value) -> Understood:
    """Names what the table does not have, beside what it has."""
    what = question.missing or ", ".join(question.leftover[:3])
    assert source.table is not None
    names = ", ".join(c.name for c in source.table.columns[:30])
    return Understood(
        None,
        0.0,
        f"{source.table.name} has nothing that I can read as {what!r}; its columns are: {names}",
        "Which column do you mean?",
        way="table",
    )


def count_each(work: Composition, clause: Clause, source: Value) -> Understood | None:
    """ "and count them" after texts were labelled: how many of each label."""
    return counted(work, source) if PLAIN_COUNT.match(clause.core) else None


def counted(work: Composition, source: Value) -> Understood | None:
    """How many there are of each label; None when `source` was not labelled."""
    column = LABELS.get(source.maker)
    if column is None or not work.can("table.aggregate"):
        return None
    arguments = {
        "table": source.argument,
        "measures": [{"fn": "count"}],
        "by": [{"column": column}],
    }
    made = work.add("table.aggregate", arguments, f"count by {column}", source)
    return Understood(made, 0.9, way="table")


def main_topics(work: Composition, clause: Clause, source: Value) -> Understood | None:
    """The largest of groups that were made by meaning."""
    if source.maker != "text.topics" or not work.can("table.sort"):
        return None
    wanted = limit(clause.core)
    if wanted is None and not GROUP_MAIN.search(clause.core) and not EACH.search(clause.core):
        return None
    arguments = {"table": source.argument, "by": "count", "descending": True, "limit": wanted}
    title = f"the {wanted} largest topics" if wanted else "largest topics first"
    return Understood(work.add("table.sort", arguments, title, source), 0.9, way="table")


def without_score(judged: Value) -> Value:
    """The judged table as questions see it: "most negative reviews" counts them, it averages no score."""
    if judged.table is None:
        return judged
    columns = tuple(c for c in judged.table.columns if c.name != "sentiment_score")
    return replace(judged, table=replace(judged.table, columns=columns))
