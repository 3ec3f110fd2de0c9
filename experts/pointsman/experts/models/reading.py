"""Reading many texts with a pooling head, and the frame that the experts of this folder share."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.heads import Floats, PoolingHead, outputs_of
from pointsman.experts.models.sentences import split_sentences
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability

CHUNK = 256
"""Texts whose token states are in memory at once."""
LONG = 400
"""Characters from which a text is read sentence by sentence."""

Service = Callable[[Call], Awaitable[Done]]

_WORDS = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    "the a an and or of to in is it this that was for with on not i you my we he she they are be have has had "
    "at as but so if from your me our do does did can could will would please no all how what when why just "
    "very by there been am were more than get got its".split()
)


class ModelExpert:
    """One expert: its card and the functions that serve its capabilities, by name."""

    def __init__(
        self,
        name: str,
        description: str,
        services: Mapping[str, Service],
        capabilities: Sequence[Capability],
    ) -> None:
        self._services = dict(services)
        self.capabilities: Sequence[Capability] = tuple(capabilities)
        self.card = ExpertCard(
            name=name,
            kind="model",
            description=description,
            serves={c.name: c.prior for c in capabilities},
            concurrency=2,
        )

    async def run(self, call: Call) -> Done:
        return await self._services[call.capability](call)

    async def close(self) -> None:
        return None


class Reader:
    """A pooling head over the shared encoder; `load` is called once, at the first text."""

    def __init__(self, encoder: Encoder, load: Callable[[], PoolingHead]) -> None:
        self._encoder = encoder
        self._load = load
        self._head: PoolingHead | None = None

    async def outputs(self, texts: Sequence[str], call: Call) -> list[Floats]:
        """For each text the outputs of its parts, [parts, outputs]: sentences of a long one, else one.

        Texts that are the same are read once.
        """
        if self._head is None:
            self._head = await asyncio.to_thread(self._load)
        parts = {t: parts_of(t) for t in dict.fromkeys(texts)}
        pieces = list(dict.fromkeys(p for ps in parts.values() for p in ps))
        made: dict[str, Floats] = {}
        for start in range(0, len(pieces), CHUNK):
            chunk = pieces[start : start + CHUNK]
            states = await self._encoder.tokens(chunk, deadline=call.deadline)
            out = await asyncio.to_thread(outputs_of, self._head, [s.vectors for s in states])
            made |= dict(zip(chunk, out, strict=True))
            done = start + len(chunk)
            call.progress(done / len(pieces), f"{done:,} of {len(pieces):,} texts read")
        return [np.stack([made[p] for p in parts[t]]) for t in texts]


def parts_of(text: str) -> list[str]:
    if len(text) < LONG:
        return [text]
    return split_sentences(text) or [text[:LONG]]


def language_note(texts: Sequence[str]) -> str:
    """A warning when most texts are not English, by their share of its commonest words; else ""."""
    foreign = judged = 0
    for text in texts[:500]:
        words = [w.casefold() for w in _WORDS.findall(text[:1_000])]
        if len(words) < 4:
            continue
        judged += 1
        plain = sum(w.isascii() for w in words) / len(words)
        known = sum(w in _ENGLISH for w in words) / len(words)
        foreign += known < 0.05 or plain < 0.5
    if foreign * 2 > judged:
        return "; most texts do not look English, so take this with low confidence"
    return ""


def counted(values: Sequence[str], order: Sequence[str]) -> str:
    """ "23 positive, 4 neutral", in the given order, for a note."""
    counts = Counter(values)
    return ", ".join(f"{counts[v]:,} {v}" for v in order if counts[v])
