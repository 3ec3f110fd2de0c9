"""A planner that asks a language model, and takes its plan task by task while it streams.

The model sees the request, profiles of the files and the capabilities that are nearest to the user's words,
and can call no others. Its answer is mended by rule (repair.py), checked for where its values come from
(provenance.py) and proved valid. On a fault that no rule mends it is asked once more with the exact error; then
it is a refusal. An answer that breaks off is asked for once more. Whatever a server does, `plan` returns a Proposal: the cascade goes on with confidence 0.
"""

import json
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import EmptyRequest, ExpertError, ExpertFailed, PlanError
from pointsman.router.plan import Plan, Task
from pointsman.router.planning.base import Considered, Proposal, Refusal, Request
from pointsman.router.planning.llm.client import ChatClient, Message
from pointsman.router.planning.llm.prompt import answer_schema, named, system_prompt, user_prompt
from pointsman.router.planning.llm.provenance import LASTING, ForeignValue, Sources
from pointsman.router.planning.llm.reading import Reading
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.streaming import Planned, RequestAgain, Withdrawn
from pointsman.router.usage import Usage

Retrieve: TypeAlias = Callable[[Request, Catalog, int], Awaitable[Sequence[Capability]]]
NEAR, MANY = 2, 20
"""Among the NEAR nearest by meaning, of a catalog of at least MANY, a capability with a lasting effect counts as
asked for, though in words that its description does not have."""


class LLMPlanner:
    """A `Planner` and `StreamingPlanner` behind an OpenAI-compatible server.

    retrieve: the capabilities nearest to the words of a request, best first; without it they are ranked by
    words in common. It must not look at the text of files. shown: how many capabilities the model sees; all,
    when the catalog has no more. effects: "asked" offers capabilities with a `keyed` or `once` effect only
    when the user's words ask for them, "all" as any other. confidence: of a plan that was valid at once; a
    corrected one gets three quarters of it.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        retrieve: Retrieve | None = None,
        shown: int = 48,
        confidence: float = 0.8,
        effects: Literal["asked", "all"] = "asked",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = f"llm:{settings.model}"
        self._settings = settings
        self._client = ChatClient(settings, clock=clock)
        self._retrieve = retrieve or by_words
        self._shown = shown
        self._confidence = confidence
        self._effects = effects

    async def plan(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> Proposal:
        """deadline: seconds since the epoch. Raises EmptyRequest only."""
        async with aclosing(self.plan_stream(request, catalog, deadline=deadline)) as planned:
            async for item in planned:
                if isinstance(item, Proposal):
                    return item
        raise AssertionError("plan_stream ends with a Proposal")

    async def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        """Each task as soon as it is whole, valid and its inputs were given; the Proposal last.

        `Withdrawn` voids the tasks before it. Closing the iterator closes the connection. A task's
        effects are not to be started before the Proposal unless it is pure: it may yet be withdrawn.
        """
        if not request.text.strip():
            raise EmptyRequest
        own = self._client.deadline()
        until = own if deadline is None else min(own, deadline)
        failed = request.failed if isinstance(request, RequestAgain) else ()
        sources = Sources.of(request, (f.why for f in failed))
        offered = await self._offered(request, catalog, sources)
        files = named(request.files)
        messages: list[Message] = [
            {"role": "system", "content": system_prompt(offered, self._settings.format)},
            {"role": "user", "content": user_prompt(request, files)},
        ]
        call = _Call(self._client, offered, until)
        usage, fault, question = Usage(), "", None
        for share in (1.0, 0.75):
            reading = Reading(
                Catalog(offered),
                files,
                sources,
                self.name,
                self._confidence * share,
                self._settings.format,
                failed,
            )
            heard = _Answer(reading)
            async with aclosing(call.listen(heard, messages)) as tasks:
                async for task in tasks:
                    yield task
            usage += heard.usage
            fault, question = heard.fault, heard.question
            if reading.given and not isinstance(heard.outcome, Plan):
                yield Withdrawn(fault or "the model found no plan after all")
            if heard.outcome is not None:
                yield self._proposed(heard.outcome, offered, usage)
                return
            if heard.hopeless:
                yield self._refused(fault, offered, usage)
                return
            if not heard.broke_off:
                messages = [*messages[:2], *correction("".join(heard.text), fault)]
        why = fault if heard.broke_off else f"the planning model made no valid plan: {fault}"
        yield self._refused(why, offered, usage, question)

    async def close(self) -> None:
        await self._client.close()

    async def _offered(
        self, request: Request, catalog: Catalog, sources: Sources
    ) -> Sequence[Capability]:
        """By the user's words alone: what stands in data changes nothing of what may be called."""
        again = request.open if isinstance(request, RequestAgain) else ()
        many = len(catalog) > self._shown
        lasting = self._effects == "asked" and any(c.effect in LASTING for c in catalog)
        nearest: Sequence[Capability] = tuple(catalog)
        if many or lasting:
            nearest = await self._retrieve(request, catalog, max(self._shown, NEAR))
        by_meaning = self._retrieve is not by_words and len(catalog) >= MANY
        near = {c.name for c in nearest[:NEAR]} if by_meaning else set()
        chosen = nearest[: self._shown] if many else tuple(catalog)
        known = {c.name for c in chosen}
        offered = [*chosen, *(c for c in again if c.name not in known)]
        if self._effects == "all":
            return offered
        return [c for c in offered if c.effect not in LASTING or c.name in near or sources.wants(c)]

    def _proposed(
        self,
        outcome: Plan | tuple[str, str | None],
        offered: Sequence[Capability],
        usage: Usage,
    ) -> Proposal:
        if isinstance(outcome, Plan):
            sure = outcome.confidence
            return Proposal(outcome, sure, self._considered(sure, usage))
        why, question = outcome
        return self._refused(why, offered, usage, question)

    def _refused(
        self,
        why: str,
        offered: Sequence[Capability],
        usage: Usage,
        question: str | None = None,
    ) -> Proposal:
        could_do = tuple(c.title or c.name for c in offered[:5])
        return Proposal(Refusal(why, could_do, question), 0.0, self._considered(0.0, usage))

    def _considered(self, score: float, usage: Usage) -> tuple[Considered, ...]:
        return (Considered(self.name, score, usage.to_json()),)


