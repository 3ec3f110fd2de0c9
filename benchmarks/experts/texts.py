"""A realistic mix of lengths: three short requests for each passage of a document."""

import gzip
import json
import random
from pathlib import Path


def mixed_texts(data: Path | None) -> list[str]:
    chance = random.Random(0)
    if data is None:
        words = "the card order was lost and nobody could say when it would come back to me".split()
        lengths = [
            chance.randint(4, 14) if n % 4 else chance.randint(60, 180) for n in range(4_000)
        ]
        return [" ".join(chance.choices(words, k=length)) for length in lengths]
    lines = (data / "clinc150" / "train.jsonl").read_text("utf-8").splitlines()
    short = [json.loads(line)["text"] for line in lines]
    with gzip.open(data / "policyqa" / "dev.json.gz", "rt", encoding="utf-8") as file:
        titles = json.load(file)["data"]
    long = sorted({p["context"] for t in titles for p in t["paragraphs"]})
    chance.shuffle(short)
    chance.shuffle(long)
    return [short[n] if n % 4 else long[(n // 4) % len(long)] for n in range(4_000)]
