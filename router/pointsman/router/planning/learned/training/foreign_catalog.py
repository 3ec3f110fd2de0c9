"""300 capabilities that are not ours, made of real OpenAPI files and a list of public APIs.

160 operations of GitHub's REST API and 86 public APIs, drawn by the hash of their names, and all of TMDB's.
A reader for training and benchmarks only: operations, their parameters and the top of their bodies.
"""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pointsman.router.catalog import Capability, Effect, Prior

MANY = 300
GITHUB = 160
EFFECTS: Mapping[str, Effect] = {
    "get": "pure",
    "put": "idempotent",
    "patch": "idempotent",
    "delete": "idempotent",
    "post": "once",
}
KEPT = ("type", "description", "enum", "default", "format", "minimum", "maximum")
LONGEST = 300
Json = dict[str, Any]


def foreign_capabilities(data: Path) -> list[Capability]:
    """The same 300 each time. `data`: the folder with openapi/, restbench/ and toolalpaca/."""
    github = operations(_unpacked(data / "openapi" / "github.json.gz"), "github")
    drawn = sorted(github, key=lambda c: _draw(c.name))[:GITHUB]
    films = operations(_unpacked(data / "restbench" / "tmdb_oas.json.gz"), "tmdb")
    chosen = [*drawn, *films]
    entries = _unpacked(data / "toolalpaca" / "public_apis.json.gz")["entries"]
    listed = sorted(entries, key=lambda e: _draw(e["API"]))
    names = {c.name for c in chosen}
    for entry in listed:
        made = _listed(entry)
        if len(chosen) < MANY and made.name not in names:
            names.add(made.name)
            chosen.append(made)
    return chosen


def operations(document: Json, prefix: str) -> list[Capability]:
    """One capability an operation; a summary that several share gets the nouns of its path beside it."""
    found = list(_operations(document))
    summaries = Counter(o.get("summary", "") for _, _, o, _ in found)
    made: dict[str, Capability] = {}
    for method, path, operation, shared in found:
        summary = str(operation.get("summary") or path)
        title = summary
        if summaries[summary] > 1:
            title = f"{summary} ({' '.join(_nouns(path))})"
        name = f"{prefix}.{_name(operation, path, prefix)}"
        described = _plain(str(operation.get("description") or ""))
        made[name] = Capability(
            name=name,
            title=title[:90],
            description=described or title,
            parameters=_parameters(document, operation, shared),
            output={"type": "object"},
            effect=EFFECTS[method],
            prior=Prior(quality=0.9, latency=0.3),
        )
    return list(made.values())


def _operations(document: Json) -> Iterator[tuple[str, str, Json, list[Json]]]:
    for path, item in document["paths"].items():
        for method in EFFECTS:
            if method in item:
                yield method, path, item[method], item.get("parameters", [])


def _nouns(path: str) -> list[str]:
    return [p.replace("_", " ") for p in path.split("/") if p and "{" not in p]


def _name(operation: Json, path: str, prefix: str) -> str:
    given = str(operation.get("operationId", ""))
    if prefix == "tmdb" or not given:
        given = "_".join(_nouns(path)) or "root"
    return _word(given)


def _word(text: str) -> str:
    word = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")
    return word if word[:1].isalpha() else f"n_{word}"


def _resolved(document: Json, node: Json) -> Json:
    while "$ref" in node:
        found: Any = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _parameters(document: Json, operation: Json, shared: list[Json]) -> Json:
    properties: Json = {}
    required: list[str] = []
    for given in (*shared, *operation.get("parameters", [])):
        parameter = _resolved(document, given)
        if parameter["in"] not in ("path", "query"):
            continue
        schema = _small(document, parameter.get("schema", {"type": "string"}))
        if "description" in parameter:
            schema["description"] = _plain(parameter["description"])
        properties[parameter["name"]] = schema
        if parameter.get("required"):
            required.append(parameter["name"])
    body = _resolved(document, operation.get("requestBody", {}))
    content = body.get("content", {}).get("application/json", {})
    form = _resolved(document, content.get("schema", {}))
    for name, schema in form.get("properties", {}).items():
        properties.setdefault(name, _small(document, schema))
    required += [n for n in form.get("required", ()) if n in properties and n not in required]
    return {"type": "object", "properties": properties, "required": required}


def _small(document: Json, schema: Json) -> Json:
    """The schema without what is nested in it: its type, its values and what is said of it."""
    full = _resolved(document, schema)
    kept = {k: full[k] for k in KEPT if k in full}
    if kept.get("type") == "array":
        kept["items"] = {
            k: v for k, v in _resolved(document, full.get("items", {})).items() if k == "type"
        }
    if "description" in kept:
        kept["description"] = _plain(kept["description"])
    return kept


def _plain(markdown: str) -> str:
    """The first paragraph without links and marks, shortened at a sentence."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown.strip().partition("\n\n")[0])
    text = " ".join(text.replace("*", "").replace("`", "").split())
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(". ")[0] or text[:LONGEST]


def _listed(entry: Json) -> Capability:
    return Capability(
        name=f"{_word(entry['Category'])}.{_word(entry['API'])}",
        title=f"{entry['API']}: {entry['Description']}"[:90],
        description=entry["Description"],
        parameters={
            "type": "object",
            "properties": {"query": {"type": "string", "description": "what is looked for"}},
        },
        output={"type": "object"},
        prior=Prior(quality=0.9, latency=0.3),
    )


def _draw(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _unpacked(path: Path) -> Json:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return cast(Json, json.load(text))
