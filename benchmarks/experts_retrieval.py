"""Speed of the encoder and quality of the retrieval experts, on public sets.

    python -m benchmarks.experts_retrieval --data DIR     # DIR holds banking77/, policyqa/

Prints one table. Nothing here is tuned on a test part: banking77 is the training part, PolicyQA the titles
that sort into the last third.
"""

import argparse
import asyncio
import gzip
import json
import random
import time
from collections import Counter
from pathlib import Path
from statistics import mean, stdev

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from pointsman.experts.base import Call
from pointsman.experts.models.answers import find_answer
from pointsman.experts.models.encoder import Encoder
from pointsman.experts.models.grouping import grouped
from pointsman.experts.models.near_duplicates import near_duplicates
from pointsman.experts.models.words import words_of


async def speed(texts: list[str]) -> None:
    started = time.perf_counter()
    encoder = Encoder()
    await encoder.ready()
    print(f"encoder | start-up, imports included | {time.perf_counter() - started:.2f} s")
    started = time.perf_counter()
    await encoder.embed(texts)
    print(
        f"encoder | {len(texts)} short texts in one call | {len(texts) / (time.perf_counter() - started):.0f} texts/s"
    )
    alone = [f"again: {t}" for t in texts[:200]]
    started = time.perf_counter()
    for text in alone:
        await encoder.embed([text])
    took = time.perf_counter() - started
    print(
        f"encoder | one at a time | {len(alone) / took:.0f} texts/s, {1000 * took / len(alone):.1f} ms each"
    )
    started = time.perf_counter()
    await asyncio.gather(*(encoder.embed([f"once more: {t}"]) for t in texts))
    print(
        f"encoder | as many waiters as texts | {len(texts) / (time.perf_counter() - started):.0f} texts/s"
    )
    encoder.close()


async def groups(encoder: Encoder, rows: list[tuple[str, str]]) -> None:
    """Ours with k chosen and k known, beside k-means with k known, on draws of 8 intents x 40 texts."""
    intents = sorted({label for _, label in rows})
    results: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(5):
        picked = set(random.Random(seed).sample(intents, 8))
        sample = [r for label in picked for r in [x for x in rows if x[1] == label][:40]]
        random.Random(seed).shuffle(sample)
        gold = [label for _, label in sample]
        vectors = await encoder.embed([text for text, _ in sample])
        for name, labels in (
            ("ours, k chosen", grouped(vectors)),
            ("ours, k known", grouped(vectors, 8)),
            ("k-means, k known", KMeans(8, n_init=10, random_state=seed).fit_predict(vectors)),
        ):
            nmi = normalized_mutual_info_score(gold, labels)
            results.setdefault(name, []).append(
                (nmi, adjusted_rand_score(gold, labels), len(set(labels)))
            )
    for name, got in results.items():
        nmi, ari, k = zip(*got, strict=True)
        print(
            f"topics | banking77, 8 intents, {name} | NMI {mean(nmi):.3f} +- {stdev(nmi):.3f}, "
            f"ARI {mean(ari):.3f} +- {stdev(ari):.3f}, k {mean(k):.1f}"
        )


async def duplicates(encoder: Encoder, rows: list[tuple[str, str]]) -> None:
    """Reworded copies are to be found; two texts of one intent are not duplicates."""
    rng = random.Random(0)
    picked = rng.sample([t for t, _ in rows if len(t) < 120], 300)
    same = [(t, reworded(t, rng)) for t in picked]
    by_label: dict[str, list[str]] = {}
    for text, label in rows:
        by_label.setdefault(label, []).append(text)
    other = [tuple(rng.sample(by_label[rng.choice(sorted(by_label))], 2)) for _ in range(300)]
    changed = [(f"{t} Order {n}.", f"{t} Order {n + 1}.") for n, t in enumerate(picked, 1000)]
    for name, pairs in (
        ("reworded copy", same),
        ("same intent", other),
        ("another number", changed),
    ):
        vectors = await encoder.embed([t for pair in pairs for t in pair])
        found = sum(
            bool(near_duplicates(list(pair), vectors[2 * n : 2 * n + 2], 0.85))
            for n, pair in enumerate(pairs)
        )
        print(f"duplicates | {name}, called duplicates | {found} of {len(pairs)}")


def reworded(text: str, rng: random.Random) -> str:
    """Small edits that keep the meaning: politeness, case, punctuation, contractions."""
    edits = [
        lambda t: "Hello, " + t[0].lower() + t[1:],
        lambda t: t.lower().rstrip("?.!"),
        lambda t: t.rstrip("?.!") + ", please?",
        lambda t: (
            t.replace("I am", "I'm").replace("do not", "don't").replace("is not", "isn't") + "!!"
        ),
    ]
    return rng.choice(edits)(text)


async def answers(encoder: Encoder, path: Path, count: int) -> None:
    """Questions against their own paragraph, and against a paragraph of another site (no answer there)."""
    with gzip.open(path) as file:
        articles = sorted(json.load(file)["data"], key=lambda a: a["title"])
    held = articles[-len(articles) // 3 :]
    asked = [
        (q["question"], q["answers"][0]["text"], p["context"])
        for a in held
        for p in a["paragraphs"]
        for q in p["qas"]
    ]
    asked = random.Random(0).sample(asked, min(count, len(asked)))
    call = Call("text.answer", {}, files=None, deadline=time.time() + 600)  # type: ignore[arg-type]
    hits, quoted, scores, exact = 0, 0, [], 0
    for question, gold, context in asked:
        found = await find_answer(encoder, [context], question, call)
        if found is None:
            scores.append(0.0)
            continue
        quoted += 1
        flat = " ".join(gold.split())
        hits += flat in found.quote or found.quote in flat
        exact += words_of(found.text) == words_of(gold)
        scores.append(f1(found.text, gold))
    print(
        f"answers | PolicyQA, {len(held)} held-out titles, {len(asked)} questions | EM {exact / len(asked):.3f}, "
        f"F1 {mean(scores):.3f}, sentence hit {hits / len(asked):.3f}, answered {quoted / len(asked):.3f}"
    )
    off = [
        "who won the world cup",
        "how tall is the eiffel tower",
        "what is the recipe of pancakes",
        "when did the war end",
    ]
    contexts = [c for _, _, c in asked[:50]]
    wrong = [await find_answer(encoder, [c], q, call) for c in contexts for q in off]
    print(
        f"answers | unrelated questions answered all the same | {sum(w is not None for w in wrong)} of {len(wrong)}"
    )


def f1(got: str, gold: str) -> float:
    a, b = Counter(words_of(got)), Counter(words_of(gold))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


async def main(folder: Path) -> None:
    with (folder / "banking77" / "train.jsonl").open() as file:
        lines = [json.loads(line) for line in file]
    label = next(k for k in lines[0] if k != "text")
    rows = [(str(r["text"]), str(r[label])) for r in lines]
    await speed([t for t, _ in rows[:: max(1, len(rows) // 1000)]])
    encoder = Encoder()
    await groups(encoder, rows)
    await duplicates(encoder, rows)
    await answers(encoder, folder / "policyqa" / "dev.json.gz", 300)
    encoder.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    asyncio.run(main(parser.parse_args().data))
