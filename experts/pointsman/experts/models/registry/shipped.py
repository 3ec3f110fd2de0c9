"""Experts that come with Pointsman: files in this package, in no catalog until they are added."""

from importlib.resources import files
from pathlib import Path

from pointsman.experts.models.registry.manifest import MANIFEST, Manifest, read_manifest
from pointsman.router.errors import BadExpert


def shipped_path() -> Path:
    return Path(str(files("pointsman.experts.models") / "weights" / "experts"))


def _names() -> list[str]:
    """One that is just being made begins with a dot."""
    found = (path.parent.name for path in shipped_path().glob(f"*/{MANIFEST}"))
    return sorted(name for name in found if name[0] != ".")


def shipped() -> dict[str, Manifest]:
    """By name."""
    return {name: read_manifest(shipped_path() / name) for name in _names()}


def shipped_folder(name: str) -> Path:
    """Raises BadExpert when none of the name ships."""
    names = _names()
    if name not in names:
        raise BadExpert(
            f"{name[:80]!r} is no folder and no expert that ships ({', '.join(names) or 'there is none'})"
        )
    return shipped_path() / name
