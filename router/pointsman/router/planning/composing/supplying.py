"""What a capability needs and the words do not say, got from another capability: who is called by a name is searched
for, and the number that the search gives goes where a number is needed.

Links are found by schema and name. A parameter `person_id` wants the number of a person: a capability that speaks of
persons and whose outcome holds objects with an `id` has it. One that takes a free text gets the name that the
request says; one that takes nothing is asked when the request names nobody ("the top rated movie"). Nothing here
knows an API.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.plan import Ref
from pointsman.router.planning.composing.named import FREE
from pointsman.router.planning.draft import Value
from pointsman.router.planning.mentions import QUOTED
from pointsman.router.planning.retrieval import stems
from pointsman.router.planning.tables.words import STOP, split_name

KEYS = frozenset("id ids number key code slug".split())
"""Last words of a parameter that wants something that stands for a thing."""
ALSO: Mapping[str, frozenset[str]] = {
    "tv": frozenset(stems("show series television")),
    "repo": frozenset(stems("repository")),
    "org": frozenset(stems("organization")),
    "user": frozenset(stems("member account")),
}
"""Other words for what addresses abbreviate."""
OPENERS = frozenset(
    """who what which when where how why whose give show list find tell get is are was were do does did can could
    please i in on at the a an for from search look recommend name any all me my""".split()
)
"""Words that begin a sentence with a capital letter and name nothing."""
NAME = re.compile(
    r"(?:[A-Z][\w'’.-]*|\d+)(?:(?:\s+|:\s+|\s+&\s+)(?:(?:of|the|and|in|on|for|to|a|an|de|la|vs?\.?|with)\s+)*(?:[A-Z][\w'’.-]*|\d+))*"
)


@dataclass(frozen=True, slots=True)
class Supply:
    """Where a parameter's value comes from: a task of `maker` with `arguments`, and the path in its outcome."""

    parameter: str
    maker: Capability
    arguments: Mapping[str, Any]
    path: tuple[str, ...]


def names_in(text: str) -> list[str]:
    """What a text calls by name: quoted, else written with capital letters; without the words that open it."""
    quoted = [next(g for g in m.groups() if g is not None) for m in QUOTED.finditer(text)]
    if quoted:
        return quoted
    found: list[str] = []
    for match in NAME.finditer(text):
        words = match.group().split()
        if words[0].casefold().strip(".,'’") in OPENERS and _opens(text, match.start()):
            words = words[1:]
        name = " ".join(words).strip(" .,:;?!'’").removesuffix("'s").removesuffix("’s")
        if name and not name.isdigit() and name.casefold() not in STOP and len(name) > 1:
            found.append(name)
    return found


def _opens(text: str, start: int) -> bool:
    return not text[:start].strip() or text[:start].rstrip()[-1:] in ".!?:"


def supplies(
    catalog: Catalog,
    wanted: Capability,
    missing: tuple[str, ...],
    text: str,
    near: Mapping[str, float],
) -> list[Supply] | None:
    """Where each missing parameter comes from; None when one comes from nowhere.

    near: how near each capability is to the text.
    """
    found: list[Supply] = []
    for parameter in missing:
        supply = _supply(catalog, wanted, parameter, text, near)
        if supply is None:
            return None
        found.append(supply)
    return found


def _supply(
    catalog: Catalog, wanted: Capability, parameter: str, text: str, near: Mapping[str, float]
) -> Supply | None:
    thing = thing_of(parameter)
    if thing is None:
        return None
    names = names_in(text)
    best: tuple[float, Supply] | None = None
    for maker in catalog:
        if maker.name == wanted.name or maker.effect not in ("pure", "idempotent"):
            continue
        path = _key_in(maker, thing)
        if path is None or not _speaks_of(maker, thing):
            continue
        given = _given(maker, names)
        if given is None:
            continue
        closeness = 0.0 if given else near.get(maker.name, 0.0)
        rank = (2.0 if given else 0.0) + closeness - 0.01 * len(maker.name)
        if best is None or rank > best[0]:
            best = (rank, Supply(parameter, maker, given, path))
    return None if best is None else best[1]


def thing_of(parameter: str) -> frozenset[str] | None:
    """Stems of what a parameter stands for ("person" of `person_id`); None when it stands for nothing."""
    words = split_name(parameter)
    if len(words) < 2 or words[-1] not in KEYS:
        return None
    said = frozenset(stems(" ".join(words[:-1]))) | {words[0]}
    return said | ALSO.get(words[0], frozenset())


def _speaks_of(maker: Capability, thing: frozenset[str]) -> bool:
    words = " ".join(split_name(maker.name.partition(".")[2].replace(".", "_")))
    return bool(thing & {*stems(words), *words.split()})


def _given(maker: Capability, names: list[str]) -> dict[str, Any] | None:
    """Arguments with which a capability can be asked; None when it needs what is not said."""
    free = [n for n in maker.properties if split_name(n) and set(split_name(n)) & FREE]
    needed = set(maker.required)
    if free and needed <= {free[0]}:
        return {free[0]: names[0]} if names else None
    return {} if not needed and not names else None


def _key_in(maker: Capability, thing: frozenset[str]) -> tuple[str, ...] | None:
    """Where in its outcome the first thing's key stands."""
    for path, properties in _objects(maker.output):
        for name in properties:
            words = split_name(name)
            own = len(words) > 1 and words[-1] in KEYS and bool(set(words[:-1]) & thing)
            if name == "id" or own:
                return (*path, name)
    return None


def _objects(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Objects of lists that an outcome holds, at its top or one level below."""
    if "items" in schema:
        yield ("0",), schema["items"].get("properties", {})
    for name, inner in schema.get("properties", {}).items():
        if isinstance(inner, Mapping) and "items" in inner:
            yield (name, "0"), inner["items"].get("properties", {})


def supplied(
    found: Sequence[Supply], add: Callable[[str, Mapping[str, Any], str], Value]
) -> dict[str, Ref]:
    """Tasks for what is missing, each made once; the arguments that read them."""
    made: dict[str, Ref] = {}
    for supply in found:
        value = add(supply.maker.name, supply.arguments, supply.maker.title[:90])
        if value.task is not None:
            made[supply.parameter] = Ref(value.task, supply.path)
    return made
