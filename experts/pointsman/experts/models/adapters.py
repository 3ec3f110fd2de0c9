"""Low-rank adapters for the backbone, and the files they are kept in.

An adapter adds x @ down @ up to the output of some of the backbone's linear maps (LoRA: Hu et al. 2021,
arXiv 2106.09685, eq. 3). Files are in PEFT's format: adapter_config.json and adapter_model.safetensors. What
that format can say and this cannot do (DoRA, biases, other kinds of tuning) is refused by name. How many
adapters go through the backbone in one batch: mixing.py.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from pointsman.router.errors import BadExpert

Place: TypeAlias = Literal["qkv", "attended", "wide", "narrow"]
"""A linear map of a layer; query, key and value are computed as one."""
Pair: TypeAlias = tuple[Tensor, Tensor]
"""down [in, rank] and up [rank, out], float32; the scale is in `up`."""

LAYERS, WIDTH, WIDE = 6, 384, 1536
MAX_RANK = 256
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LARGEST = 64 << 20
"""Bytes of a file: rank 256 on every map takes 42 MB."""


@dataclass(frozen=True, slots=True)
class Module:
    """A linear map as PEFT names it. at: its first column in the outputs of its place."""

    place: Place
    inputs: int
    outputs: int
    at: int = 0


MODULES: Mapping[str, Module] = {
    "attention.self.query": Module("qkv", WIDTH, WIDTH, 0),
    "attention.self.key": Module("qkv", WIDTH, WIDTH, WIDTH),
    "attention.self.value": Module("qkv", WIDTH, WIDTH, 2 * WIDTH),
    "attention.output.dense": Module("attended", WIDTH, WIDTH),
    "intermediate.dense": Module("wide", WIDTH, WIDE),
    "output.dense": Module("narrow", WIDE, WIDTH),
}
_KEY = re.compile(
    r"base_model\.model\.(?:bert\.)?encoder\.layer\.(?P<layer>\d+)\."
    rf"(?P<module>{'|'.join(map(re.escape, MODULES))})\.lora_(?P<side>[AB])\.weight"
)

_NOT_DONE = (
    "use_dora use_qalora use_bdlora lora_bias alora_invocation_tokens arrow_config kasa_config velora_config "
    "layer_replication modules_to_save target_parameters trainable_token_indices"
).split()


class _Config(BaseModel):
    """What of adapter_config.json bears on the sums; the rest of it is left alone."""

    model_config = ConfigDict(extra="ignore")

    peft_type: Literal["LORA"]
    r: Annotated[int, Field(ge=1, le=MAX_RANK)]
    lora_alpha: Annotated[float, Field(gt=0, le=65_536)]
    use_rslora: bool = False
    fan_in_fan_out: Literal[False] = False
    bias: Literal["none"] = "none"
    alpha_pattern: dict[
        Annotated[str, Field(pattern=r"^[\w.]{1,200}$")], Annotated[float, Field(gt=0, le=65_536)]
    ] = Field(default_factory=dict)
    """By the end of a module's name. PEFT takes regular expressions here; those of a stranger are not run."""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: dict[str, object]) -> dict[str, object]:
        """Refuses, by name, what would change the sums and is not done here."""
        asked = sorted(k for k in _NOT_DONE if isinstance(given, dict) and given.get(k))
        if asked:
            raise ValueError(f"{', '.join(asked)}: only plain LoRA can be used")
        return given

    def scale(self, module: str, rank: int) -> float:
        """Of a module's product: alpha / r, or alpha / sqrt(r) where the rank is to be stabilised."""
        matching = (a for p, a in self.alpha_pattern.items() if f".{module}".endswith(f".{p}"))
        alpha = next(matching, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Adapter:
    """parts: by layer (0..5) and PEFT's name of the module. digest: of the content of its files.

    Immutable. The same object serves all batches that need it.
    """

    parts: Mapping[tuple[int, str], Pair]
    digest: str

    @property
    def rank(self) -> int:
        """The greatest of its modules."""
        return max(up.shape[0] for _, up in self.parts.values())

    @property
    def bytes(self) -> int:
        return sum(t.nbytes for pair in self.parts.values() for t in pair)


# --- files ------------------------------------------------------------------------------------------


def load_adapter(folder: Path) -> Adapter:
    """From a folder in PEFT's format. Raises BadExpert, which says what is wrong with which file."""
    text, path = content_of(folder / CONFIG), folder / WEIGHTS
    config = _config(text)
    if not path.exists() and (folder / "adapter_model.bin").exists():
        raise BadExpert(
            "adapter_model.bin is a pickle, which is never read; save it as safetensors"
        )
    content = content_of(path)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError) as error:
        raise BadExpert(f"{WEIGHTS} cannot be read: {error}") from error
    found: dict[tuple[int, str], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _KEY.fullmatch(name)
        if match is None or int(match["layer"]) >= LAYERS:
            raise BadExpert(f"{WEIGHTS}: {name[:200]!r} is not a LoRA weight of the backbone")
        found.setdefault((int(match["layer"]), match["module"]), {})[match["side"]] = tensor
    if not found:
        raise BadExpert(f"{WEIGHTS} holds no weights")
    digest = hashlib.sha256(text + content).hexdigest()
    return Adapter({key: _checked(key, sides, config) for key, sides in found.items()}, digest)


def content_of(path: Path) -> bytes:
    """The bytes of one of an expert's files. Raises BadExpert when it is not there or too large."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadExpert(f"{path.name} has more than {LARGEST >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise BadExpert(f"{path.name} cannot be read: {error.strerror}") from error


def _config(text: bytes) -> _Config:
    try:
        return _Config.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadExpert(f"{CONFIG}: {where}: {first['msg']}") from error


def _checked(key: tuple[int, str], sides: Mapping[str, Tensor], config: _Config) -> Pair:
    layer, name = key
    where, module = f"layer {layer}, {name}", MODULES[name]
    if set(sides) != {"A", "B"}:
        raise BadExpert(f"{where}: lora_{'B' if 'A' in sides else 'A'} is missing")
    down, up = sides["A"].to(torch.float32), sides["B"].to(torch.float32)
    rank = down.shape[0] if down.ndim == 2 else 0
    fits = tuple(down.shape) == (rank, module.inputs) and tuple(up.shape) == (module.outputs, rank)
    if not (0 < rank <= MAX_RANK and fits):
        raise BadExpert(
            f"{where}: lora_A {list(down.shape)} and lora_B {list(up.shape)} do not fit: "
            f"[rank, {module.inputs}] and [{module.outputs}, rank] are needed, rank at most {MAX_RANK}"
        )
    up = up * config.scale(f"encoder.layer.{layer}.{name}", rank)
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise BadExpert(f"{where}: the weights hold numbers that are not finite")
    return down.T.contiguous(), up.T.contiguous()


def save_adapter(
    folder: Path,
    weights: Mapping[tuple[int, str], Pair],
    *,
    alpha: float,
    base: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """In PEFT's format. weights: as an Adapter's parts, without the scale, which is alpha / rank.

    base: the backbone's name, for people.
    """
    ranks = {up.shape[0] for _, up in weights.values()}
    config: dict[str, object] = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": base,
        "r": max(ranks),
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted({name for _, name in weights}),
        "rank_pattern": {
            f"encoder.layer.{layer}.{name}": up.shape[0]
            for (layer, name), (_, up) in weights.items()
            if up.shape[0] != max(ranks)
        },
    }
    tensors = {}
    for (layer, name), pair in weights.items():
        for side, tensor in zip("AB", pair, strict=True):
            key = f"base_model.model.encoder.layer.{layer}.{name}.lora_{side}.weight"
            tensors[key] = tensor.detach().to(dtype).T.contiguous()
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
