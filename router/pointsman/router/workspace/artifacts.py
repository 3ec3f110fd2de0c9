"""Values too large for a slot: an artifact store beside Redis, and the ledger of how long each is kept.

An artifact is a text, named by its content ("artifact:sha256:<64 hex>:<bytes>"), kept compressed, and
verified when it is read. Runs with the same content share one object.

How nothing that is kept is ever deleted, although writers, sweeps and clocks stall at will: an object's
file is named by content *and life*. A life is a name that one script issues and never issues again.

- put: one script raises the time until which the content is kept and returns its life, a new one if it has
  none; only then the object is looked for under that life, and written if it is not there whole.
- expiry: one script takes out what is past its time, with its life; only then the objects of those lives,
  and no others, are deleted. A put that came before is seen by the script; one that comes after gets
  another life, which no delete in flight knows, however late it strikes.
- orphans (left by a crash between the two steps): an object is first seen, then its life is asked for. A
  life is issued before its object exists, so one that is not issued then never will be again.

Both keys hash to one slot of a Redis Cluster. A run's large values are put with the time of its latest end
and its keeping; `kept_until` settles that when it ends. Since a time only ever grows, the longest wins.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

import zstandard

from pointsman.router.errors import Fault, WorkspaceError, WorkspaceUnavailable
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.stores import Folder, Remote, Store

P = ParamSpec("P")
T = TypeVar("T")

LIMIT = 256 * 1024
"""Characters of JSON text above which a value does not go into a slot."""
ANSWER_SECONDS = 120.0
"""How long a store may take for one object."""
ALONE = "0"
"""The life of an artifact that no ledger knows."""
ORPHAN_SECONDS = 3600.0
"""Age from which an object that no ledger names is removed; also a write that never came to its end."""
PAGE = 100
KEPT = "pm:artifacts"
"""Sorted set: reference by the time until which it is kept."""
LIVES = "{pm:artifacts}:lives"
"""Hash: reference -> life; "ledger" -> the beginning of every life that this ledger issues."""
SHARDS = frozenset(f"{n:02x}" for n in range(256))
REFERENCE = re.compile(r"artifact:sha256:([0-9a-f]{64}):(0|[1-9][0-9]{0,14})")
LIFE = re.compile(r"[0-9a-z]+(-[0-9a-z]+)?(\.[0-9a-z]+)?")
"""With what follows a '.', a write that has not come to its end."""
FOLDER = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})-(0|[1-9][0-9]{0,14})")

KEEP = """
local life = redis.call('HGET', KEYS[2], ARGV[1])
if not life then
  if ARGV[4] == '' then return '' end
  redis.call('HSETNX', KEYS[2], 'ledger', ARGV[3])
  life = redis.call('HGET', KEYS[2], 'ledger') .. '-' .. ARGV[4]
  redis.call('HSET', KEYS[2], ARGV[1], life)
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return life
"""
"""ARGV: reference, until, the ledger's name if it has none yet, a new life or '' to issue none."""
EXPIRE = """
local ended = {}
local past = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, reference in ipairs(past) do
  local life = redis.call('HGET', KEYS[2], reference)
  if life then
    ended[#ended + 1] = reference
    ended[#ended + 1] = life
  end
  redis.call('HDEL', KEYS[2], reference)
  redis.call('ZREM', KEYS[1], reference)
end
return ended
"""
"""ARGV: now, how many at most. Returns reference, life, reference, life, ..."""


class ArtifactMissing(WorkspaceError):
    code = "workspace.artifact-missing"

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(
            f"{reference!r} is not in the artifact store; it has expired, or the store is another one"
        )


class ArtifactDamaged(WorkspaceError):
    """What the store holds is not what was put there."""

    code = "workspace.artifact-damaged"

    def __init__(self, reference: str, why: str) -> None:
        self.reference, self.why = reference, why
        super().__init__(f"{reference!r} is damaged: {why}; run again the task that wrote it")


class BadArtifactReference(WorkspaceError):
    code = "workspace.bad-artifact-reference"

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(
            f"{reference[:200]!r} is not a reference; it has the form artifact:sha256:<64 hex>:<bytes>"
        )


