"""A program that changes an index is killed at any moment: what it said it had done is there afterwards."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from search_changes import DIM, NAMES

from pointsman.router.search import EVERYTHING, CapabilityIndex

PROGRAM = Path(__file__).with_name("search_changes.py")
KILLS = 10


def killed(folder: Path, seed: int, after: float) -> list[str]:
    """Lines that the program said before it was killed, `after` seconds from its first one."""
    child = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child, child.stdout as out:
        first = out.readline()
        time.sleep(after)
        os.kill(child.pid, signal.SIGKILL)
        lines = [first.strip(), *(line.strip() for line in out)]
    assert child.returncode == -signal.SIGKILL, lines[-3:]
    return lines


def told(lines: list[str], there: dict[str, int]) -> tuple[str, int | None] | None:
    """Applies what was said to have been done; what had begun and may or may not have been done."""
    under_way: tuple[str, int | None] | None = None
    for line in lines:
        match line.split():
            case ["putting", name, turn]:
                under_way = (name, int(turn))
            case ["put", name, turn]:
                there[name], under_way = int(turn), None
            case ["dropping", name]:
                under_way = (name, None)
            case ["drop", name]:
                there.pop(name, None)
                under_way = None
    return under_way


def turns(index: CapabilityIndex, there: dict[str, int]) -> dict[str, int]:
    """What an index has of the names, with the turn by which it is found."""
    found = {f.name for f in index.search(np.ones(DIM, np.float32), "", 100, EVERYTHING)}
    assert found == {n for n in NAMES if n in index}
    return {
        name: turn
        for name, turn in there.items()
        if name in found
        and any(f.name == name for f in index.search(None, f"turn{turn}", 100, EVERYTHING))
    }


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    there: dict[str, int] = {}
    for seed in range(KILLS):
        under_way = told(killed(tmp_path, seed, chance.uniform(0, 0.15)), there)
        index = CapabilityIndex.open(tmp_path)
        if index is None:
            assert not there
            continue
        if under_way is not None:
            name, turn = under_way
            done = (name in index) == (turn is not None) and (
                turn is None or name in turns(index, {name: turn})
            )
            if done:
                there.pop(name, None)
                if turn is not None:
                    there[name] = turn
        assert turns(index, there) == there
        assert len(index) == len(there)
        leftovers = {p.name.partition(".")[0] for p in tmp_path.glob("gen-*")}
        assert len(leftovers) == 1
        index.close()
