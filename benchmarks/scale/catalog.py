"""A million capabilities: the real ones of the public sets, and variations of them by a stated method.

Real: every operation of GitHub's and TMDB's OpenAPI files, a list of public APIs, the functions of ToolAlpaca's
simulated APIs, the tools of UltraTool and MetaTool. A capability is known by its title and description, and by
up to three requests of the train files that it served (two sets have such).

A variation joins two real ones, drawn at random, and a vendor (of 5,000, as often as the rank's inverse):
- words: those of the first, each exchanged with chance 0.3 for one of the second, and the vendor's name;
- vector: the first's and the second's, weighed w and 1 - w with w uniform in 0.55..0.95, brought to unit length,
  plus noise of length 0.3 evenly in all directions, brought to unit length;
- every tenth has two further vectors (further lines of the first with noise of the same length);
- traits: every fifth is shared, the others belong to one of 1,000 tenants; effect, region (none: everywhere) and
  modality are drawn.
Everything follows from (seed, number of the block of 10,000), so any block can be made again alone.
"""

import ast
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Effect
from pointsman.router.planning.learned.training.sources import every_operation
from pointsman.router.search import Entry, Traits

Vectors = NDArray[np.float32]

BLOCK = 10_000
TENANTS, VENDORS = 1_000, 5_000
RARE = 1_000
"""One in so many belongs to the tenant `rare`: the filter that keeps 0.1 %."""
EFFECTS: tuple[Effect, ...] = ("pure", "idempotent", "keyed", "once")
REGIONS = ("eu", "us", "in", "br", "jp")
NOISE = 0.3
SWAPPED = 0.3
MOST_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Real:
    """A real capability: name, its lines (description first), all in one."""

    name: str
    lines: tuple[str, ...]


def real_capabilities(data: Path) -> list[Real]:
    """Names are unique."""
    made = [
        Real(c.name, (f"{c.title or c.name}: {c.description}"[:400],))
        for c in every_operation(data)
    ]
    made += _simulated(data / "toolalpaca" / "eval_simulated.json")
    made += _ultratool(data / "ultratool")
    made += _metatool(data / "metatool")
    return list({r.name: r for r in made}.values())


def _simulated(path: Path) -> list[Real]:
    made: list[Real] = []
    for api in json.loads(path.read_text(encoding="utf-8")):
        described = api["Function_Description"]
        functions: dict[str, str] = (
            described if isinstance(described, dict) else ast.literal_eval(described)
        )
        made += [
            Real(f"simulated.{api['Name']}.{name}", (f"{api['Name']} {name}: {text}"[:400],))
            for name, text in functions.items()
            if name != "components"
        ]
    return made


def _ultratool(folder: Path) -> list[Real]:
    served: dict[str, list[str]] = {}
    for row in rows(folder / "train.jsonl"):
        for node in row["task_nodes"]:
            served.setdefault(node["task"], []).append(row["user_request"].strip())
    tools = json.loads((folder / "tool_desc.json").read_text(encoding="utf-8"))["nodes"]
    return [
        Real(
            f"ultratool.{tool['id']}",
            (
                f"{tool['id'].replace('_', ' ')}: {tool['desc']}",
                *served.get(tool["id"], ())[:MOST_EXAMPLES],
            ),
        )
        for tool in tools
    ]


def _metatool(folder: Path) -> list[Real]:
    served: dict[str, list[str]] = {}
    for row in rows(folder / "single.jsonl"):
        if not held_out(row["query"]):
            served.setdefault(row["tool"], []).append(row["query"])
    made: list[Real] = []
    for file in ("plugin_des.json", "big_tool_des.json"):
        tools: dict[str, str] = json.loads((folder / file).read_text(encoding="utf-8"))
        made += [
            Real(f"metatool.{name}", (f"{name}: {text}", *served.get(name, ())[:MOST_EXAMPLES]))
            for name, text in tools.items()
        ]
    return made


