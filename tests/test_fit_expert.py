"""`experts fit`: from a file of labelled texts to a capability that a request in plain words comes to."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pointsman.client import AsyncClient
from pointsman.experts.models import tuned
from pointsman.experts.models.adapters import load_adapter, save_adapter
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.readings import Head, Reading
from pointsman.experts.models.registry.folder import ExpertFolder
from pointsman.experts.models.registry.updating import outputs
from pointsman.experts.models.training import adapting
from pointsman.experts.models.training.adapting import FIRST, Trained
from pointsman.experts.models.training.examples import Example, read_examples, split
from pointsman.experts.models.training.probing import calibration_error, temperature
from pointsman.experts.models.tuned import Tuned, keep_tuned, read_tuned
from pointsman.router.errors import BadExpert
from pointsman.services.runtime import Runtime
from pointsman.services.settings import Settings

WORDS = {
    "hardware": ("screen", "keyboard", "printer", "laptop battery", "docking station", "mouse"),
    "access": ("password", "login", "two-factor code", "VPN account", "badge", "permission"),
    "facilities": ("heating", "coffee machine", "office chair", "window", "parking space", "lift"),
}
SAID = (
    "The {} is broken again.",
    "I have a problem with my {}, please help.",
    "Can somebody look at the {} today?",
    "My {} stopped working this morning",
    "Request about the {} in building two",
)


def pairs() -> list[tuple[str, str]]:
    return [
        (said.format(word), label)
        for label, words in WORDS.items()
        for word in words
        for said in SAID
    ]


def labelled(path: Path) -> Path:
    lines = [json.dumps({"message": t, "queue": n}) for t, n in pairs()]
    path.write_text("\n".join(lines))
    return path


def pointsman(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pointsman.cli", "experts", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "160", "POINTSMAN_HOME": str(home)},
        check=False,
    )


# --- the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", "text,label\n", "at least two different labels are needed, there is none"),
        ("a.csv", "text,kind\nx,y\n", "no column 'label'; it has 'text', 'kind'"),
        ("a.csv", "", "no column 'text'; it has none"),
        ("a.csv", 'text,label\n"open,x\n', "no CSV"),
        ("a.csv", "text,label\n" + "".join(f"text {n},same\n" for n in range(9)), "only 'same'"),
        ("a.csv", "text,label\n" + "".join(f"t{n},{'ab'[n > 7]}\n" for n in range(10)), r"too few have 'b' \(2\)"),
        ("a.jsonl", '{"text": "x", "label": "y"}\nnonsense\n', "line 2: no JSON"),
        ("a.jsonl", "[1]\n", "line 1: an object is needed"),
        ("a.jsonl", '{"text": "x"}\n', "line 1: there is no 'label'"),
        ("a.jsonl", '{"text": "x", "label": ["y"]}\n', "one label a text"),
        ("a.xlsx", "", "give a file that ends with"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_and_says_why(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadExpert, match=why):
        read_examples(path, "text", "label")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\ncafé,x\n".encode("latin-1"))
    with pytest.raises(BadExpert, match="not UTF-8"):
        read_examples(path, "text", "label")


def test_a_file_to_test_with_may_have_a_single_text_of_a_label(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\none,a\ntwo,b\n")
    assert len(read_examples(path, "text", "label", to_test=True).examples) == 2
    path.write_text("text,label\n,a\n")
    with pytest.raises(BadExpert, match="no text with a label"):
        read_examples(path, "text", "label", to_test=True)


def test_repeated_torn_and_empty_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"text {n};{'ab'[n % 2]}" for n in range(12)]
    path.write_text("text;label\n" + "\n".join([*rows, "Text 0;a", "torn;a", "torn;b", ";a"]))
    found = read_examples(path, "text", "label")
    assert len(found.examples) == 12
    assert len(found.notes) == 3


def test_no_text_is_in_two_parts_and_each_label_is_in_all() -> None:
    examples = [Example(f"text {n}", "abc"[n % 3]) for n in range(60)]
    parts = split(examples, seed=1)
    texts = [[e.text for e in p] for p in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, texts)) == len({t for p in texts for t in p}) == 60
    for part in (parts.train, parts.validation, parts.test):
        assert {e.label for e in part} == {"a", "b", "c"}
    given = split(examples, seed=1, test=[Example("TEXT 7", "a")])
    assert "text 7" not in [e.text for e in (*given.train, *given.validation)]


# --- the sums ---------------------------------------------------------------------------------------


def test_passing_half_of_the_layers_is_passing_all() -> None:
    model = MiniLm()
    batch = [[2003, 2004, 2005], [2006]]
    whole, mask = model.states(batch)
    below, _ = model.states(batch, (FIRST,))
    with torch.inference_mode():
        torch.testing.assert_close(model.upward(below, mask, FIRST), whole)


def test_an_adapter_begins_as_none_and_every_part_of_it_learns() -> None:
    model, adapter = MiniLm(), Trained(FIRST, 4).eval()
    batch = [[2003, 2004, 2005], [2006, 2007, 2008]]
    below, mask = model.states(batch, (FIRST,))
    below = below.clone()
    plain = model.upward(below, mask, FIRST)
    made = model.upward(below, mask, FIRST, adapter)
    torch.testing.assert_close(made, plain)
    made.square().sum().backward()
    assert all(float(up.grad.abs().sum()) > 0 for up in adapter.ups if up.grad is not None)
    assert all(up.grad is not None for up in adapter.ups)


def test_what_was_trained_is_what_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapting, "EPOCHS", 4)
    model = MiniLm()
    texts, labels = zip(*pairs()[::2], strict=True)
    ids = [t.ids for t in model.tokenize(list(texts))]
    known = sorted(WORDS)
    places = torch.tensor([known.index(label) for label in labels])
    part = adapting.prefixes(model, ids, places)
    nothing = Head(torch.zeros(384, 3), torch.zeros(3))
    made = adapting.adapt(model, part, part, nothing, ends=time.monotonic() + 60)
    assert float((made.validation.argmax(1) == places).float().mean()) > 0.9
    save_adapter(tmp_path, made.weights, alpha=adapting.ALPHA, base="x", dtype=torch.float16)
    served = Reading("sequence", load_adapter(tmp_path), made.head)
    plain = Reading("sequence", None, made.head)
    numbers = torch.from_numpy(np.stack(outputs(model, served, texts)))
    torch.testing.assert_close(numbers, made.validation, atol=0.02, rtol=0.02)
    without = torch.from_numpy(np.stack(outputs(model, plain, texts)))
    assert (without - made.validation).abs().max() > 0.1


def test_the_temperature_mends_numbers_that_are_too_sure() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2_000,), generator=random)
    numbers = torch.randn(2_000, 3, generator=random)
    numbers[torch.arange(2_000), labels] += 1.0
    sure = numbers * 6
    heat = temperature(sure, labels)
    assert 4 < heat < 8
    assert calibration_error(sure / heat, labels) < 0.06 < calibration_error(sure, labels)


# --- the whole way ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A home with the expert `tickets`, and what the command printed."""
    home = tmp_path_factory.mktemp("home")
    file = labelled(home / "tickets.jsonl")
    done = pointsman(home, "fit", str(file), "--text", "message", "--label", "queue", "--json")
    assert done.returncode == 0, done.stderr
    return home, json.loads(done.stdout)


