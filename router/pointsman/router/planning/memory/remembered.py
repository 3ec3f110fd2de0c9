"""What is remembered of a plan, and of one that is not to come back; and their JSON forms."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pointsman.router.catalog import Capability

How = Literal["confirmed", "agreed", "imported"]
"""Who said that it was right: a person; so many whole runs that nobody complained of; whoever imported it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A constant of the request. kind: a constant's kind, or "words": words that the plan took over.

    unit: of an amount. fixed: the plan did not use it, so a request with another value is not meant.
    value: what it was at the time; None where it is withheld. start, end: its places among the tokens.
    """

    kind: str
    start: int
    end: int
    value: Any = None
    unit: str | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """A plan with slots for the constants of its request. at: seconds since the epoch, of the run.

    key: digest of the request's words and the plan's shape. tokens: the request's words and constants;
    line: the text whose vector is compared. plan: a plan's JSON form with {"$slot": ...} in its arguments.
    files: how each {"$file": i} of it is found. columns: those that the plan reads without being told to.
    neutral: stems of names of files, which say nothing. digests: of each capability, as it was then.
    request: as it was said; None where parts of it are withheld.
    """

    key: str
    run: str
    at: float
    how: How
    tokens: tuple[str, ...]
    line: str
    slots: tuple[Slot, ...]
    plan: Mapping[str, Any]
    files: tuple[Mapping[str, Any], ...]
    columns: tuple[str, ...]
    neutral: tuple[str, ...]
    digests: Mapping[str, str]
    request: str | None = None

    @property
    def shape(self) -> str:
        return shape_of(self.plan)

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "run": self.run,
            "at": self.at,
            "how": self.how,
            "tokens": list(self.tokens),
            "line": self.line,
            "slots": [[s.kind, s.start, s.end, s.value, s.unit, s.fixed] for s in self.slots],
            "plan": self.plan,
            "files": [dict(f) for f in self.files],
            "columns": list(self.columns),
            "neutral": list(self.neutral),
            "digests": dict(self.digests),
            "request": self.request,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Remembered":
        """Raises KeyError, TypeError, ValueError when it is none."""
        return cls(
            key=value["key"],
            run=value["run"],
            at=value["at"],
            how=value["how"],
            tokens=tuple(value["tokens"]),
            line=value["line"],
            slots=tuple(Slot(*s) for s in value["slots"]),
            plan=value["plan"],
            files=tuple(value["files"]),
            columns=tuple(value["columns"]),
            neutral=tuple(value["neutral"]),
            digests=value["digests"],
            request=value["request"],
        )


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A plan that is not to come back. It holds no words: only a digest of the plan's shape, and of each
    content word under a key that the store alone has.
    """

    shape: str
    words: frozenset[str]

    def to_json(self) -> dict[str, Any]:
        return {"shape": self.shape, "words": sorted(self.words)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tombstone":
        return cls(value["shape"], frozenset(value["words"]))

    def bars(self, shape: str, words: frozenset[str]) -> bool:
        """Whether a plan of this shape for a request with these (digested) words is the same one again."""
        if shape != self.shape:
            return False
        return len(words & self.words) >= SAME_WORDS * len(words | self.words)


SAME_WORDS = 0.6
"""Share of common content words (Jaccard) from which two requests for plans of one shape mean the same."""


def digested(words: Iterable[str], secret: str) -> frozenset[str]:
    """Words as a tombstone holds them (HMAC-SHA-256, 40 bits)."""
    key = secret.encode()
    return frozenset(hmac.new(key, w.encode(), hashlib.sha256).hexdigest()[:10] for w in words)


def shape_of(plan: Mapping[str, Any]) -> str:
    """A digest of what a generalised plan does, whatever its tasks are called."""
    ids = {t["id"]: f"t{i}" for i, t in enumerate(plan["tasks"])}

    def renamed(value: Any) -> Any:
        if isinstance(value, Mapping):
            if "$slot" in value:
                return {"$slot": 0}
            if "$task" in value:
                return {**value, "$task": ids.get(value["$task"], "")}
            return {k: renamed(v) for k, v in value.items()}
        return [renamed(v) for v in value] if isinstance(value, list) else value

    tasks = [
        [t["capability"], renamed(t["arguments"]), renamed(t["for_each"]), renamed(t["when"])]
        for t in plan["tasks"]
    ]
    return digest(tasks)


def digest(value: object) -> str:
    """Of anything that JSON can tell, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def digest_of(capability: Capability) -> str:
    """Of what plans stand on: parameters, output and effect of a capability."""
    return digest([dict(capability.parameters), dict(capability.output), capability.effect])
