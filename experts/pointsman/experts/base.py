"""What an expert is, what it is handed and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability
from pointsman.router.usage import Usage
from pointsman.router.values import FileRef, Json


class Files(Protocol):
    """Stored files, as experts see them: read what a person gave, write what they can download."""

    def of(self, tenant: str) -> "Files":
        """Those of a tenant: what others stored is not there."""
        ...

    def path(self, file: FileRef | str) -> Path:
        """Local path of a stored file, by reference or id. Raises UnknownFile."""
        ...

    def create(self, name: str, media_type: str, content: bytes) -> FileRef:
        """Stores content whole or not at all."""
        ...

    def adopt(self, name: str, media_type: str, path: Path) -> FileRef:
        """Moves a finished local file into the store."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of one task: arguments are resolved and valid against the capability's parameters.

    deadline: a point in time, seconds since the epoch. progress: tells the share done (0..1) and a note;
    may be called from any thread. tenant: whose run it is, for tools with credentials of their own for each.
    """

    capability: str
    arguments: Mapping[str, Any]
    files: Files
    deadline: float
    run: str = ""
    task: str = ""
    attempt: int = 1
    tenant: str = "default"
    progress: Callable[[float, str], None] = field(default=lambda _share, _note: None)

    def key(self, index: int = 0) -> str:
        """The idempotency key of an effect of this task, the same for every attempt: for services that
        take one. A tool that has several effects in one call numbers them."""
        return f"{self.run}.{self.task}.{index}"

    @property
    def idempotency_key(self) -> str:
        return self.key(0)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a call. `note`: one line on how, shown to the user ("412 of 1,200 rows kept").

    confidence: 0..1 where the expert has one.
    """

    value: Json
    note: str = ""
    confidence: float | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a tool found out about an effect that was begun and whose outcome was lost.

    "done": it happened, and `value` is the task's result. "not-done": it did not, and will not any more.
    """

    outcome: Literal["done", "not-done", "unknown"]
    value: Json = None


class Expert(Protocol):
    """Serves the capabilities that its card names.

    `run` raises ExpertError (BadArguments when another expert would fail as well). Anything else it
    raises is converted at the worker's border to ExpertFailed. Blocking work belongs in a thread.
    """

    @property
    def card(self) -> ExpertCard: ...

    @property
    def capabilities(self) -> Sequence[Capability]: ...

    async def run(self, call: Call) -> Done: ...

    async def close(self) -> None: ...


@runtime_checkable
class Reconciling(Protocol):
    """An expert that can find out whether an earlier attempt of a call has had its effect."""

    async def reconcile(self, call: Call) -> Reconciled:
        """call.attempt is the attempt that began the effect."""
        ...


class EchoExpert:
    """Answers with its arguments: the fake that ships, for tests and for trying a plan out."""

    def __init__(self, *capabilities: Capability, card: ExpertCard) -> None:
        self.card = card
        self.capabilities: Sequence[Capability] = capabilities

    async def run(self, call: Call) -> Done:
        return Done(dict(call.arguments))

    async def close(self) -> None:
        return None
