"""Adapters: PEFT's files read and written, hostile files refused, and many adapters in one pass."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pointsman.experts.models.adapters import MODULES, Adapter, Pair, load_adapter, save_adapter
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.mixing import Mixer
from pointsman.router.errors import BadExpert

BY_PEFT = Path(__file__).parent / "peft_adapter"
"""Written by peft 0.21.2: rank 2 and, for one module, rank 1 with an alpha of its own, in layers 4 and 5."""
ROWS = [[2026, 4003, 2001, 7376], [2129, 2172, 2003, 2009]]
EXPECTED = [
    [-0.08344905, 0.07140389, 0.02977797, 0.01573095, 0.02839817, 0.0134688, 0.08153288, 0.02243786],
    [-0.03814697, 0.0703033, 0.01459479, 0.05383391, -0.0228552, -0.00769325, 0.11171137, 0.11765811],
]  # fmt: skip
"""The first eight numbers that peft's own model gives for these rows with this adapter."""


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


def weights(rank: int, seed: int, modules: tuple[str, ...] = ("attention.self.query", "attention.self.value")) -> dict[tuple[int, str], Pair]:  # fmt: skip
    random = torch.Generator().manual_seed(seed)
    return {
        (layer, name): (
            torch.randn(MODULES[name].inputs, rank, generator=random) / 20,
            torch.randn(rank, MODULES[name].outputs, generator=random) / 20,
        )
        for layer in range(6)
        for name in modules
    }


def adapter(rank: int, seed: int, *modules: str) -> Adapter:
    parts = weights(rank, seed, modules) if modules else weights(rank, seed)
    return Adapter(parts, f"{rank}-{seed}")


def embedded(model: MiniLm, rows: list[list[int]], adapters: list[Adapter | None]) -> np.ndarray:
    """In one pass; rows in the order given."""
    mixer = Mixer()
    order = sorted(range(len(rows)), key=lambda i: mixer.order(adapters[i]))
    made = model.embed([rows[i] for i in order], mixer.mixture([adapters[i] for i in order]))
    return made[np.argsort(order)]


def test_a_file_of_peft_gives_the_numbers_of_peft(model: MiniLm) -> None:
    found = load_adapter(BY_PEFT)
    assert found.rank == 2
    made = embedded(model, ROWS, [found, found])
    np.testing.assert_allclose(made[:, :8], EXPECTED, atol=1e-5)
    plain = embedded(model, ROWS, [None, None])
    assert np.abs(made - plain).max() > 0.01


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    given = weights(6, 1) | {
        key: pair for key, pair in weights(3, 2, ("output.dense",)).items() if key[0] == 5
    }
    save_adapter(tmp_path, given, alpha=12, base="all-MiniLM-L6-v2")
    found = load_adapter(tmp_path)
    assert found.rank == 6
    for (layer, name), (down, up) in given.items():
        torch.testing.assert_close(found.parts[layer, name][0], down)
        torch.testing.assert_close(found.parts[layer, name][1], up * 12 / up.shape[0])


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from((0, 1, 2, 3, 8, 17)),
            st.sampled_from(((), ("intermediate.dense",), ("attention.output.dense", "output.dense"))),
        ),
        min_size=1,
        max_size=12,
    )
)  # fmt: skip
def test_rows_of_different_adapters_are_as_if_alone(
    rows: list[tuple[int, int, tuple[str, ...]]],
) -> None:
    model = MiniLm()
    ids = [[2000 + n] * length for n, (length, _, _) in enumerate(rows)]
    adapters = [adapter(rank, n % 3, *names) if rank else None for n, (_, rank, names) in enumerate(rows)]  # fmt: skip
    together = embedded(model, ids, adapters)
    alone = [embedded(model, [i], [a])[0] for i, a in zip(ids, adapters, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-4)


def test_the_place_of_a_forgotten_adapter_is_used_again(model: MiniLm) -> None:
    mixer = Mixer()
    for seed in range(40):
        one = adapter(4, seed)
        mixer.order(one)
        del one
    kept = [adapter(4, seed) for seed in range(9)]
    assert max(mixer.order(a)[1] for a in kept) < 16
    expected = [embedded(model, ROWS[:1], [a])[0] for a in kept]
    made = model.embed([ROWS[0]] * 9, mixer.mixture(kept))
    np.testing.assert_allclose(made, np.stack(expected), atol=1e-5)


# --- hostile files ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "adapter"
    shutil.copytree(BY_PEFT, made)
    return made


def configured(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["classifier"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"r": 0}, "r:"),
        ({"lora_alpha": 1e300}, "lora_alpha"),
        ({"alpha_pattern": {"(a+)+$": 1}}, "alpha_pattern"),
    ],
)
def test_a_config_that_cannot_be_honoured_is_refused(
    folder: Path, changes: dict[str, object], why: str
) -> None:
    configured(folder, **changes)
    with pytest.raises(BadExpert, match=why):
        load_adapter(folder)


def changed(folder: Path, key: str, tensor: torch.Tensor | None) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(key, None)
    if tensor is not None:
        tensors[key] = tensor
    save_file(tensors, path)


KEY = "base_model.model.encoder.layer.4.attention.self.query.lora_A.weight"


@pytest.mark.parametrize(
    ("key", "tensor", "why"),
    [
        (KEY, torch.zeros(2, 383), "do not fit"),
        (KEY, torch.zeros(3, 384), "do not fit"),
        (KEY, torch.zeros(384), "do not fit"),
        (KEY, torch.zeros(0, 384), "do not fit"),
        (KEY, torch.full((2, 384), float("nan")), "not finite"),
        (KEY, None, "lora_A is missing"),
        (KEY.replace("layer.4", "layer.6"), torch.zeros(2, 384), "not a LoRA weight"),
        (KEY.replace("query", "gate"), torch.zeros(2, 384), "not a LoRA weight"),
        (KEY.replace("lora_A", "lora_C"), torch.zeros(2, 384), "not a LoRA weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, key: str, tensor: torch.Tensor | None, why: str
) -> None:
    changed(folder, key, tensor)
    with pytest.raises(BadExpert, match=why):
        load_adapter(folder)


@pytest.mark.parametrize("content", [b"", b"\x80\x04junk", b"\xff" * 64, b"\x08" + b"\x00" * 7 + b"{notjson"])  # fmt: skip
def test_a_damaged_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(BadExpert, match=r"adapter_model\.safetensors cannot be read"):
        load_adapter(folder)


def test_a_pickle_is_never_read(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(BadExpert, match="pickle, which is never read"):
        load_adapter(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadExpert, match=r"adapter_config\.json cannot be read"):
        load_adapter(tmp_path)