def test_fit_measures_beside_what_one_would_use_otherwise(
    fitted: tuple[Path, dict[str, object]],
) -> None:
    home, told = fitted
    card = told["card"]
    assert isinstance(card, dict)
    scores = card["scores"]
    assert set(scores) == {"expert", "linear probe", "nearest centroid", "majority"}
    assert scores["expert"]["accuracy"] >= scores["majority"]["accuracy"] + 0.3
    manifest = ExpertFolder(home / "experts").manifest("tickets")
    assert manifest.labels == ("access", "facilities", "hardware")
    assert len(manifest.canaries) > 5


def test_list_show_update_and_remove(
    fitted: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    home, _ = fitted
    assert "tickets" in pointsman(home, "list").stdout
    shown = pointsman(home, "show", "tickets")
    assert "linear probe" in shown.stdout
    path = tmp_path / "wrong.jsonl"
    turned = {"access": "hardware", "hardware": "facilities", "facilities": "access"}
    path.write_text("\n".join(json.dumps({"message": t, "queue": turned[n]}) for t, n in pairs()))
    refused = pointsman(home, "fit", str(path), "--text", "message", "--label", "queue", "--name", "tickets", "--minutes", "0.1")  # fmt: skip
    assert refused.returncode == 1
    assert "canaries" in refused.stderr
    assert ExpertFolder(home / "experts").current("tickets") == 1
    missing = pointsman(home, "remove", "ticket")
    assert (missing.returncode, "near: tickets" in missing.stderr) == (2, True)


@pytest.mark.anyio
async def test_a_request_in_plain_words_comes_to_the_expert(
    fitted: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    home, _ = fitted
    table = tmp_path / "tickets.csv"
    table.write_text(
        "id,message\n1,I forgot the password for my login\n2,The printer jams\n3,It is cold: the heating is off\n"
    )
    settings = Settings(home=home, port=0)
    async with Runtime(settings) as runtime, AsyncClient(runtime.address) as client:
        answer = await client.run("classify these tickets with my labels", files=[table])
    assert answer.status == "done", answer
    assert [step.capability for step in answer.steps][-1] == "fitted.tickets"
    rows = answer.parts[0].rows
    assert [row[2] for row in rows] == ["access", "hardware", "facilities"]


def test_what_was_tuned_is_used_on_a_machine_like_that_only(tmp_path: Path) -> None:
    assert read_tuned(tmp_path) == Tuned()
    cores = os.cpu_count() or 1
    keep_tuned(tmp_path, Tuned(threads=1, token_budget=512, cores=cores))
    assert read_tuned(tmp_path).token_budget == 512
    keep_tuned(tmp_path, Tuned(threads=1, token_budget=512, cores=cores + 1))
    assert read_tuned(tmp_path) == Tuned()
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(BadExpert, match="tune again"):
        read_tuned(tmp_path)


def test_tuning_takes_the_fastest_of_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "BUDGETS", (256, 1_024))
    monkeypatch.setattr(tuned, "SHORT", 20)
    monkeypatch.setattr(tuned, "LONG", 2)
    monkeypatch.setattr(tuned, "ROUNDS", 1)
    found = tuned.tune()
    quick = [m for m in found.measured if m.slowest <= tuned.LONGEST_PASS] or found.measured
    best = max(quick, key=lambda m: m.tokens_per_second)
    assert (found.threads, found.token_budget) == (best.threads, best.token_budget)
