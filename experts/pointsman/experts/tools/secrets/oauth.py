"""Access tokens of OAuth 2.0: client credentials (RFC 6749, section 4.4) and refresh (section 6)."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import httpx

from pointsman.experts.tools import guard, http
from pointsman.experts.tools.secrets.sources import NoCredential
from pointsman.router.errors import ExpertUnavailable

EARLY = 30.0
"""Seconds before its end at which a token is no longer used."""
LIFE = 300.0
"""Seconds that a token lives of which nobody says how long."""
ANEW = 1.0
"""Seconds for which a new token is taken for good, whoever says that it was refused."""
SECONDS = 15.0
LARGEST = 64 << 10


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: str
    at: float
    until: float
    refresh: str


class Tokens:
    """Fetches tokens and keeps them until shortly before they end; one fetch for all who wait."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._allow = allow
        self._kept: dict[bytes, _Token] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def get(
        self,
        url: str,
        client: str,
        secret: str,
        *,
        refresh: str = "",
        scopes: Sequence[str] = (),
        anew: bool = False,
    ) -> str:
        """An access token. anew: the one that is kept was refused. Raises NoCredential, ExpertUnavailable."""
        name = sha256("\0".join((url, client, secret, refresh, *scopes)).encode()).digest()
        began = time.time()
        async with self._locks.setdefault(name, asyncio.Lock()):
            kept = self._kept.get(name)
            refused = kept is not None and anew and kept.at < began - ANEW
            if kept is not None and not refused and kept.until - EARLY > time.time():
                return kept.value
            latest = kept.refresh if kept is not None and kept.refresh else refresh
            token = await self._fetched(url, client, secret, latest, scopes)
            self._kept[name] = token
            return token.value

    async def _fetched(
        self, url: str, client: str, secret: str, refresh: str, scopes: Sequence[str]
    ) -> _Token:
        form = {"grant_type": "refresh_token" if refresh else "client_credentials"}
        if refresh:
            form["refresh_token"] = refresh
        if scopes:
            form["scope"] = " ".join(scopes)
        auth = httpx.BasicAuth(client, secret) if secret else None
        if auth is None:
            form["client_id"] = client
        try:
            async with (
                asyncio.timeout(SECONDS),
                guard.client(self._allow) as web,
                web.stream(
                    "POST", url, data=form, auth=auth, headers={"Accept": "application/json"}
                ) as answer,
            ):
                content = await http.read(answer, LARGEST)
        except (httpx.HTTPError, TimeoutError) as error:
            host = httpx.URL(url).host
            raise ExpertUnavailable(f"{host} gave no token: {type(error).__name__}") from None
        if answer.status_code != 200:
            host = answer.request.url.host
            raise NoCredential(
                f"{host} refused a token with {answer.status_code}; check client, secret and scopes"
            )
        return _read(content, answer.request.url.host)


def _read(content: bytes, host: str) -> _Token:
    try:
        said = json.loads(content)
        value, life = str(said["access_token"]), float(said.get("expires_in") or LIFE)
        refresh = str(said.get("refresh_token") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoCredential(f"{host} answered without a token") from None
    now = time.time()
    return _Token(value, now, now + life, refresh)
