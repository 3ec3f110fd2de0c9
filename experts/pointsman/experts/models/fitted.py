"""Registered experts as capabilities: each sorts texts under its own labels, on the shared host."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.models.host import Host
from pointsman.experts.models.reading import language_note
from pointsman.experts.models.readings import Floats
from pointsman.experts.models.registry.folder import ExpertFolder
from pointsman.experts.models.registry.manifest import Manifest
from pointsman.experts.models.registry.shelf import Shelf
from pointsman.experts.models.sentiment import COLUMN
from pointsman.experts.tables import stored, texts_of, with_columns
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, Prior
from pointsman.router.values import TABLE, TEXTS, Json

CHUNK = 1_024
"""Texts that are handed to the host at once."""
SHOWN = 40
"""Labels that a description names."""
CALLS = 16
"""At once: they share the host's batches."""


def capability_of(manifest: Manifest) -> Capability:
    """What the planner sees of a sequence expert."""
    plain = manifest.name.replace("_", " ")
    column = manifest.column.replace("_", " ")
    named = ", ".join(manifest.labels[:SHOWN])
    more = f" and {len(manifest.labels) - SHOWN} more" if len(manifest.labels) > SHOWN else ""
    what = (
        manifest.description
        or f"Tells the {column} of each text, learned from examples of {plain}."
    )
    return Capability(
        name=f"fitted.{manifest.name}",
        title=manifest.title or f"tell the {column} of {plain}",
        description=f"{what} The labels are {named}{more}; each comes with a confidence.",
        parameters={
            "type": "object",
            "properties": {"texts": TEXTS, "column": COLUMN},
            "required": ["texts"],
            "additionalProperties": False,
        },
        output={
            **TABLE,
            "x-adds": [
                {"name": manifest.column, "type": "text"},
                {"name": f"{manifest.column}_confidence", "type": "number"},
            ],
        },
        examples=manifest.examples
        or (
            f"classify these {plain} with my labels",
            f"classify the {plain}",
            f"tell the {column} of each of these {plain}",
            f"sort the {plain} by {column}",
            f"which {column} does each text belong to",
            f"predict the {column} for every row",
            f"label the texts with my {plain} labels",
            f"what is the {column} of this text",
        ),
        composition=(
            f"table.aggregate by {manifest.column} counts them",
            f"table.filter on {manifest.column} keeps one label",
        ),
        prior=Prior(quality=quality_of(manifest), latency=0.05),
    )


def quality_of(manifest: Manifest) -> float:
    """Accuracy on the test texts, where there were some."""
    measured = manifest.card.scores.get("expert")
    return measured.accuracy if measured is not None else 0.7


class FittedExpert:
    """Serves the capability of one registered expert; which version, the registry says at each call."""

    def __init__(self, manifest: Manifest, version: int, shelf: Shelf, host: Host) -> None:
        capability = capability_of(manifest)
        self._name, self._shelf, self._host = manifest.name, shelf, host
        self.capabilities: Sequence[Capability] = (capability,)
        self.card = ExpertCard(
            name=f"fitted-{manifest.name}",
            kind="model",
            description=f"{len(manifest.labels)} labels, by {_how(manifest)} on MiniLM",
            serves={capability.name: capability.prior},
            concurrency=CALLS,
            version=str(version),
        )

    async def run(self, call: Call) -> Done:
        expert = await self._shelf.get(self._name)
        texts, table = texts_of(call.arguments["texts"], call.arguments.get("column"), call.files)
        labels, column = expert.manifest.labels, expert.manifest.column
        made: list[Floats] = []
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            made += await self._host.read(part, expert.reading, deadline=call.deadline)
            call.progress(len(made) / len(texts), f"{len(made):,} of {len(texts):,} texts read")
        shares = [_softmax(numbers) for numbers in made]
        said = [labels[int(s.argmax())] for s in shares]
        sure = [round(float(s.max()), 3) for s in shares]
        if column.casefold() in (c.name.casefold() for c in table.columns):
            column = f"predicted_{column}"
        cells: list[list[Json]] = [[label, share] for label, share in zip(said, sure, strict=True)]
        full = with_columns(table, [(column, "text"), (f"{column}_confidence", "number")], cells)
        top = ", ".join(f"{n:,} {label}" for label, n in Counter(said).most_common(5))
        note = f"{len(texts):,} texts: {top or 'none'}{language_note(texts)}"
        confidence = float(np.mean(sure)) if sure else None
        return Done(stored(full, call.files).to_json(), note, confidence)

    async def close(self) -> None:
        return None


def _softmax(numbers: Floats) -> Floats:
    made = np.exp(numbers - numbers.max())
    share: Floats = (made / made.sum()).astype(np.float32)
    return share


def _how(manifest: Manifest) -> str:
    return "an adapter and a head" if manifest.has_adapter else "a head"


def fitted_experts(path: Path, host: Host) -> list[Expert]:
    """An expert for each that sorts texts; they share one shelf. Raises BadExpert."""
    folder = ExpertFolder(path)
    shelf = Shelf(folder)
    experts: list[Expert] = []
    for name in folder.names():
        manifest = folder.manifest(name)
        if manifest.kind == "sequence":
            experts.append(FittedExpert(manifest, folder.current(name), shelf, host))
    return experts
