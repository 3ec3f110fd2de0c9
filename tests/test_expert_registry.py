"""Registered experts: versions, checksums, what an update breaks, and nothing wrong while all of it changes."""

import asyncio
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hosted import written

from pointsman.experts.models.host import hosting
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.registry.folder import ExpertFolder
from pointsman.experts.models.registry.manifest import Canary
from pointsman.experts.models.registry.shelf import Shelf
from pointsman.experts.models.registry.updating import outputs, register
from pointsman.router.errors import BadExpert

pytestmark = pytest.mark.anyio

TEXTS = ["my card was stolen", "bake bread at home", ""]


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


@pytest.fixture
def folder(tmp_path: Path) -> ExpertFolder:
    return ExpertFolder(tmp_path / "experts")


def test_versions_serve_go_back_and_go(folder: ExpertFolder, tmp_path: Path, model: MiniLm) -> None:
    assert folder.names() == []
    for seed in (1, 2):
        added = register(folder, written(tmp_path / str(seed), "tickets", seed, rank=4), model)
        assert (added.version, added.served, added.breaking) == (seed, True, ())
    assert folder.names() == ["tickets"]
    assert "tickets" in folder
    assert folder.versions("tickets") == [1, 2]
    now = outputs(model, folder.open("tickets").reading, TEXTS)
    folder.serve("tickets", 1)
    before = outputs(model, folder.open("tickets").reading, TEXTS)
    assert np.abs(np.array(now) - np.array(before)).max() > 0.1
    folder.remove("tickets")
    assert folder.names() == []
    with pytest.raises(BadExpert, match="no expert 'tickets'"):
        folder.open("tickets")


def test_another_name_is_offered(folder: ExpertFolder, tmp_path: Path, model: MiniLm) -> None:
    register(folder, written(tmp_path / "a", "tickets", 1), model)
    with pytest.raises(BadExpert, match="near: tickets"):
        folder.open("ticket")
    with pytest.raises(BadExpert, match="no expert"):
        folder.open("../tickets")


