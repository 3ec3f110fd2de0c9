"""The door: who is let in, with what left of rate and budget, and the record of who was not."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace
from pointsman.router.workspace.access import Access, Admitted, TurnedAway
from pointsman.services.access.caller import ANONYMOUS, Caller, asks_for_work, scope_needed
from pointsman.services.access.errors import (
    AccessRefused,
    BudgetSpent,
    KeyNeeded,
    KeyUnknown,
    RateLimited,
    ScopeMissing,
)
from pointsman.services.access.keys import OURS, read_token
from pointsman.services.access.spending import settle_overdue

log = logging.getLogger(__name__)

COOKIE = "pointsman_key"
NOTES_A_SECOND = 20
"""Refusals that are written down; the others of that second are counted in the next entry."""


@dataclass(slots=True)
class Let:
    """A request that is let in, and the headers that its answer is to carry."""

    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)


class Door:
    """anonymous: whether a request without a key is answered too, as the default tenant's."""

    def __init__(self, workspace: Workspace, *, anonymous: bool) -> None:
        self._workspace = workspace
        self._access: Access = workspace.access
        self._anonymous = anonymous
        self._second, self._noted, self._skipped = 0, 0, 0

    async def let_in(
        self, method: str, path: str, authorization: str, cookie: str, *, where: str = ""
    ) -> Let:
        """authorization, cookie: headers as they came. where: the address that asks, for the record.

        Raises AccessRefused and WorkspaceUnavailable.
        """
        scope = scope_needed(method, path)
        if scope is None:
            return Let(ANONYMOUS)
        token = token_of(authorization, cookie)
        if not token.startswith(OURS):
            if not self._anonymous:
                await self._refused(KeyNeeded(), method, path, where)
            if scope not in ANONYMOUS.scopes:
                await self._refused(ScopeMissing(scope), method, path, where)
            return Let(ANONYMOUS)
        return await self._by_key(token, scope, method, path, where)

    async def _by_key(self, token: str, scope: str, method: str, path: str, where: str) -> Let:
        read = read_token(token)
        if read is None:
            return await self._refused(KeyUnknown(), method, path, where)
        id, digest = read
        work = asks_for_work(method, path)
        found = await self._access.admit(id, digest, work=work, now=time.time())
        spent = isinstance(found, TurnedAway) and found.what in ("cost", "tokens")
        if spent and await settle_overdue(self._workspace, id):
            found = await self._access.admit(id, digest, work=work, now=time.time())
        if isinstance(found, TurnedAway):
            return await self._refused(error_of(found), method, path, where, key=id)
        if scope not in found.key.scopes:
            return await self._refused(ScopeMissing(scope), method, path, where, key=id)
        return Let(Caller.of(found.key), rate_headers(found))

    async def _refused(
        self, error: AccessRefused, method: str, path: str, where: str, *, key: str = ""
    ) -> Let:
        await self.note_refusal(error.code, method, path, where, key=key)
        raise error

    async def note_refusal(
        self, code: str, method: str, path: str, where: str, *, key: str = ""
    ) -> None:
        """Writes a refusal down, as long as they do not come by the thousand."""
        second = int(time.time())
        if second != self._second:
            self._second, self._noted = second, 0
        if self._noted >= NOTES_A_SECOND:
            self._skipped += 1
            return
        self._noted += 1
        skipped, self._skipped = self._skipped, 0
        entry = {"why": code, "method": method, "path": path[:200], "from": where, "key": key}
        try:
            await self._access.note("refusal", entry | ({"skipped": skipped} if skipped else {}))
        except WorkspaceUnavailable as error:
            log.warning("a refusal is not written down: %s", error)


def token_of(authorization: str, cookie: str) -> str:
    """The bearer, else the one that the page keeps in a cookie; "" for neither."""
    kind, _, token = authorization.partition(" ")
    if kind.casefold() == "bearer":
        return token.strip()
    if COOKIE in cookie:
        try:
            found = SimpleCookie(cookie).get(COOKIE)
        except CookieError:
            return ""
        return found.value if found is not None else ""
    return ""


def error_of(found: TurnedAway) -> AccessRefused:
    match found.why:
        case "rate":
            return RateLimited(found.rate, found.retry)
        case "spent":
            return BudgetSpent(found.what, found.retry)
        case _:
            return KeyUnknown()


def rate_headers(found: Admitted) -> Mapping[str, str]:
    """As in draft-ietf-httpapi-ratelimit-headers-10."""
    if not found.rate:
        return {}
    return {
        "RateLimit-Policy": f'"requests";q={found.rate};w=60',
        "RateLimit": f'"requests";r={found.left};t={math.ceil(found.full)}',
    }


def refusal_headers(error: AccessRefused) -> dict[str, str]:
    headers = {"WWW-Authenticate": 'Bearer realm="pointsman"'} if error.status == 401 else {}
    if error.retry_after:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, RateLimited):
        headers["RateLimit"] = f'"requests";r=0;t={math.ceil(error.retry_after)}'
    return headers
