"""What an update of an API changes for those who call it, and whether plans made before still hold.

Arguments may be widened and outcomes may gain fields; a call that was right must stay right. What breaks that is
told as breaking: an operation that is gone, an argument that is gone, newly required or narrower, a field of the
outcome that is gone or of another kind, and an effect that is stronger than it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pointsman.router.catalog import Capability
from pointsman.router.values import kinds_of

Kind = Literal["added", "removed", "changed"]
STRENGTH = {"pure": 0, "idempotent": 1, "keyed": 2, "once": 3}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one capability. what: in words. breaking: a plan that was right may no longer be."""

    capability: str
    kind: Kind
    what: str
    breaking: bool = False


def changes(before: Sequence[Capability], after: Sequence[Capability]) -> list[Change]:
    """All changes, by name of the capability."""
    old, new = {c.name: c for c in before}, {c.name: c for c in after}
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(Change(name, "removed", "it is gone", breaking=True))
        elif name not in old:
            found.append(Change(name, "added", new[name].title))
        else:
            found += _of(old[name], new[name])
    return found


def _of(old: Capability, new: Capability) -> Iterator[Change]:
    name = old.name
    if old.effect != new.effect:
        stronger = STRENGTH[new.effect] > STRENGTH[old.effect]
        yield Change(name, "changed", f"effect {old.effect} is {new.effect} now", stronger)
    for parameter in sorted(old.properties.keys() | new.properties.keys()):
        yield from _parameter(old, new, parameter)
    for where, what, breaking in _outcome(old.output, new.output, "the outcome"):
        yield Change(name, "changed", f"{where} {what}", breaking)
    if (old.title, old.description) != (new.title, new.description):
        yield Change(name, "changed", "it is described in other words")


def _parameter(old: Capability, new: Capability, parameter: str) -> Iterator[Change]:
    name, quoted = old.name, repr(parameter)
    if parameter not in new.properties:
        yield Change(name, "changed", f"argument {quoted} is gone", breaking=True)
        return
    required = parameter in new.required
    if parameter not in old.properties:
        what = "is new and required" if required else "is new"
        yield Change(name, "changed", f"argument {quoted} {what}", required)
        return
    if required and parameter not in old.required:
        yield Change(name, "changed", f"argument {quoted} is required now", breaking=True)
    for what in _narrower(old.properties[parameter], new.properties[parameter]):
        yield Change(name, "changed", f"argument {quoted} {what}", breaking=True)


def _narrower(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """In what a schema takes less than it did."""
    was, now = kinds_of(old), kinds_of(new)
    if "any" not in now and not was <= now:
        lost = ", ".join(sorted(was - now))
        yield f"takes {' or '.join(sorted(now))} now, and no {lost}"
        return
    if "enum" in new:
        gone = [v for v in old.get("enum", ()) if v not in new["enum"]]
        if "enum" not in old:
            yield "takes only some values now"
        elif gone:
            yield f"no longer takes {', '.join(map(repr, gone[:3]))}"
    for bound, tighter in (("minimum", 1), ("minLength", 1), ("maximum", -1), ("maxLength", -1)):
        if bound in new and (bound not in old or (new[bound] - old[bound]) * tighter > 0):
            yield f"has a tighter {bound} now, {new[bound]}"


def _outcome(
    old: Mapping[str, Any], new: Mapping[str, Any], where: str
) -> Iterator[tuple[str, str, bool]]:
    was, now = kinds_of(old), kinds_of(new)
    if was != now and "any" not in was:
        yield where, f"is {' or '.join(sorted(now))}, was {' or '.join(sorted(was))}", True
        return
    mine, theirs = old.get("properties", {}), new.get("properties", {})
    for name in mine:
        if name not in theirs:
            yield where, f"has no {name!r} any more", True
        else:
            yield from _outcome(mine[name], theirs[name], f"{name!r} of {where}")
    if "items" in old and "items" in new:
        yield from _outcome(old["items"], new["items"], f"an item of {where}")