@pytest.mark.parametrize("name", ["head.safetensors", "adapter_model.safetensors", "adapter_config.json"])  # fmt: skip
def test_a_file_that_was_changed_is_never_served(
    folder: ExpertFolder, tmp_path: Path, model: MiniLm, name: str
) -> None:
    register(folder, written(tmp_path / "a", "tickets", 1, rank=2), model)
    path = folder.path / "tickets" / "1" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadExpert, match=f"{name} of tickets is not the file"):
        folder.open("tickets")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backbone_sha256": "0" * 64}, "other weights"),
        ({"labels": ["a", "a", "b"]}, "twice"),
        ({"labels": ["a"]}, "at least two"),
        ({"labels": ["a", "b"]}, "are needed"),
        ({"name": "../x"}, "name"),
        ({"files": {"/etc/passwd": "0" * 64}}, "no file of an expert"),
        ({"kind": "embedding"}, "belongs to sequence"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_and_leaves_nothing(
    folder: ExpertFolder, tmp_path: Path, model: MiniLm, changes: dict[str, object], why: str
) -> None:
    source = written(tmp_path / "a", "tickets", 1)
    path = source / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(BadExpert, match=why):
        register(folder, source, model)
    assert folder.names() == []
    assert not folder.path.exists() or not list(folder.path.iterdir())


def test_an_update_that_breaks_something_is_not_served(
    folder: ExpertFolder, tmp_path: Path, model: MiniLm
) -> None:
    first = written(tmp_path / "a", "tickets", 1)
    register(folder, first, model)
    said = [int(o.argmax()) for o in outputs(model, folder.open("tickets").reading, TEXTS[:2])]
    canaries = tuple(Canary(text=t, label="abc"[i]) for t, i in zip(TEXTS, said, strict=False))
    folder.remove("tickets")
    register(folder, written(tmp_path / "b", "tickets", 1, canaries=canaries), model)
    other = next(
        s for s in range(2, 30)
        if not _right(model, written(tmp_path / f"c{s}", "tickets", s), canaries)
    )  # fmt: skip
    refused = register(folder, tmp_path / f"c{other}", model)
    assert not refused.served
    assert "canaries" in refused.breaking[0]
    assert folder.versions("tickets") == [1]
    fewer = register(folder, written(tmp_path / "d", "tickets", 1, labels=("a", "z", "b")), model)
    assert not fewer.served
    assert fewer.breaking == ("labels that are gone: c", "labels that are new: z")
    taken = register(folder, tmp_path / f"c{other}", model, accept=True)
    assert taken.served
    assert folder.current("tickets") == taken.version


def _right(model: MiniLm, source: Path, canaries: tuple[Canary, ...]) -> bool:
    from pointsman.experts.models.registry.folder import opened

    made = outputs(model, opened(source), [c.text for c in canaries])
    return any("abc"[int(m.argmax())] == c.label for m, c in zip(made, canaries, strict=True))


async def test_the_least_recently_used_makes_room(folder: ExpertFolder, tmp_path: Path) -> None:
    for name in "abc":
        folder.serve(name, folder.add(written(tmp_path / name, name, ord(name))))
    shelf = Shelf(folder, room=2)
    a = await shelf.get("a")
    await shelf.get("b")
    assert await shelf.get("a") is a
    await shelf.get("c")
    assert len(shelf) == 2
    assert await shelf.get("a") is a
    await shelf.get("b")
    assert (shelf.counts.hits, shelf.counts.misses, shelf.counts.dropped) == (2, 4, 2)


async def test_many_who_ask_for_what_is_on_disk_read_it_once(
    folder: ExpertFolder, tmp_path: Path
) -> None:
    folder.serve("a", folder.add(written(tmp_path / "a", "a", 1, rank=4)))
    shelf = Shelf(folder)
    opens = 0
    real = folder.open

    def counted(name: str, version: int | None = None) -> object:
        nonlocal opens
        opens += 1
        return real(name, version)

    folder.open = counted  # type: ignore[method-assign, assignment]
    found = await asyncio.gather(*(shelf.get("a") for _ in range(50)))
    assert len({id(f) for f in found}) == 1
    assert opens == 1


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_wrong_while_experts_are_loaded_updated_and_removed(
    folder: ExpertFolder, tmp_path: Path, model: MiniLm, seed: int
) -> None:
    """Every answer is that of a version that served while it was asked for."""
    rng = random.Random(seed)
    names = [f"expert{n}" for n in range(12)]
    right: dict[str, list[np.ndarray]] = {}
    for n, name in enumerate(names):
        right[name] = []
        for version in (1, 2):
            source = written(tmp_path / f"{name}-{version}", name, 100 * n + version, rank=n % 5)
            number = folder.add(source)
            reading = folder.open(name, number).reading
            right[name].append(np.stack(outputs(model, reading, TEXTS)))
        folder.serve(name, 1)
    shelf = Shelf(folder, room=5)
    wrong: list[str] = []
    missing = 0
    answered = 0

    async def ask() -> None:
        nonlocal answered, missing
        name = rng.choice(names)
        place = rng.randrange(len(TEXTS))
        try:
            expert = await shelf.get(name)
        except BadExpert:
            missing += 1
            return
        (output,) = await host.read([TEXTS[place]], expert.reading)
        known = right[name][expert.version - 1][place]
        if not np.allclose(output, known, atol=1e-4):
            wrong.append(f"{name} {expert.version}: {output} instead of {known}")
        answered += 1

    async def change() -> None:
        name = rng.choice(names)
        match rng.randrange(4):
            case 0:
                shelf.drop(name)
            case 1 if name in folder:
                folder.serve(name, rng.choice((1, 2)))
            case 2 if name in folder and rng.random() < 0.3:
                folder.remove(name)
            case _ if name not in folder:
                for version in (1, 2):
                    folder.add(tmp_path / f"{name}-{version}")
                folder.serve(name, rng.choice((1, 2)))
        await asyncio.sleep(0)

    async with hosting(threads=1) as host:

        async def client() -> None:
            for _ in range(25):
                await ask()

        async def changer() -> None:
            for _ in range(120):
                await change()
                await asyncio.sleep(0.002)

        await asyncio.gather(*(client() for _ in range(12)), changer())
    assert wrong == []
    assert answered > 150
    assert len(shelf) <= 5
    assert shelf.counts.dropped > 5
