"""What one would do without a planner and without a model's key: the one nearest capability.

The capability whose words weigh most in the request (inverse document frequency over names, titles,
descriptions and examples; cosine) is run on the file, which it gets already read. Where it demands a
text or a list of columns besides, it gets the whole request; where it demands more, it fails. Below
a likeness of 0.1 it declines.
"""

import asyncio
import math
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.requests.checks import Seen, wrong
from benchmarks.requests.gold import EXAMPLES
from pointsman.client import Answer
from pointsman.client.results import Part
from pointsman.experts.base import Call, Expert
from pointsman.experts.builtin import model_experts, tool_experts
from pointsman.experts.files import LocalFiles
from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Capability
from pointsman.router.values import kind_of

DECLINES = 0.1
SECONDS = 60.0


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z]+", text.casefold()))


class Nearest:
    """Chooses by words, and runs what it chose."""

    def __init__(self, experts: list[Expert], files: LocalFiles) -> None:
        self._files = files
        self._by_name: dict[str, tuple[Capability, Expert]] = {}
        for expert in experts:
            for capability in expert.capabilities:
                self._by_name.setdefault(capability.name, (capability, expert))
        self._bags = {
            name: words(" ".join((name, c.title, c.description, *c.examples)))
            for name, (c, _) in self._by_name.items()
        }
        self._seen_in = Counter(w for bag in self._bags.values() for w in bag)

    def choose(self, request: str) -> str | None:
        asked = self._weighed(words(request))
        best, name = max((cosine(asked, self._weighed(b)), n) for n, b in self._bags.items())
        return name if best >= DECLINES else None

    def _weighed(self, bag: Counter[str]) -> dict[str, float]:
        many = len(self._bags)
        return {
            w: (1 + math.log(n)) * math.log((1 + many) / (1 + self._seen_in[w]))
            for w, n in bag.items()
        }

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        call = Call(name, arguments, self._files, time.time() + SECONDS)
        return (await self._by_name[name][1].run(call)).value

    async def _arguments(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        schema = self._by_name[name][0].parameters
        paths = [EXAMPLES / f for f in request.get("files", ())]
        paths = [q for p in paths for q in (sorted(p.iterdir()) if p.is_dir() else [p])]
        refs = [
            self._files.create(p.name, "application/octet-stream", p.read_bytes()).to_json()
            for p in paths
        ]
        given: dict[str, Any] = {}
        for wanted in schema.get("required", ()):
            if wanted == "file" and refs:
                given[wanted] = refs[0]
            elif wanted == "files":
                given[wanted] = refs
            elif wanted == "table" and refs:
                given[wanted] = await self._call("table.read", {"file": refs[0]})
            elif wanted in ("texts", "text") and refs:
                tabular = paths[0].suffix not in (".md", ".txt")
                given[wanted] = (
                    await self._call("table.read", {"file": refs[0]})
                    if tabular
                    else await self._call("text.read", {"files": refs})
                )
            else:
                given[wanted] = request["ask"]
        return given

    async def answer(self, request: dict[str, Any]) -> tuple[str, Answer]:
        """What it chose, and what came of it."""
        name = self.choose(request["ask"])
        if name is None:
            return "declines", Answer("", "refused", "nothing here does that")
        try:
            value = await self._call(name, await self._arguments(name, request))
        except Exception as error:  # noqa: BLE001 - the border to whatever was chosen: it counts as refused
            return name, Answer("", "refused", str(error) or type(error).__name__)
        text = str(value.get("row_count")) if isinstance(value, dict) else str(value)
        return name, Answer("", "done", text, (Part("", "", kind_of(value), value),))


def cosine(left: dict[str, float], right: dict[str, float]) -> float:
    dot = sum(v * right[w] for w, v in left.items() if w in right)
    lengths = [math.sqrt(sum(v * v for v in bag.values())) for bag in (left, right)]
    return dot / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def measured(
    chosen: list[dict[str, Any]], gold: dict[str, Any], *, more: Sequence[Expert] = ()
) -> dict[str, tuple[str, str]]:
    """By request: the capability, and why it is wrong ("" when right). more: experts beside our own."""

    async def all_of_them() -> dict[str, tuple[str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            files = LocalFiles(Path(folder))
            experts = [*tool_experts(), *model_experts(Encoder(threads=1)), *more]
            nearest = Nearest(experts, files)
            found = {}
            for request in chosen:
                name, given = await nearest.answer(request)
                seen = Seen(given, (), lambda id: files.path(id).read_bytes())
                found[request["id"]] = name, wrong(seen, request["checks"], gold)
            for expert in experts:
                await expert.close()
            return found

    return asyncio.run(all_of_them())
