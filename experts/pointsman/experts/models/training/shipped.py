"""Trains the experts that ship: `python -m pointsman.experts.models.training.shipped --data DIR [--name NAME]`.

Each is made by `fit_expert` from a public set's train part; what is chosen is chosen on a part of that, and the
set's test part is only measured, once.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.registry.shipped import shipped_path
from pointsman.experts.models.training.examples import Example, Labelled, read_examples
from pointsman.experts.models.training.own import Wish, fit_expert

COMMAND = "python -m pointsman.experts.models.training.shipped --name"


@dataclass(frozen=True, slots=True)
class Recipe:
    """train, test: files below the data folder. domains: a file that says which domain an intent is of."""

    wish: Wish
    train: tuple[str, ...]
    test: tuple[str, ...]
    domains: str = ""


RECIPES = (
    Recipe(
        Wish(
            "banking",
            "intent",
            "tell what bank customers want",
            "Tells which of 77 things a customer of a bank wants in each message: a lost card, a transfer that failed, a refund, a top-up, exchange rates and others.",
            (
                "which banking intent is each of these messages",
                "classify the bank customers' messages by intent",
                "what do these bank customers want",
                "sort the messages to our bank by what they ask for",
                "find the intent of each banking question",
            ),
            "banking77",
            "CC BY 4.0",
            f"{COMMAND} banking",
        ),
        ("banking77/train.jsonl",),
        ("banking77/test.jsonl",),
    ),
    Recipe(
        Wish(
            "assistant_intents",
            "intent",
            "tell what a request to an assistant is for",
            "Tells which of 150 things a request to a voice assistant is for: a timer, the weather, a translation, a reservation, a bank balance and others.",
            (
                "which assistant intent is each of these requests",
                "classify the requests to our voice assistant by intent",
                "what does each user of the assistant want",
                "find the intent of each utterance",
            ),
            "clinc150",
            "CC BY 3.0",
            f"{COMMAND} assistant_intents",
        ),
        ("clinc150/train.jsonl",),
        ("clinc150/test.jsonl",),
    ),
    Recipe(
        Wish(
            "assistant_domains",
            "domain",
            "tell the domain of a request to an assistant",
            "Tells which of ten domains a request to an assistant belongs to: banking, credit cards, kitchen and dining, home, auto, travel, utility, work, small talk or about the assistant.",
            (
                "which domain does each request belong to",
                "sort the assistant's requests by domain",
                "is each of these requests about travel, banking or the kitchen",
            ),
            "clinc150",
            "CC BY 3.0",
            f"{COMMAND} assistant_domains",
        ),
        ("clinc150/train.jsonl",),
        ("clinc150/test.jsonl",),
        "clinc150/domains.json",
    ),
    Recipe(
        Wish(
            "home",
            "intent",
            "tell what a smart home is asked to do",
            "Tells which of 64 things a request to a home assistant is for: lights, music, alarms, calendar, news, cooking, cleaning, e-mail and others.",
            (
                "which smart home intent is each of these requests",
                "classify the requests to the home assistant",
                "what should the home do for each of these",
            ),
            "nlu_home",
            "CC BY 4.0",
            f"{COMMAND} home",
        ),
        ("nlu_home/train.jsonl",),
        ("nlu_home/test.jsonl",),
    ),
)  # fmt: skip


def read(data: Path, names: Sequence[str], domains: str, *, to_test: bool = False) -> Labelled:
    found = [read_examples(data / name, "text", "intent", to_test=to_test) for name in names]
    given = Labelled(
        tuple(e for f in found for e in f.examples), tuple(n for f in found for n in f.notes)
    )
    if not domains:
        return given
    tree: dict[str, list[str]] = json.loads((data / domains).read_text("utf-8"))
    domain = {intent: name for name, intents in tree.items() for intent in intents}
    return replace(given, examples=tuple(Example(e.text, domain[e.label]) for e in given.examples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", choices=[r.wish.name for r in RECIPES], action="append")
    parser.add_argument("--minutes", type=float, default=30.0, help="for each")
    given = parser.parse_args()
    model = MiniLm()
    for recipe in RECIPES:
        if given.name and recipe.wish.name not in given.name:
            continue
        print(recipe.wish.name, f"with {torch.get_num_threads()} threads", flush=True)
        made = shipped_path() / recipe.wish.name
        fresh = made.with_name(f".{made.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        manifest = fit_expert(
            model,
            read(given.data, recipe.train, recipe.domains),
            recipe.wish,
            fresh,
            test=read(given.data, recipe.test, recipe.domains, to_test=True).examples,
            minutes=given.minutes,
            told=lambda line: print(f"  {line}", flush=True),
        )
        shutil.rmtree(made, ignore_errors=True)
        fresh.rename(made)
        for way, scores in manifest.card.scores.items():
            print(f"  test: {way}: accuracy {scores.accuracy:.3f}, macro F1 {scores.macro_f1:.3f}")


if __name__ == "__main__":
    main()