def requests(data: Path) -> list[str]:
    """What is searched for: requests of people, none of which is a line of a capability."""
    made = [r["query"].strip() for r in json.loads(_text(data / "restbench" / "tmdb.json"))]
    for api in json.loads(_text(data / "toolalpaca" / "eval_simulated.json")):
        said = api["Instructions"]
        made += said if isinstance(said, list) else ast.literal_eval(said)
    made += [r["user_request"].strip() for r in rows(data / "ultratool" / "test.jsonl")]
    asked = [r["query"] for r in rows(data / "metatool" / "single.jsonl") if held_out(r["query"])]
    made += asked[:: max(1, len(asked) // 600)]
    return list(dict.fromkeys(made))


def held_out(query: str) -> bool:
    """A fifth of MetaTool's queries, by their text."""
    return zlib.crc32(query.encode()) % 5 == 0


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    return path.read_text(encoding="utf-8")


class Variations:
    """Blocks of capabilities. The first are the real ones, those after them variations.

    lines: [all lines of all real ones, dim] float32 in order.
    """

    def __init__(self, real: Sequence[Real], lines: Vectors, seed: int = 0) -> None:
        self.real, self._seed, self._vectors = real, seed, lines
        counts = [len(r.lines) for r in real]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._words = [" ".join(r.lines[:1]).split() for r in real]
        share = 1 / np.arange(1, VENDORS + 1)
        self._vendors = share / share.sum()

    def blocks(self, count: int) -> Iterator[list[Entry]]:
        """`count` capabilities in all, in blocks of up to BLOCK."""
        for at in range(0, count, BLOCK):
            yield self.block(at // BLOCK, min(BLOCK, count - at))

    def block(self, number: int, count: int) -> list[Entry]:
        random = np.random.default_rng([self._seed, number])
        first = number * BLOCK
        made = [self._whole(i) for i in range(first, min(len(self.real), first + count))]
        return made + self._varied(random, first + len(made), count - len(made))

    def _whole(self, place: int) -> Entry:
        real = self.real[place]
        vectors = self._vectors[self._starts[place] : self._starts[place + 1]]
        return Entry(real.name, vectors, " ".join(real.lines), Traits())

    def _varied(self, random: np.random.Generator, first: int, count: int) -> list[Entry]:
        one, other = random.integers(0, len(self.real), (2, count))
        weight = random.uniform(0.55, 0.95, (count, 1)).astype(np.float32)
        mixed = weight * self._vectors[self._starts[one]]
        mixed += (1 - weight) * self._vectors[self._starts[other]]
        described = self._noised(random, _unit(mixed))
        vendors = random.choice(VENDORS, count, p=self._vendors)
        traits = self._traits(random, first, count)
        return [
            Entry(
                f"v{first + i}.{self.real[a].name}",
                self._lines(random, a, described[i]) if i % 10 == 0 else described[i : i + 1],
                self._text(random, a, b, int(vendors[i])),
                traits[i],
            )
            for i, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True))
        ]

    def _lines(self, random: np.random.Generator, place: int, described: Vectors) -> Vectors:
        more = random.integers(self._starts[place], self._starts[place + 1], 2)
        return np.concatenate([described[None], self._noised(random, self._vectors[more])])

    def _noised(self, random: np.random.Generator, vectors: Vectors) -> Vectors:
        noise = random.standard_normal(vectors.shape, np.float32)
        return _unit(vectors + NOISE * _unit(noise))

    def _text(self, random: np.random.Generator, a: int, b: int, vendor: int) -> str:
        words, others = self._words[a], self._words[b]
        swap = random.random(len(words)) < SWAPPED
        drawn = random.integers(0, len(others), len(words))
        said = [others[o] if s else w for w, s, o in zip(words, swap, drawn, strict=True)]
        return f"{' '.join(said)} vendor{vendor}"

    @staticmethod
    def _traits(random: np.random.Generator, first: int, count: int) -> list[Traits]:
        tenants = random.integers(0, TENANTS, count).tolist()
        effects = random.choice(4, count, p=[0.6, 0.2, 0.1, 0.1]).tolist()
        regions = random.integers(0, 2 * len(REGIONS), count).tolist()
        spoken = (random.random(count) < 0.05).tolist()
        made: list[Traits] = []
        for i in range(count):
            place = first + i
            tenant = "" if place % 5 == 0 else f"tenant{tenants[i]}"
            made.append(
                Traits(
                    "rare" if place % RARE == 1 else tenant,
                    EFFECTS[effects[i]],
                    frozenset(REGIONS[regions[i] : regions[i] + 1]),
                    frozenset(("text", "speech") if spoken[i] else ("text",)),
                )
            )
        return made


def _unit(vectors: Vectors) -> Vectors:
    made: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return made
