"""The planner that needs no language model: clauses, retrieval, composition by type, and how sure it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pointsman.router.catalog import Catalog
from pointsman.router.errors import EmptyRequest, PlanError, RequestTooLong
from pointsman.router.plan import TaskId, validate
from pointsman.router.planning.base import Considered, Embedder, Proposal, Refusal, Request
from pointsman.router.planning.clauses import Clause, split
from pointsman.router.planning.composer import Composer
from pointsman.router.planning.composing.anything import accounted
from pointsman.router.planning.composing.composition import Understood
from pointsman.router.planning.confidence import Confidence, Evidence, confidence, together
from pointsman.router.planning.cues import built_in
from pointsman.router.planning.draft import Draft, Value
from pointsman.router.planning.following_up import follow_up
from pointsman.router.planning.foreign import Foreign
from pointsman.router.planning.learned.chooser import SetChooser
from pointsman.router.planning.mentions import find_mentions
from pointsman.router.planning.retrieval import Retrieval
from pointsman.router.values import Json

LEAD_IN = re.compile(
    r"^(\W*(?:from|in|for|using|with|about|regarding|re|on|based on|given|according to)\b[^.:!?\n]{0,60}(?:\.\w{2,5})?):(?=\s)",
    re.IGNORECASE,
)
"""\"In lease.txt: what is the rent\": the colon ends a clause that only says where."""
GREETING = re.compile(
    r"^\W*(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|greetings)\b(?:\s+(?:there|you|pointsman|everyone|all))?\W*)?"
    r"(?P<asks>(?:what (?:else )?(?:can|do) you (?:do|offer|know)(?: for (?:me|us))?|what are you(?: able to do| good at)?|who are you|"
    r"how (?:can|could) you help(?: me| us)?|how does this work|what is this|help(?: me)?)\W*)?$",
    re.IGNORECASE,
)
THANKS = re.compile(
    r"^\W*(?:(?:ok|okay|great|perfect|good|nice|cool|super|wonderful|awesome)\W+)*"
    r"(?:thanks?(?: you)?(?: (?:so|very) much| a lot)?|cheers|that(?:'s| is) (?:all|it)|bye|goodbye)\W*$",
    re.IGNORECASE,
)
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
READ_AS: dict[str, str] = {
    "exact": "read word by word",
    "table": "read as a question about the table",
    "texts": "read as a wish about the texts",
    "capability": "read as one capability",
    "foreign": "read as one capability",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A clause, what it came to, and how sure that is. context: it only repeats an earlier turn."""

    clause: Clause
    found: Understood
    evidence: Evidence | None = None
    sure: float = 0.0
    context: bool = False


class EmbeddedPlanner:
    """Plans by words, types and sentence vectors. Raises RequestError for requests that cannot be read.

    judged: how sure a reading is; without it the one that ships. retrieval: what it knows of the catalogs.
    cache: a folder for what takes long to fit.
    """

    name = "embedded"

    def __init__(
        self, embedder: Embedder, *, judged: Confidence | None = None, cache: Path | None = None
    ) -> None:
        self._embedder = embedder
        self.retrieval = Retrieval(embedder)
        self._foreign = Foreign(embedder, cache)
        self._chooser = SetChooser(embedder)
        self._judged = judged if judged is not None else confidence()

    async def warm(self, catalog: Catalog) -> None:
        """Embeds the catalog, so that the first request does not wait for it."""
        await self.retrieval.top("count the rows", catalog, 1)
        await self._foreign.outside("book a flight", catalog)
        if not all(built_in(c.name) for c in catalog):
            await self._chooser.weigh("book a flight", catalog)

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        """The plan with its confidence; what was read with less than the least one is refused, not guessed."""
        return (await self.weighed(request, catalog))[0]

    async def weighed(self, request: Request, catalog: Catalog) -> tuple[Proposal, list[Reading]]:
        """The plan, and how each clause was read: what the confidence is fitted to."""
        composer, readings = await self._readings(request, catalog)
        least = self._judged.least.confidence
        kept = [r if r.found.value is None or r.sure >= least else _doubted(r) for r in readings]
        return await self._proposal(request, catalog, composer, kept), readings

    async def _readings(self, request: Request, catalog: Catalog) -> tuple[Composer, list[Reading]]:
        """How each clause of a request is read, right or not: what the confidence is fitted to."""
        said = follow_up(replace(request, text=LEAD_IN.sub(r"\1.", request.text.strip())))
        request = said.request
        text = request.text
        if not re.search(r"\w", text):
            raise EmptyRequest
        if len(text) > LONGEST:
            raise RequestTooLong(len(text), LONGEST)
        mentions = find_mentions(text, request.files)
        clauses = split(text, mentions)[:CLAUSES]
        draft = Draft(catalog)
        draft.assumptions += [f"{a} was taken as {b}" for a, b in mentions.corrected]
        draft.assumptions += said.assumptions
        composer = Composer(request, mentions, draft, self.retrieval, self._embedder, self._chooser)
        focus: Value | None = None
        readings: list[Reading] = []
        for clause in clauses:
            found = await composer.clause(clause, focus)
            read = await self._judge(composer, clause, found)
            readings.append(replace(read, context=clause.start < said.begins))
            focus = found.value or focus
        return composer, readings

    async def _judge(self, composer: Composer, clause: Clause, found: Understood) -> Reading:
        """The evidence for a reading."""
        if found.value is None or found.way == "":
            return Reading(clause, found)
        catalog, hits = composer.draft.catalog, composer.hits
        outside = await self._foreign.outside(clause.core, catalog)
        evidence = Evidence(
            found.way,
            found.score,
            found.share,
            accounted(clause.core, composer.said_by_tasks()),
            composer.likeness_of(found, clause.core),
            hits[0].score - hits[1].score if len(hits) > 1 else 1.0,
            hits[0].cue if hits else 1.0,
            outside.odds,
            outside.nearness,
            len(composer.draft.assumptions),
            len(clause.core.split()),
            clause.refers_back,
        )
        return Reading(clause, found, evidence, self._judged.of(evidence))

    async def _proposal(
        self, request: Request, catalog: Catalog, composer: Composer, readings: Sequence[Reading]
    ) -> Proposal:
        told = [r for r in readings if not r.context]
        considered = (*self._explained(readings), *composer.considered)
        done = [r for r in told if r.found.value is not None and r.found.value.task is not None]
        failed = [r.found for r in told if r.found.value is None]
        if not done:
            return await self._refused(request, catalog, failed, considered)
        draft = composer.draft
        draft.answers = _answers(draft, [(r.clause, r.found) for r in done])
        draft.unserved = [u.why for u in failed]
        sure = together([r.sure for r in readings if r.evidence is not None])
        plan = draft.plan(sure)
        try:
            validate(plan, catalog)
        except PlanError as error:
            refusal = Refusal(f"I could not put together how to do this ({error})")
            return Proposal(refusal, 0.0, considered)
        return Proposal(plan, plan.confidence, considered)

    def _explained(self, readings: Sequence[Reading]) -> list[Considered]:
        """How each clause was read and how sure that is, in words."""
        least = self._judged.least
        made: list[Considered] = []
        for read in readings:
            if read.evidence is None:
                continue
            passes = read.sure >= least.confidence
            told = "taken" if passes else "not taken: less than"
            limit = (
                f"{told} at least {least.confidence:.2f}"
                if passes
                else f"{told} {least.confidence:.2f}"
            )
            detail: dict[str, Json] = {
                "clause": read.clause.core[:120],
                "decision": f"sure to {read.sure:.2f}, {limit}, which {least.coverage:.0%} of right readings reach",
                "reasons": list(self._judged.reasons(read.evidence)),
            }
            made.append(Considered(READ_AS[read.evidence.way], round(read.sure, 3), detail))
        return made

    async def _refused(
        self,
        request: Request,
        catalog: Catalog,
        failed: Sequence[Understood],
        considered: tuple[Considered, ...],
    ) -> Proposal:
        courtesy = _courtesy(request.text, catalog)
        if courtesy is not None:
            return Proposal(courtesy, 0.0, considered)
        hits = await self.retrieval.top(request.text[:2_000], catalog, 5)
        near = [h for h in hits if h.score >= NEAR]
        could_do = tuple(h.capability.title for h in near) or _overview(catalog)
        why = failed[0].why if failed else "I found nothing in this that I can do"
        question = next((u.question for u in failed if u.question), None)
        return Proposal(Refusal(why, could_do, question), 0.0, considered)


def _doubted(read: Reading) -> Reading:
    """A reading that is too unsure to be carried out."""
    why = f"nothing I have does {read.clause.core.strip(' .?!')[:150]!r}"
    return replace(read, found=Understood(None, 0.0, why))


def _courtesy(text: str, catalog: Catalog) -> Refusal | None:
    """What is answered to a greeting, to thanks, and to who asks what can be done here."""
    if THANKS.match(text):
        return Refusal("You are welcome")
    greeting = GREETING.match(text)
    if greeting is None:
        return None
    hello = (
        "" if greeting["asks"] and not re.match(r"\W*(?:hi|hello|hey)\b", text, re.I) else "Hello. "
    )
    why = f"{hello}I plan what you ask for and do it with what is registered here; attach files when it is about them"
    return Refusal(why, _overview(catalog))


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
    for place, (clause, found) in enumerate(done):
        task = values[place].task
        assert task is not None
        later = [v.task for v in values[place + 1 :] if v.task is not None]
        consumed = any(task in _before(other, inputs) for other in later)
        asked = clause.question and SHOWN.match(clause.core) is not None
        if task not in superseded and (not consumed or asked):
            answers.append(task)
            answers += [v.task for v in found.also if v.task is not None]
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
