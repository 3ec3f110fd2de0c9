"""What administrators do with keys, each act written into the audit log."""

import time
from collections.abc import Iterable
from typing import Any

from pointsman.router.workspace.access import Access, Key, Limits
from pointsman.services.access.keys import digest_of, new_key, new_token


async def made(
    access: Access,
    name: str,
    *,
    by: str,
    tenant: str,
    scopes: Iterable[str],
    expires: float | None,
    limits: Limits,
) -> tuple[Key, str]:
    """A new key and its text. by: who asks for it. Raises BadKey."""
    key, token = new_key(name, tenant=tenant, scopes=scopes, expires=expires, limits=limits)
    await access.add(key)
    await _note(access, "key.added", key.id, by, {"name": key.name, "tenant": key.tenant})
    return key, token


async def rotated(access: Access, id: str, *, by: str, overlap: float) -> str | None:
    """The key's new text; None when there is no such key. overlap: seconds for which the old one is good."""
    token = new_token(id)
    if not await access.rotate(id, digest_of(token), until=time.time() + overlap):
        return None
    await _note(access, "key.rotated", id, by, {"overlap": overlap})
    return token


async def revoked(access: Access, id: str, *, by: str) -> bool:
    if not await access.revoke(id, time.time()):
        return False
    await _note(access, "key.revoked", id, by, {})
    return True


async def listed(access: Access, day: str) -> list[dict[str, Any]]:
    """All keys with what each has spent on a day."""
    return [
        {**key.to_json(), "spent": await access.spent(key.id, day)} for key in await access.keys()
    ]


async def _note(access: Access, act: str, key: str, by: str, more: dict[str, Any]) -> None:
    await access.note("act", {"act": act, "key": key, "by": by, **more})
