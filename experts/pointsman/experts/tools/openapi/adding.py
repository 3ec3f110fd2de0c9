"""An API is added, and an added one is updated: from a file or an address to what lies in the folder of tools."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from pointsman.experts.tools import guard, http
from pointsman.experts.tools.openapi.changes import Change, changes
from pointsman.experts.tools.openapi.expert import Offered, base_url, offers
from pointsman.experts.tools.openapi.operations import Api, Skipped, read_api
from pointsman.experts.tools.openapi.reading import LARGEST, read_document
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.router.errors import BadFile, ExpertError

SECONDS = 60.0
REDIRECTS = 3
USUAL = frozenset(
    "api apis rest open openapi oas swagger spec specification the http json yaml description".split()
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be offered, and what not and why."""

    given: ApiIn
    api: Api
    offered: dict[str, Offered]
    skipped: list[Skipped]


def fetched(source: str, allow: Sequence[str] = ()) -> bytes:
    """A description from a file or an address. Raises BadFile."""
    if source.startswith(("http://", "https://")):
        return asyncio.run(_downloaded(source, allow))
    try:
        with Path(source).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise BadFile(source, error.strerror or str(error)) from error


async def _downloaded(url: str, allow: Sequence[str]) -> bytes:
    try:
        async with (
            asyncio.timeout(SECONDS),
            guard.client(allow, redirects=REDIRECTS) as web,
            web.stream("GET", http.checked(url)) as answer,
        ):
            http.check_status(answer)
            return await http.read(answer, LARGEST)
    except TimeoutError:
        raise BadFile(url, f"it did not come within {SECONDS:.0f} s") from None
    except (httpx.HTTPError, ExpertError) as error:
        raise BadFile(url, str(error)) from None


def name_for(content: bytes, source: str) -> str:
    """A short name from the title of a description, else from its file."""
    path = source.partition("?")[0].rstrip("/")
    words = _words(read_document(content, source).title)
    if not 0 < len(words) <= 2:
        words = _words(Path(path).name.partition(".")[0]) or words[:2] or ["api"]
    name = "_".join(words)[:40].strip("_")
    return name if name[:1].isalpha() else f"api_{name}"[:40]


def _words(text: str) -> list[str]:
    """Words of a title that say which API it is."""
    plain = re.sub(r"[^a-z0-9]+", " ", text.casefold())
    return [w for w in plain.split() if w not in USUAL and not re.fullmatch(r"v?\d+", w)]


def preview(given: ApiIn, content: bytes) -> Preview:
    """Raises BadFile: it cannot be read, has no address, or two operations have one name."""
    api = read_api(read_document(content, given.source or given.openapi))
    base_url(given, api)
    offered, skipped = offers(given, api)
    if not offered:
        raise BadFile(given.name, "nothing of it can be called; see what was skipped and why")
    return Preview(given, api, offered, skipped)


def difference(before: Preview, after: Preview) -> list[Change]:
    """What an update changes."""
    old = [o.capability for o in before.offered.values()]
    return changes(old, [o.capability for o in after.offered.values()])
