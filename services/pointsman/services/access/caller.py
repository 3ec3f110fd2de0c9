"""Who asks, and what for."""

import re
from dataclasses import dataclass

from pointsman.router.workspace.access import Key
from pointsman.services.access.keys import SCOPES

PUBLIC = re.compile(r"/(livez|readyz|openapi\.json|v1/session|ui(/.*)?)?")
"""Paths that tell nothing of anybody: health, the page's own files, the description of the API, logging in."""
SCOPE_OF = (
    (re.compile(r"/metrics"), "metrics"),
    (re.compile(r"/v1/(keys|audit)(/.*)?"), "admin"),
    (re.compile(r"/v1/files(/.*)?"), "files"),
    (re.compile(r"/v1/(chat|responses|embeddings|models)(/.*)?"), "models"),
)
DECIDING = re.compile(r"/v1/runs/[^/]+/approvals/[^/]+")
WORK = re.compile(
    r"/v1/(runs|runs/[^/]+/(rerun|fork)|chat/completions|responses|embeddings)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is. key: None for whoever reaches a server that asks for none."""

    tenant: str = "default"
    scopes: frozenset[str] = frozenset()
    key: Key | None = None

    @property
    def name(self) -> str:
        """As people are told of it: in audits, and where a decision says by whom."""
        return self.key.name if self.key is not None else "anonymous"

    @classmethod
    def of(cls, key: Key) -> "Caller":
        return cls(key.tenant, key.scopes, key)


ANONYMOUS = Caller(scopes=frozenset(SCOPES) - {"admin"})
"""Never an administrator: whoever reaches the loopback of a shared machine could make keys that stay."""


def scope_needed(method: str, path: str) -> str | None:
    """None: everybody may. What no rule names needs `runs`."""
    if PUBLIC.fullmatch(path):
        return None
    if method == "POST" and DECIDING.fullmatch(path):
        return "approvals"
    return next((scope for rule, scope in SCOPE_OF if rule.fullmatch(path)), "runs")


def asks_for_work(method: str, path: str) -> bool:
    """Whether a request counts against the calls of a day, and needs a budget that is not spent."""
    return method == "POST" and WORK.fullmatch(path) is not None
