"""Public planning sets as catalogs and past plans. Formats: SOURCE.md of each set's folder."""

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.training.foreign_catalog import operations

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
QUERY: dict[str, Any] = {"type": "object", "properties": {"query": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Source:
    """A catalog with the plans that are known for it."""

    capabilities: tuple[Capability, ...]
    plans: tuple[PastPlan, ...]


def capability_name(written: str) -> str:
    """A name that a catalog takes: "PDF&URLTool" -> "pdf_url_tool"."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", written)
    made = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return made if made[:1].isalpha() else f"tool_{made}"


def ultratool(folder: Path, split: str = "train") -> Source:
    """UltraTool (Huang et al. 2024, arXiv 2401.17167) as prepared by GNN4TaskPlan: chains of 260 tools."""
    nodes = json.loads((folder / "tool_desc.json").read_text(encoding="utf-8"))["nodes"]
    capabilities = tuple(_described(n["id"], n["desc"]) for n in nodes)
    rows = _lines(folder / f"{split}.jsonl")
    return Source(capabilities, tuple(_chain(row) for row in rows))


def metatool_single(folder: Path) -> Source:
    """MetaTool (Huang et al. 2023, arXiv 2310.03128): a query and the one tool that serves it."""
    plans = (
        PastPlan(row["query"].strip(), (capability_name(row["tool"]),))
        for row in _lines(folder / "single.jsonl")
    )
    return Source(_metatool_catalog(folder), tuple(plans))


def _metatool_catalog(folder: Path) -> tuple[Capability, ...]:
    told: dict[str, str] = {}
    for file in ("plugin_des.json", "big_tool_des.json"):
        for name, description in json.loads((folder / file).read_text(encoding="utf-8")).items():
            told.setdefault(name, description)
    made = {capability_name(n): _described(n, d) for n, d in told.items()}
    return tuple(made.values())


def every_operation(data: Path) -> list[Capability]:
    """Every operation of GitHub's and TMDB's OpenAPI files, and every API of a list of public ones."""
    made: list[Capability] = []
    for place, prefix in (("openapi/github", "github"), ("restbench/tmdb_oas", "tmdb")):
        made += operations(_unpacked(data / f"{place}.json.gz"), prefix)
    taken = {c.name for c in made}
    for entry in _unpacked(data / "toolalpaca" / "public_apis.json.gz")["entries"]:
        name = f"public.{capability_name(entry['API'])}"
        if name not in taken:
            taken.add(name)
            made.append(Capability(name, entry["Description"], QUERY, {}, title=entry["API"]))
    return made


def tmdb(data: Path) -> Source:
    """RestBench (Song et al. 2023, arXiv 2306.06624): a hundred requests and the operations of TMDB that serve each."""
    document = _unpacked(data / "restbench" / "tmdb_oas.json.gz")
    rows = json.loads((data / "restbench" / "tmdb.json").read_text(encoding="utf-8"))
    capabilities = operations(document, "tmdb")
    plans = (
        PastPlan(row["query"].strip(), tuple(dict.fromkeys(map(_of_path, row["solution"]))))
        for row in rows
    )
    return Source(tuple(capabilities), tuple(plans))


def _of_path(written: str) -> str:
    """ "GET /movie/{movie_id}/credits" -> "tmdb.movie_credits", as foreign_catalog names it."""
    parts = written.split()[-1].split("/")
    return "tmdb." + capability_name("_".join(p for p in parts if p and "{" not in p))


def _unpacked(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        found: dict[str, Any] = json.load(text)
        return found


def _described(name: str, description: str) -> Capability:
    return Capability(capability_name(name), description.strip() or name, NOTHING, {})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(s) for s in path.read_text(encoding="utf-8").splitlines() if s.strip()]


def _chain(row: dict[str, Any]) -> PastPlan:
    names = [capability_name(t["task"]) for t in row["task_nodes"]]
    pairs = [
        (capability_name(k["source"]), capability_name(k["target"])) for k in row["task_links"]
    ]
    return PastPlan(
        row["user_request"].strip(), tuple(dict.fromkeys(names)), tuple(dict.fromkeys(pairs))
    )


def without(plans: Sequence[PastPlan], removed: frozenset[str]) -> list[PastPlan]:
    """The plans that use none of the removed capabilities."""
    return [p for p in plans if not removed.intersection(p.capabilities)]
