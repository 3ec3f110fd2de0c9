"""A program that changes an index again and again until it is killed: python search_changes.py FOLDER SEED.

It says "begun", then what it is about to do and, when the call has returned, what it did.
"""

import sys
from pathlib import Path

import numpy as np

from pointsman.router.errors import IndexDamaged
from pointsman.router.search import CapabilityIndex, Entry

DIM = 16
NAMES = [f"c{i}" for i in range(20)]


def entry(name: str, turn: int) -> Entry:
    """Its words say which turn it is of."""
    vector = np.random.default_rng(turn).standard_normal((1, DIM)).astype(np.float32)
    return Entry(name, vector, f"turn{turn} common")


def said(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(seed)
    said("begun")
    index = CapabilityIndex.open(folder)
    if index is None:
        index = CapabilityIndex.build(folder, DIM)
        said("built")
    turn = seed * 1_000_000
    while True:
        turn += 1
        name = NAMES[int(random.integers(len(NAMES)))]
        act = random.random()
        if act < 0.2:
            said("dropping", name)
            index.remove([name])
            said("drop", name)
        elif act < 0.3:
            index.fold()
            said("folded")
        else:
            said("putting", name, turn)
            index.put([entry(name, turn)])
            said("put", name, turn)


if __name__ == "__main__":
    try:
        main()
    except IndexDamaged as damage:
        said("damaged", damage)
        raise
