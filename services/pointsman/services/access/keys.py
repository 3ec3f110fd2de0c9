"""Making and reading API keys: "pm_" + id + "_" + secret, of which only the secret's SHA-256 is kept."""

import hashlib
import re
import secrets
import time
from collections.abc import Iterable

from pointsman.router.errors import RequestError
from pointsman.router.workspace.access import Key, Limits

SCOPES = ("runs", "approvals", "files", "models", "metrics", "admin")
"""What a key may do. runs: create, watch, stop, remember. approvals: decide what waits for a person. files: stored
files. models: the OpenAI protocol. metrics: read /metrics. admin: keys and the audit log of all tenants."""
ORDINARY = ("runs", "approvals", "files", "models")
"""Of a key that is made without saying which."""
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TOKEN = re.compile(r"pm_([0-9a-f]{12})_([0-9a-f]{48})")
OURS = "pm_"
"""What every key of ours begins with; other bearers ("none", "sk-...") are what a client sends to any server."""


class BadKey(RequestError):
    """A key that is asked for cannot be made."""

    code = "access.bad-key"


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(token: str) -> tuple[str, str] | None:
    """The id of a key and the digest of the whole; None for what is no key."""
    found = TOKEN.fullmatch(token)
    return (found.group(1), digest_of(token)) if found else None


def new_key(
    name: str,
    *,
    tenant: str = "default",
    scopes: Iterable[str] = ORDINARY,
    expires: float | None = None,
    limits: Limits | None = None,
) -> tuple[Key, str]:
    """A key and its text, which is shown once and never kept. expires: seconds since the epoch. Raises BadKey."""
    wanted = frozenset(scopes)
    if unknown := sorted(wanted - frozenset(SCOPES)):
        raise BadKey(f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not wanted:
        raise BadKey("a key without a scope opens nothing; name one or more")
    if not TENANT.fullmatch(tenant):
        raise BadKey(
            f"{tenant!r} is no name of a tenant: use small letters, digits, '-' and '_', at most 63"
        )
    if not name.strip() or len(name) > 100:
        raise BadKey("a key needs a name of at most 100 characters, to be told apart by")
    now = time.time()
    if expires is not None and expires <= now:
        raise BadKey("the key would have expired already; give a later time")
    id = secrets.token_hex(6)
    token = new_token(id)
    key = Key(
        id, name.strip(), tenant, wanted, digest_of(token), now, expires, limits=limits or Limits()
    )
    return key, token


def new_token(id: str) -> str:
    """Another text of the key with this id."""
    return f"{OURS}{id}_{secrets.token_hex(24)}"
