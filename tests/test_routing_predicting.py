"""Experts that are chosen by the very input, in whole runs."""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from serving import ended, serving
from typer.testing import CliRunner

from pointsman.cli import app
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadGolden, ExpertFailed
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.base import Vectors
from pointsman.router.routing.outcomes import fitted, read_outcomes
from pointsman.router.routing.predicting import Predictor, text_of
from pointsman.router.workspace import RunSpec, Workspace

pytestmark = pytest.mark.anyio
NAME = "test.solve"
EASY, HARD = "add a bad cab", "why fuzzy proof"


class Letters:
    """An embedder that knows a text by its letters."""

    dim = 26

    def __init__(self, *, slow: float = 0.0, broken: bool = False) -> None:
        self.slow, self.broken = slow, broken

    async def embed(self, texts: Sequence[str]) -> Vectors:
        await asyncio.sleep(self.slow)
        if self.broken:
            raise ExpertFailed("the encoder is closed")
        counts = np.array([[t.count(chr(97 + c)) for c in range(26)] for t in texts], np.float32)
        made: Vectors = counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)
        return made


def outcomes(path: Path) -> Path:
    rows = [
        {
            "text": f"{text}{' please' * (n % 3)}{' now' * (n // 3)}",
            "expert": expert,
            "right": right,
        }
        for n in range(9)
        for text in (EASY, HARD)
        for expert, right in (("small", text == EASY), ("large", True))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


async def learned(folder: Path) -> Path:
    rows = read_outcomes(outcomes(folder / "outcomes.jsonl"))
    texts = list(dict.fromkeys(r.text for r in rows))
    fitted(rows, texts, await Letters().embed(texts)).save(folder / f"{NAME}.safetensors")
    return folder


@capability(NAME, prior=Prior(quality=0.9, cost=0))
async def small(question: str) -> str:
    """Answers."""
    return question


@capability(NAME, prior=Prior(quality=0.9, cost=3_000))
async def large(question: str) -> str:
    """Answers."""
    return question


EXPERTS = [ToolExpert("small", "cheap", [small]), ToolExpert("large", "dear", [large])]


@pytest.mark.parametrize(("question", "expert"), [(EASY, "small"), (HARD, "large")])
async def test_the_expert_is_chosen_by_what_is_asked(
    workspace: Workspace, redis_url: str, tmp_path: Path, question: str, expert: str
) -> None:
    predictor = Predictor(await learned(tmp_path), Letters())
    task = TaskId("a")
    plan = Plan((Task(task, NAME, {"question": question}),), answer=(task,))
    spec = RunSpec("x", plan=plan, prefer="cost")  # the cheap one, where it is good enough
    async with serving(workspace, redis_url, tmp_path, EXPERTS, predictor=predictor):
        record = await ended(workspace, spec)
    assert record.status == "done"
    routed = [p.event async for p in workspace.events(record.id) if p.event.type == "task.routed"]
    assert [e.route["expert"] for e in routed] == [expert]


async def test_what_cannot_be_foretold_is_left_to_the_cards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    folder = await learned(tmp_path)
    arguments = {"question": EASY}
    with caplog.at_level(logging.WARNING):
        sound = Predictor(folder, Letters())
    assert "fit them again" in caplog.text
    assert set(await sound.quality(NAME, arguments)) == {"small", "large"}
    assert await sound.quality("test.other", arguments) == {}
    assert await Predictor(folder, Letters(slow=5)).quality(NAME, arguments) == {}
    assert await Predictor(folder, Letters(broken=True)).quality(NAME, arguments) == {}


def test_the_text_of_arguments_is_what_is_written_in_them() -> None:
    assert text_of({"a": "x", "n": 3, "more": [{"b": "y"}, "z", None]}) == "x\ny\nz"


def test_outcomes_are_read_and_a_bad_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text('{"text": "a", "expert": "e", "right": true}\n{"text": "a", "expert": "e"}')
    with pytest.raises(BadGolden, match="line 2"):
        read_outcomes(path)
    with pytest.raises(BadGolden):
        read_outcomes(tmp_path / "none")


def test_router_learn_writes_what_a_controller_reads(tmp_path: Path) -> None:
    path = outcomes(tmp_path / "outcomes.jsonl")
    ran = CliRunner().invoke(app, ["router", "learn", NAME, str(path), "--home", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    assert "2 experts on 18 inputs" in ran.stderr
    assert (tmp_path / "router" / f"{NAME}.safetensors").exists()
    path.write_text('{"text": "a", "expert": "e", "right": 1}')
    few = CliRunner().invoke(app, ["router", "learn", NAME, str(path), "--home", str(tmp_path)])
    assert few.exit_code == 2
    assert "ten or more" in few.stderr