class BadArtifactStore(WorkspaceError):
    """The store that was asked for cannot be used at all. The URL is not told: it may hold a password."""

    code = "workspace.bad-artifact-store"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, protocol: str, why: str) -> None:
        self.protocol, self.why = protocol, why
        super().__init__(f"an artifact store on {protocol!r} cannot be used: {why}")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A text made ready to be stored. content: its bytes in UTF-8, not compressed."""

    digest: str
    content: bytes

    @property
    def reference(self) -> str:
        return f"artifact:sha256:{self.digest}:{len(self.content)}"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in the store. written: seconds since the epoch by the store's clock."""

    reference: str
    life: str
    written: float


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep deleted: artifacts past their time, and objects that nothing named."""

    expired: int
    orphans: int


class Artifacts:
    """The store. `place`: a folder, "file:///folder", or a URL that fsspec reaches; nothing is opened here.

    limit: characters of JSON text above which a value belongs here and not into a slot. A store belongs to
    one or more ledgers; each sweeps only what it issued. Every method raises WorkspaceUnavailable when the
    store does not answer within ANSWER_SECONDS or refuses. Raises BadArtifactStore.
    """

    def __init__(self, place: str | Path, *, limit: int = LIMIT, **storage_options: object) -> None:
        self.limit = limit
        self._store, self._where = _store(place, storage_options)

    def too_large(self, text: str) -> bool:
        """Whether a value's JSON text is above the limit."""
        return len(text) > self.limit

    async def put(self, text: str) -> str:
        """Keeps a text until it is deleted, and returns its reference. Idempotent; for expiry, put through
        an ArtifactLedger."""
        parcel = await self.pack(text)
        await self.store(parcel, ALONE)
        return parcel.reference

    async def get(self, reference: str) -> str:
        """The text. Raises ArtifactMissing, ArtifactDamaged, BadArtifactReference."""
        digest, size = _parse(reference)
        return await self._do("get", self._load, reference, digest, size, "")

    async def delete(self, reference: str, life: str = "") -> None:
        """All that is kept of a reference, or one life of it; missing is fine. Raises BadArtifactReference."""
        digest, size = _parse(reference)
        if life and not LIFE.fullmatch(life):
            raise BadArtifactReference(life)
        await self._do("delete", self._remove, _folder(digest, size), life)

    async def references(self) -> AsyncIterator[tuple[str, float]]:
        """What is stored, and when it was last written (seconds since the epoch); one for each life."""
        async for stored in self.objects():
            if "." not in stored.life:
                yield stored.reference, stored.written

    async def objects(self) -> AsyncIterator[Stored]:
        """Every object of ours in the store, unfinished writes too."""
        shards = await self._do("list", self._store.names, "")
        for shard in sorted(set(shards) & SHARDS):
            for found in await self._do("list", self._store.walk, shard):
                place = FOLDER.fullmatch(found.folder)
                if place and LIFE.fullmatch(found.name):
                    reference = f"artifact:sha256:{place[1]}:{place[2]}"
                    yield Stored(reference, found.name, found.written)

    async def holds(self, reference: str, life: str) -> bool:
        """Whether an object is there under that life. Raises BadArtifactReference."""
        digest, size = _parse(reference)
        return life in await self._do("list", self._store.names, _folder(digest, size))

    async def pack(self, text: str) -> Parcel:
        """Encodes and names a text; stores nothing. Lone surrogates are kept."""
        return await asyncio.to_thread(_pack, text)

    async def store(self, parcel: Parcel, life: str) -> None:
        """Writes a parcel under a life, unless it is there and whole."""
        await self._do("put", self._save, parcel, life)

    # --- in threads -----------------------------------------------------------------------------

    async def _do(
        self, what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.to_thread(function, *args, **kwargs)
        except OSError as error:  # TimeoutError is one
            why = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
            raise WorkspaceUnavailable(f"artifact {what}: {self._where}: {why}") from error

    def _save(self, parcel: Parcel, life: str) -> None:
        size = len(parcel.content)
        try:
            self._load(parcel.reference, parcel.digest, size, life)
        except (ArtifactMissing, ArtifactDamaged):
            packed = zstandard.ZstdCompressor().compress(parcel.content)
            self._store.write(_folder(parcel.digest, size), life, packed)

    def _load(self, reference: str, digest: str, size: int, life: str) -> str:
        """From one life or any: where one is damaged another may be whole."""
        folder = _folder(digest, size)
        damage = ""
        for name in [life] if life else _whole(self._store.names(folder)):
            try:
                return _verified(self._store.read(folder, name), digest, size)
            except FileNotFoundError:
                continue
            except ValueError as error:
                damage = f"{name}: {error}"
        if damage:
            raise ArtifactDamaged(reference, damage)
        raise ArtifactMissing(reference)

    def _remove(self, folder: str, life: str) -> None:
        for name in [life] if life else _whole(self._store.names(folder)):
            self._store.remove(folder, name)


def _store(place: str | Path, options: dict[str, object]) -> tuple[Store, str]:
    """The store, and what errors call it."""
    if isinstance(place, Path) or "://" not in place or place.startswith("file://"):
        root = Path(str(place).removeprefix("file://")).expanduser().absolute()
        return Folder(root), str(root)
    try:
        remote = Remote(place, options)
    except (ImportError, ValueError, TypeError) as error:
        raise BadArtifactStore(place.partition("://")[0], str(error)) from error
    return remote, remote.protocol


def _whole(names: list[str]) -> list[str]:
    """Those that are not writes under way."""
    return sorted(name for name in names if "." not in name)


def _pack(text: str) -> Parcel:
    content = text.encode("utf-8", "surrogatepass")
    return Parcel(hashlib.sha256(content).hexdigest(), content)


def _parse(reference: str) -> tuple[str, int]:
    found = REFERENCE.fullmatch(reference)
    if found is None:
        raise BadArtifactReference(reference)
    return found[1], int(found[2])


def _folder(digest: str, size: int) -> str:
    return f"{digest[:2]}/{digest}-{size}"


def _verified(packed: bytes, digest: str, size: int) -> str:
    """Raises ValueError. Never unpacks more than `size` bytes, whatever the object claims."""
    try:
        claimed = zstandard.get_frame_parameters(packed).content_size
        if claimed != size:
            raise ValueError(f"{claimed} bytes instead of {size}")
        content = zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("its content has another digest")
    return content.decode("utf-8", "surrogatepass")


class ArtifactLedger:
    """Until when each artifact is kept, in Redis. Times are seconds since the epoch.

    Every method raises WorkspaceUnavailable when Redis or the store does not answer; each can be repeated.
    """

    def __init__(self, redis: Redis, artifacts: Artifacts) -> None:
        self._redis = redis
        self._artifacts = artifacts
        self._keep: Callable[..., Awaitable[str]] = redis.register_script(KEEP)
        self._expire: Callable[..., Awaitable[list[str]]] = redis.register_script(EXPIRE)

    def too_large(self, text: str) -> bool:
        """Whether a value's JSON text is above the store's limit."""
        return self._artifacts.too_large(text)

    async def put(self, text: str, *, until: float) -> str:
        """Stores a text, kept at least until then, and returns its reference: readable from here on."""
        parcel = await self._artifacts.pack(text)
        life = await self._kept(parcel.reference, until, secrets.token_hex(8))
        await self._artifacts.store(parcel, life)
        return parcel.reference

    async def get(self, reference: str) -> str:
        """Raises ArtifactMissing, ArtifactDamaged, BadArtifactReference."""
        return await self._artifacts.get(reference)

    async def kept_until(self, reference: str, until: float) -> None:
        """Keeps an artifact at least until then; never shortens. It is there when this returns.

        One that the ledger does not know (Redis lost its last second), or whose new life is not written
        yet, is put again from an earlier life. Raises ArtifactMissing, ArtifactDamaged when there is none,
        BadArtifactReference.
        """
        _parse(reference)
        life = await self._kept(reference, until, "")
        if not life or not await self._artifacts.holds(reference, life):
            await self.put(await self.get(reference), until=until)

    async def sweep(self, now: float) -> Swept:
        """Deletes what is past its time, and orphans. Any number of sweeps may run at once."""
        return Swept(await self.expire(now), await self.sweep_orphans(now))

    async def expire(self, now: float) -> int:
        """Deletes what is past its time: costs nothing when nothing is. What a crash leaves is an orphan."""
        count = 0
        while True:
            with redis_errors("artifacts"):
                ended = await self._expire(keys=[KEPT, LIVES], args=[f"{now:.3f}", PAGE])
            for reference, life in zip(ended[::2], ended[1::2], strict=True):
                await self._artifacts.delete(reference, life)
                count += 1
            if not ended:
                return count

    async def sweep_orphans(self, now: float) -> int:
        """Deletes what this ledger issued, names no more, and is older than an hour; lists the whole store."""
        count = 0
        page: list[Stored] = []
        async for stored in self._artifacts.objects():
            if stored.written < now - ORPHAN_SECONDS:
                page.append(stored)
            if len(page) == PAGE:
                count += await self._delete_orphans(page)
                page = []
        return count + await self._delete_orphans(page)

    async def _delete_orphans(self, seen: Sequence[Stored]) -> int:
        if not seen:
            return 0
        with redis_errors("artifacts"):
            found: Any = await self._redis.hmget(LIVES, ["ledger", *(s.reference for s in seen)])
        ledger, *lives = found
        orphans = [
            s
            for s, life in zip(seen, lives, strict=True)
            if ledger is not None and s.life.startswith(f"{ledger}-") and s.life != life
        ]
        for orphan in orphans:
            await self._artifacts.delete(orphan.reference, orphan.life)
        return len(orphans)

    async def _kept(self, reference: str, until: float, fresh: str) -> str:
        """The life of an artifact that is kept from now on; '' when it has none and none is issued."""
        ledger = secrets.token_hex(6)
        with redis_errors("artifacts"):
            return str(
                await self._keep(
                    keys=[KEPT, LIVES], args=[reference, f"{until:.3f}", ledger, fresh]
                )
            )