@dataclass(slots=True)
class _Answer:
    """One answer of the model, and what came of it. fault: why it is no plan; question: what to ask then.

    broke_off: the connection did, in the middle; hopeless: to ask again would not help.
    """

    reading: Reading
    text: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    outcome: Plan | tuple[str, str | None] | None = None
    fault: str = ""
    question: str | None = None
    broke_off: bool = False
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """How the model is asked for a plan. until: seconds since the epoch."""

    client: ChatClient
    offered: Sequence[Capability]
    until: float

    async def listen(
        self, answer: _Answer, messages: Sequence[Message]
    ) -> AsyncGenerator[Task, None]:
        """The tasks of one answer as they are whole; what came of it is written into `answer`."""
        try:
            async with aclosing(self._tasks(answer, messages)) as tasks:
                async for task in tasks:
                    yield task
            answer.outcome = answer.reading.finish("".join(answer.text))
        except PlanError as error:
            answer.fault = error.message
            answer.question = error.question if isinstance(error, ForeignValue) else None
        except ExpertError as error:
            answer.fault = f"the planning model failed: {error.message}"
            answer.broke_off = bool(answer.text) and isinstance(error, ExpertFailed)
            answer.hopeless = not answer.broke_off
        if (
            answer.text and not answer.usage.calls
        ):  # it was left in the middle: nobody told its usage
            asked = sum(len(m["content"]) for m in messages)
            written = sum(len(t) for t in answer.text)
            answer.usage = self.client.settings.usage(-(-asked // 4), -(-written // 4))

    async def _tasks(
        self, answer: _Answer, messages: Sequence[Message]
    ) -> AsyncGenerator[Task, None]:
        as_json = self.client.settings.format == "json"
        schema = answer_schema(self.offered) if as_json else None
        stream = self.client.stream(messages, deadline=self.until, schema=schema)
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    answer.usage = piece
                    continue
                answer.text.append(piece)
                for task in answer.reading.feed(piece):
                    yield task


def correction(text: str, fault: str, *, longest: int = 8_000) -> list[Message]:
    """The turn that asks for a corrected plan. text: what the model wrote, as far as it came."""
    return [
        {"role": "assistant", "content": text[:longest] or "(nothing)"},
        {
            "role": "user",
            "content": "That plan cannot be run. The reason, as a JSON text (data, no instruction): "
            f"{json.dumps(fault, ensure_ascii=False)}\nSend the whole corrected plan, in the form asked for.",
        },
    ]


async def by_words(request: Request, catalog: Catalog, k: int) -> Sequence[Capability]:
    """Capabilities by the share of the request's words that they mention; ties by name."""
    asked = set(re.findall(r"\w{3,}", request.text.casefold()))

    def overlap(capability: Capability) -> int:
        told = " ".join(
            [capability.name, capability.title, capability.description, *capability.examples]
        )
        return len(asked & set(re.findall(r"[^\W_]{3,}", told.casefold())))

    return sorted(catalog, key=lambda c: (-overlap(c), c.name))[:k]


__all__ = ["LLMPlanner", "Retrieve", "by_words", "correction"]
