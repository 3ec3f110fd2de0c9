"""The planner that needs no language model: clauses, retrieval, composition by type."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pointsman.router.catalog import Catalog
from pointsman.router.errors import EmptyRequest, PlanError, RequestTooLong
from pointsman.router.plan import TaskId, validate
from pointsman.router.planning.base import Considered, Embedder, Proposal, Refusal, Request
from pointsman.router.planning.clauses import Clause, split
from pointsman.router.planning.composer import Composer
from pointsman.router.planning.composing.composition import Understood
from pointsman.router.planning.draft import Draft, Value
from pointsman.router.planning.foreign import Foreign
from pointsman.router.planning.mentions import find_mentions
from pointsman.router.planning.retrieval import Retrieval

LEAD_IN = re.compile(
    r"^(\W*(?:from|in|for|using|with|about|regarding|re|on|based on|given|according to)\b[^.:!?\n]{0,60}(?:\.\w{2,5})?):(?=\s)",
    re.IGNORECASE,
)
"""\"In lease.txt: what is the rent\": the colon ends a clause that only says where."""
LONGEST = 20_000
NEAR = 0.42
"""Score at which a capability is worth naming when a request is refused."""
OVERVIEW = (
    "table.aggregate",
    "text.search",
    "text.summarize",
    "text.topics",
    "text.entities",
    "units.convert",
    "chart.draw",
)
CLAUSES = 20
"""More clauses than this in one request are more than one person asks at once."""
SHOWN = re.compile(
    r"^(?:(?:which|what|who|how|when|where|is|are|does|do|did|was|were)\b|(?:and\s+)?(?:show|list|give|tell|print|display)\b)",
    re.IGNORECASE,
)


class EmbeddedPlanner:
    """Plans by words, types and sentence vectors. Raises RequestError for requests that cannot be read."""

    name = "embedded"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._retrieval = Retrieval(embedder)
        self._foreign = Foreign(embedder)

    async def warm(self, catalog: Catalog) -> None:
        """Embeds the catalog, so that the first request does not wait for it."""
        await self._retrieval.rank("count the rows", catalog)
        await self._foreign.nearness("book a flight")

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        text = LEAD_IN.sub(r"\1.", request.text.strip())
        request = replace(request, text=text)
        if not re.search(r"\w", text):
            raise EmptyRequest
        if len(text) > LONGEST:
            raise RequestTooLong(len(text), LONGEST)
        mentions = find_mentions(text, request.files)
        clauses = split(text, mentions)[:CLAUSES]
        draft = Draft(catalog)
        for written, taken in mentions.corrected:
            draft.assumptions.append(f"{written} was taken as {taken}")
        composer = Composer(request, mentions, draft, self._retrieval, self._embedder)
        outcomes = await self._compose(composer, clauses)
        return await self._proposal(request, catalog, composer, outcomes)

    async def _compose(
        self, composer: Composer, clauses: Sequence[Clause]
    ) -> list[tuple[Clause, Understood]]:
        focus: Value | None = None
        outcomes: list[tuple[Clause, Understood]] = []
        for clause in clauses:
            if await self._is_foreign(composer, clause):
                why = f"nothing I have does {clause.core.strip(' .?!')[:150]!r}"
                outcomes.append((clause, Understood(None, 0.0, why)))
                continue
            found = await composer.clause(clause, focus)
            outcomes.append((clause, found))
            if found.value is not None:
                focus = found.value
        return outcomes

    async def _is_foreign(self, composer: Composer, clause: Clause) -> bool:
        """A question to given texts or to a table that understands it is never foreign."""
        if clause.question and composer.sources.has_documents:
            return False
        catalog = composer.draft.catalog
        foreign = await self._foreign.is_foreign(clause.core, catalog, self._retrieval)
        return foreign and not await composer.sources.fits_a_table(clause)

    async def _proposal(
        self,
        request: Request,
        catalog: Catalog,
        composer: Composer,
        outcomes: Sequence[tuple[Clause, Understood]],
    ) -> Proposal:
        considered = tuple(composer.considered)
        done = [(c, u) for c, u in outcomes if u.value is not None and u.value.task is not None]
        failed = [(c, u) for c, u in outcomes if u.value is None]
        if not done:
            return await self._refused(request, catalog, failed, considered)
        draft = composer.draft
        draft.answers = _answers(draft, done)
        draft.unserved = [u.why for _, u in failed]
        plan = draft.plan(sum(u.score for _, u in done) / len(outcomes))
        try:
            validate(plan, catalog)
        except PlanError as error:
            refusal = Refusal(f"I could not put together how to do this ({error})")
            return Proposal(refusal, 0.0, considered)
        return Proposal(plan, plan.confidence, considered)

    async def _refused(
        self,
        request: Request,
        catalog: Catalog,
        failed: Sequence[tuple[Clause, Understood]],
        considered: tuple[Considered, ...],
    ) -> Proposal:
        hits = await self._retrieval.rank(request.text[:2_000], catalog)
        near = [h for h in hits[:5] if h.score >= NEAR]
        could_do = tuple(h.capability.title for h in near) or _overview(catalog)
        first = failed[0][1] if failed else None
        why = first.why if first else "I found nothing in this that I can do"
        question = next((u.question for _, u in failed if u.question), None)
        return Proposal(Refusal(why, could_do, question), 0.0, considered)


def _overview(catalog: Catalog) -> tuple[str, ...]:
    """One capability of each family, when nothing in particular is near to the request."""
    return tuple(catalog[n].title for n in OVERVIEW if n in catalog) or tuple(
        c.title for c in list(catalog)[:5]
    )


def _answers(draft: Draft, done: Sequence[tuple[Clause, Understood]]) -> list[TaskId]:
    """What each clause came to, but not what was only a step to a later clause's result."""
    values = [u.value for _, u in done if u.value is not None]
    inputs = {t.id: set(t.inputs()) for t in draft.tasks}
    superseded = {u.supersedes.task for _, u in done if u.supersedes is not None}
    answers: list[TaskId] = []
    for place, (clause, _) in enumerate(done):
        task = values[place].task
        assert task is not None
        later = [v.task for v in values[place + 1 :] if v.task is not None]
        consumed = any(task in _before(other, inputs) for other in later)
        asked = clause.question and SHOWN.match(clause.core) is not None
        if task not in superseded and (not consumed or asked):
            answers.append(task)
    return answers


def _before(task: TaskId, inputs: dict[TaskId, set[TaskId]]) -> set[TaskId]:
    """Every task that another stands on."""
    found: set[TaskId] = set()
    waiting = list(inputs[task])
    while waiting:
        id = waiting.pop()
        if id not in found:
            found.add(id)
            waiting.extend(inputs[id])
    return found
