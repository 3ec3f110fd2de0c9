"""What planning knows of each stored file, worked out once per process and kept."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any

from pointsman.experts.files import LocalFiles
from pointsman.experts.profiles import profile
from pointsman.router.values import FileId, FileProfile, FileRef

KEPT = 2_000


class Profiles:
    """Profiles of stored files, by place and id; a file's content never changes."""

    def __init__(
        self,
        files: LocalFiles,
        known: "OrderedDict[tuple[Path, FileId], FileProfile] | None" = None,
    ) -> None:
        self._files = files
        self._known = OrderedDict() if known is None else known

    def on(self, files: LocalFiles) -> "Profiles":
        """Those of another place, kept in the same books."""
        return Profiles(files, self._known)

    async def of(self, ref: FileRef) -> FileProfile:
        place = (self._files.folder, ref.id)
        known = self._known.get(place)
        if known is None:
            known = await asyncio.to_thread(profile, ref, self._files)
            self._known[place] = known
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return known

    def forget(self, ref: FileRef) -> None:
        self._known.pop((self._files.folder, ref.id), None)


def profile_json(known: FileProfile) -> dict[str, Any]:
    """What clients are shown of a profile: no cells, no text."""
    return {
        "shape": known.shape,
        "columns": [{"name": c.name, "type": c.type} for c in known.columns],
        "row_count": known.row_count,
        "sheets": list(known.sheets),
        "error": known.error,
    }
