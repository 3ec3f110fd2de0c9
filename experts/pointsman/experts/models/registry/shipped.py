"""Experts that come with Pointsman: files in this package, in no catalog until they are added."""

from importlib.resources import files
from pathlib import Path

from pointsman.experts.models.registry.manifest import MANIFEST, Manifest, read_manifest
from pointsman.router.errors import BadExpert


def shipped_path() -> Path:
    return Path(str(files("pointsman.experts.models") / "weights" / "experts"))


def shipped() -> dict[str, Manifest]:
    """By name."""
    found = sorted(shipped_path().glob(f"*/{MANIFEST}"))
    return {path.parent.name: read_manifest(path.parent) for path in found}


def shipped_folder(name: str) -> Path:
    """Raises BadExpert when none of the name ships."""
    names = sorted(p.parent.name for p in shipped_path().glob(f"*/{MANIFEST}"))
    if name not in names:
        raise BadExpert(
            f"{name[:80]!r} is no folder and no expert that ships ({', '.join(names) or 'there is none'})"
        )
    return shipped_path() / name
