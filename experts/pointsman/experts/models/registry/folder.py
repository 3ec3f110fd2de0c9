"""The folder of registered experts: a folder for each, in it one for each version.

experts/
    tickets/
        current              the number of the version that serves
        1/ manifest.json  head.safetensors  adapter_config.json  adapter_model.safetensors
        2/ ...

A version is written whole or not at all and never changed after; `current` is replaced in one act. So many
processes may read while one adds, updates or removes.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from pointsman.experts.models.adapters import CONFIG, WEIGHTS, content_of, load_adapter
from pointsman.experts.models.readings import Head, Reading
from pointsman.experts.models.registry.manifest import (
    HEAD,
    MANIFEST,
    Manifest,
    checked,
    read_manifest,
)
from pointsman.router.errors import BadExpert

CURRENT = "current"
_NAMED = re.compile(r"[a-z][a-z0-9_]{0,62}")
WIDTH = 384


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """An expert as it lies in memory."""

    manifest: Manifest
    version: int
    reading: Reading


class ExpertFolder:
    """Raises BadExpert: for a name that is not there, and for files that are not sound."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        if not self.path.is_dir():
            return []
        return sorted(
            p.parent.name for p in self.path.glob(f"*/{CURRENT}") if p.parent.name[0] != "."
        )

    def __contains__(self, name: str) -> bool:
        return _NAMED.fullmatch(name) is not None and (self.path / name / CURRENT).is_file()

    def versions(self, name: str) -> list[int]:
        return sorted(int(p.name) for p in self._of(name).iterdir() if p.name.isdecimal())

    def current(self, name: str) -> int:
        try:
            return int((self._of(name) / CURRENT).read_text())
        except (OSError, ValueError) as error:
            raise BadExpert(f"the version of {name} cannot be read: {error}") from error

    def mark(self, name: str) -> tuple[int, int]:
        """Changes when another version serves. Raises BadExpert when the expert is not there (any more)."""
        try:
            found = (self._of(name) / CURRENT).stat()
        except OSError as error:
            raise self._missing(name) from error
        return found.st_mtime_ns, found.st_ino

    def manifest(self, name: str, version: int | None = None) -> Manifest:
        return read_manifest(self._version(name, version))

    def open(self, name: str, version: int | None = None) -> Registered:
        """The weights in memory, when all files are what was registered."""
        number = self.current(name) if version is None else version
        folder = self._version(name, number)
        return Registered(read_manifest(folder), number, opened(folder))

    def add(self, source: Path) -> int:
        """Copies a folder of files with a manifest as a new version, which does not serve yet: `serve` it."""
        manifest = read_manifest(source)
        opened(source)
        self.path.mkdir(parents=True, exist_ok=True)
        own = self.path / manifest.name
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self.path))
        try:
            for name in (*manifest.files, MANIFEST):
                shutil.copyfile(source / name, made / name)
            made.chmod(0o755)
            own.mkdir(exist_ok=True)
            return _placed(made, own)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def serve(self, name: str, version: int) -> None:
        """From now on this version answers."""
        if not self._version(name, version).is_dir():
            raise BadExpert(f"{name} has no version {version}")
        with tempfile.NamedTemporaryFile("w", dir=self.path / name, delete=False) as file:
            file.write(str(version))
        os.replace(file.name, self.path / name / CURRENT)

    def drop(self, name: str, version: int) -> None:
        """Deletes a version that does not serve."""
        shutil.rmtree(self._version(name, version), ignore_errors=True)
        own = self.path / name
        if not any(own.iterdir()):
            own.rmdir()

    def remove(self, name: str) -> None:
        """All versions. Requests that are being read are finished."""
        self.current(name)
        gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self.path))
        os.replace(self._of(name), gone / name)
        shutil.rmtree(gone, ignore_errors=True)

    def _of(self, name: str) -> Path:
        folder = self.path / name
        if not _NAMED.fullmatch(name) or not folder.is_dir():
            raise self._missing(name)
        return folder

    def _version(self, name: str, version: int | None) -> Path:
        return self._of(name) / str(self.current(name) if version is None else version)

    def _missing(self, name: str) -> BadExpert:
        near = get_close_matches(name, self.names(), n=3, cutoff=0.5)
        hint = f"; near: {', '.join(near)}" if near else ""
        return BadExpert(f"there is no expert {name[:80]!r}{hint}")


def _placed(made: Path, own: Path) -> int:
    """Moves a whole version to the next number that is free."""
    number = 1 + max((int(p.name) for p in own.iterdir() if p.name.isdecimal()), default=0)
    while True:
        try:
            os.rename(made, own / str(number))
        except OSError:
            if not (own / str(number)).exists():
                raise
            number += 1
        else:
            return number


def opened(folder: Path) -> Reading:
    """The weights of a folder with a manifest. Raises BadExpert."""
    manifest = read_manifest(folder)
    checked(folder, manifest)
    adapter = load_adapter(folder) if manifest.has_adapter else None
    head = None if manifest.kind == "embedding" else load_head(folder / HEAD, len(manifest.labels))
    return Reading(manifest.kind, adapter, head)


def load_head(path: Path, outputs: int) -> Head:
    try:
        found = load(content_of(path))
    except (SafetensorError, ValueError) as error:
        raise BadExpert(f"{path.name} cannot be read: {error}") from error
    shapes = {name: tuple(t.shape) for name, t in found.items()}
    if shapes != {"weights": (WIDTH, outputs), "bias": (outputs,)}:
        raise BadExpert(
            f"{path.name} has {shapes}; weights [{WIDTH}, {outputs}] and bias [{outputs}] are needed"
        )
    weights, bias = (found[n].to(torch.float32).contiguous() for n in ("weights", "bias"))
    if not (torch.isfinite(weights).all() and torch.isfinite(bias).all()):
        raise BadExpert(f"{path.name} holds numbers that are not finite")
    return Head(weights, bias)


def save_head(path: Path, head: Head) -> None:
    """In half precision: it is the label that counts."""
    tensors = {"weights": head.weights, "bias": head.bias}
    save_file({k: t.detach().to(torch.float16).contiguous() for k, t in tensors.items()}, path)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of an expert that are there."""
    there = [n for n in (HEAD, CONFIG, WEIGHTS) if (folder / n).exists()]
    return {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in there}
