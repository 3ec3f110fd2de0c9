"""What the trainings on ABCD's sub-flows are given."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True)
class Given:
    """abcd: the folder of the guidelines. situations: by sub-flow, in words. out: the file to write."""

    abcd: Path
    situations: Mapping[str, Sequence[str]]
    out: Path


def given(about: str | None, weights: Path) -> Given:
    """From the command line. weights: where they go without --out."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, required=True, help="folder that has abcd")
    parser.add_argument(
        "--situations", type=Path, required=True, help="YAML: sub-flow to situations"
    )
    parser.add_argument("--out", type=Path, default=weights)
    said = parser.parse_args()
    situations = yaml.safe_load(said.situations.read_text("utf-8"))
    return Given(said.data / "abcd", situations, said.out)
