"""The index of capabilities beside scoring everything one by one, through changes, folds and openings."""

import math
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pointsman.router.catalog import Effect
from pointsman.router.errors import BadEntry, IndexDamaged, IndexInUse
from pointsman.router.search import EVERYTHING, CapabilityIndex, Entry, Filter, Traits
from pointsman.router.search.fusion import WORDS
from pointsman.router.search.vectors import coded
from pointsman.router.search.words import LENGTH, MEAN_LENGTH, SATURATION, rarity, terms

DIM = 24
SPOKEN = "list create delete user invoice weather forecast movie refund ticket".split()
NAMES = [f"c{i}" for i in range(12)]
TENANTS = ("", "acme", "umbrella")
EFFECTS: tuple[Effect, ...] = ("pure", "once")


def vectors(seed: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


EVERYONES = Traits()


def entry(name: str, seed: int, words: Sequence[str] = (), traits: Traits = EVERYONES) -> Entry:
    return Entry(name, vectors(seed, 1 + seed % 3), " ".join(words), traits)


def scored(
    entries: dict[str, Entry], sick: set[str], query: np.ndarray, text: str, where: Filter
) -> tuple[dict[str, float], dict[str, float]]:
    """Of all that may be found: the cosine of the nearest line, and BM25."""
    said = {name: terms(e.text) for name, e in entries.items()}
    having = Counter(t for words in said.values() for t in words)
    asked = query.astype(np.float64)
    meaning: dict[str, float] = {}
    worded: dict[str, float] = {}
    for name, e in entries.items():
        if not where.admits(e.traits) or (where.healthy and name in sick):
            continue
        codes = coded(e.vectors).astype(np.float64)
        near = codes @ asked / np.linalg.norm(codes, axis=1) / np.linalg.norm(asked)
        meaning[name] = float(near.max())
        words = said[name]
        longer = SATURATION * (1 - LENGTH + LENGTH * sum(words.values()) / MEAN_LENGTH)
        score = sum(
            math.log(1 + (len(entries) - having[t] + 0.5) / (having[t] + 0.5))
            * words[t] * (SATURATION + 1) / (words[t] + longer)
            for t in terms(text)
            if t in words
        )  # fmt: skip
        worded[name] = score
    return meaning, worded


def assert_is_exact(
    index: CapabilityIndex, entries: dict[str, Entry], sick: set[str], seed: int, where: Filter
) -> None:
    query, text = vectors(seed)[0], " ".join(SPOKEN[seed % 7 : seed % 7 + 3])
    meaning, worded = scored(entries, sick, query, text, where)
    found = index.search(query, text, len(entries) + 1, where)
    assert {f.name for f in found} == meaning.keys()
    for f in found:
        assert f.meaning == pytest.approx(meaning[f.name], abs=1e-6)
        assert f.words == pytest.approx(worded[f.name], rel=2e-3)
    rarest = rarity(1, max(1, len(entries)))
    fits = {n: meaning[n] + WORDS * worded[n] / rarest for n in meaning}
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
    assert all(f.score == pytest.approx(fits[f.name], abs=1e-3) for f in found)


traits = st.builds(
    Traits,
    st.sampled_from(TENANTS),
    st.sampled_from(EFFECTS),
    st.frozensets(st.sampled_from(("eu", "us"))),
    st.frozensets(st.sampled_from(("text", "speech"))),
)
wheres = st.builds(
    Filter,
    st.sampled_from((None, *TENANTS)),
    st.none() | st.frozensets(st.sampled_from(EFFECTS)),
    st.sampled_from((None, "eu", "us")),
    st.sampled_from((None, "text", "speech")),
    st.booleans(),
)
entries_ = st.builds(
    entry,
    st.sampled_from(NAMES),
    st.integers(0, 10_000),
    st.lists(st.sampled_from(SPOKEN), max_size=6),
    traits,
)


class Changes(RuleBasedStateMachine):
    """Any sequence of changes, folds and openings, beside a dictionary."""

    folder: Path

    @initialize(before=st.lists(entries_, max_size=6, unique_by=lambda e: e.name))
    def begin(self, before: list[Entry]) -> None:
        self.folder = Path(os.environ["SEARCH_FOLDER"]) / str(id(self))
        self.index = CapabilityIndex.build(self.folder, DIM, [before], durable=False)
        self.entries = {e.name: e for e in before}
        self.sick: set[str] = set()

    @rule(new=st.lists(entries_, min_size=1, max_size=4))
    def put(self, new: list[Entry]) -> None:
        self.index.put(new)
        self.entries |= {e.name: e for e in new}
        self.sick -= {e.name for e in new}

    @rule(names=st.lists(st.sampled_from(NAMES), max_size=4))
    def remove(self, names: list[str]) -> None:
        self.index.remove(names)
        for name in names:
            self.entries.pop(name, None)
            self.sick.discard(name)

    @rule(name=st.sampled_from(NAMES), healthy=st.booleans())
    def mark(self, name: str, healthy: bool) -> None:
        self.index.mark([name], healthy=healthy)
        if name in self.entries:
            (self.sick.discard if healthy else self.sick.add)(name)

    @rule()
    def fold(self) -> None:
        self.index.fold()

    @rule()
    def reopen(self) -> None:
        self.index.close()
        index = CapabilityIndex.open(self.folder, durable=False)
        assert index is not None
        self.index = index

    @rule(seed=st.integers(0, 1000), where=wheres)
    def search(self, seed: int, where: Filter) -> None:
        assert_is_exact(self.index, self.entries, self.sick, seed, where)

    @invariant()
    def everything_is_there(self) -> None:
        if hasattr(self, "index"):
            assert len(self.index) == len(self.entries)
            assert_is_exact(self.index, self.entries, self.sick, 3, EVERYTHING)

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()
            shutil.rmtree(self.folder)


def test_whatever_changes_a_search_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_FOLDER", str(tmp_path))
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Changes,
        settings=settings(
            max_examples=40,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_long_lists_are_read_in_part_and_what_is_found_is_scored_by_all_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointsman.router.search import postings

    monkeypatch.setattr(postings, "READ", 300)
    monkeypatch.setattr(postings, "MANY", 40)
    monkeypatch.setattr(postings, "CONSIDERED", 120)
    random = np.random.default_rng(1)
    share = 1 / np.arange(1, 61)
    entries = {
        f"c{i}": entry(
            f"c{i}", i, [f"w{w}" for w in random.choice(60, 1 + i % 9, p=share / share.sum())]
        )
        for i in range(1_500)
    }
    index = CapabilityIndex.build(tmp_path, DIM, [list(entries.values())])
    hits = 0
    for turn in range(10):
        text = " ".join(f"w{w}" for w in random.choice(60, 5, p=share / share.sum()))
        _, worded = scored(entries, set(), vectors(turn)[0], text, EVERYTHING)
        found = index.search(None, text, 10, EVERYTHING)
        least = sorted(worded.values(), reverse=True)[9]
        hits += sum(worded[f.name] >= least - 1e-3 for f in found)
        assert all(f.words == pytest.approx(worded[f.name], rel=2e-3) for f in found)
    index.close()
    assert hits >= 70


def many(count: int, *, tenants: int = 1000) -> Iterator[list[Entry]]:
    """Blocks of capabilities around some hundred subjects, of one of many tenants each."""
    random = np.random.default_rng(0)
    subjects = random.standard_normal((200, DIM)).astype(np.float32)
    for at in range(0, count, 5_000):
        near = subjects[random.integers(0, 200, 5_000)]
        near = near + 0.7 * random.standard_normal(near.shape).astype(np.float32)
        yield [
            Entry(
                f"n{at + i}", near[i : i + 1], f"w{(at + i) % 50}", Traits(f"t{(at + i) % tenants}")
            )
            for i in range(min(5_000, count - at))
        ]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CapabilityIndex]:
    index = CapabilityIndex.build(tmp_path_factory.mktemp("large"), DIM, many(25_000))
    yield index
    index.close()


def exact(index: CapabilityIndex, query: np.ndarray, k: int, where: Filter) -> list[str]:
    frozen = index._live.state.frozen
    assert frozen.dim == DIM
    near = frozen.codes.astype(np.float64) @ query / frozen.lengths
    there = np.array([where.admits(frozen.traits(i)) for i in range(frozen.size)])
    near[~there] = -np.inf
    return [frozen.name(int(i)) for i in np.argsort(-near, kind="stable")[:k]]


@pytest.mark.parametrize("where", [EVERYTHING, Filter("t7"), Filter("t7", region="eu")], ids=str)
def test_a_graph_finds_what_a_scan_finds(large: CapabilityIndex, where: Filter) -> None:
    """Wholly where a filter keeps one in a thousand."""
    asked = next(many(5_000))
    hits = wanted = 0
    for seed in range(40):
        query = asked[seed].vectors[0] + 0.5 * vectors(seed)[0]
        found = [f.name for f in large.search(query, "", 10, where)]
        best = exact(large, query, 10, where)
        assert where == EVERYTHING or found == best
        wanted += len(best)
        hits += len(set(best) & set(found))
    assert hits >= 0.97 * wanted
    assert wanted == 400


def test_few_healthy_ones_among_many_are_found(large: CapabilityIndex) -> None:
    """The graph gives up on a filter that its traits did not announce, and all are compared."""
    query = vectors(5)[0]
    kept = set(exact(large, query, 25_000, EVERYTHING)[-20_000::400])
    large.mark(set(exact(large, query, 25_000, EVERYTHING)) - kept, healthy=False)
    found = large.search(query, "", 50, Filter(tenant=None))
    assert {f.name for f in found} == kept


def test_a_search_sees_the_old_or_the_new_and_always_one(tmp_path: Path) -> None:
    """An entry is replaced again and again, and folded, while it is searched."""
    index = CapabilityIndex.build(
        tmp_path, DIM, [[entry("c", 1), entry("other", 2)]], durable=False
    )
    over = threading.Event()
    seen: list[list[str]] = []

    def searching() -> None:
        while not over.is_set():
            seen.append(sorted(f.name for f in index.search(vectors(1)[0], "", 5)))

    searchers = [threading.Thread(target=searching) for _ in range(2)]
    for s in searchers:
        s.start()
    for turn in range(300):
        index.put([entry("c", turn)])
        if turn % 60 == 59:
            index.fold()
    over.set()
    for s in searchers:
        s.join()
    index.close()
    assert len(seen) > 10
    assert all(names == ["c", "other"] for names in seen)


def test_what_changes_during_a_fold_is_kept(tmp_path: Path) -> None:
    index = CapabilityIndex.build(tmp_path, DIM, [[entry(n, i) for i, n in enumerate(NAMES)]])
    index.put([entry("early", 50)])
    folding = threading.Thread(target=index.fold)
    folding.start()
    for i in range(200):
        index.put([entry(f"late{i}", 100 + i)])
    index.remove(["c0", "early"])
    index.mark(["c1"], healthy=False)
    folding.join()
    expected = {*NAMES[2:], *(f"late{i}" for i in range(200))}
    assert {f.name for f in index.search(vectors(0)[0], "", 500)} == expected
    index.close()
    again = CapabilityIndex.open(tmp_path)
    assert again is not None
    assert {f.name for f in again.search(vectors(0)[0], "", 500)} == expected
    again.close()


def test_a_file_that_was_changed_is_found_out(tmp_path: Path) -> None:
    CapabilityIndex.build(tmp_path, DIM, [[entry("c", 1)]]).close()
    codes = next(tmp_path.glob("gen-*/codes.npy"))
    held = bytearray(codes.read_bytes())
    held[-1] ^= 1
    codes.write_bytes(bytes(held))
    with pytest.raises(IndexDamaged, match=r"codes\.npy"):
        CapabilityIndex.open(tmp_path)
    CapabilityIndex.build(tmp_path, DIM, [[entry("c", 1)]]).close()
    again = CapabilityIndex.open(tmp_path)
    assert again is not None
    again.close()


def test_a_torn_record_is_cut_off_and_a_wrong_one_is_found_out(tmp_path: Path) -> None:
    index = CapabilityIndex.build(tmp_path, DIM)
    index.put([entry("a", 1)])
    index.put([entry("b", 2)])
    index.close()
    log = next(tmp_path.glob("gen-*.log"))
    whole = log.read_bytes()
    log.write_bytes(whole[:-3])
    index = CapabilityIndex.open(tmp_path)
    assert index is not None
    assert ("a" in index, "b" in index) == (True, False)
    index.put([entry("d", 3)])
    index.close()
    index = CapabilityIndex.open(tmp_path)
    assert index is not None
    assert ("a" in index, "d" in index) == (True, True)
    index.close()
    log.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    with pytest.raises(IndexDamaged, match="at byte 0"):
        CapabilityIndex.open(tmp_path)


def test_two_cannot_hold_one_folder(tmp_path: Path) -> None:
    index = CapabilityIndex.build(tmp_path, DIM)
    with pytest.raises(IndexInUse):
        CapabilityIndex.open(tmp_path)
    index.close()


def test_where_none_was_built_there_is_none(tmp_path: Path) -> None:
    assert CapabilityIndex.open(tmp_path) is None


@pytest.mark.parametrize(
    "bad",
    [
        Entry("c", np.zeros((1, DIM), np.float32), ""),
        Entry("c", np.full((1, DIM), np.nan, np.float32), ""),
        Entry("c", np.ones((1, DIM + 1), np.float32), ""),
        Entry("c", np.ones((0, DIM), np.float32), ""),
        Entry("", np.ones((1, DIM), np.float32), ""),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, bad: Entry) -> None:
    index = CapabilityIndex.build(tmp_path, DIM)
    with pytest.raises(BadEntry):
        index.put([entry("good", 1), bad])
    assert len(index) == 0
    index.close()


def test_nobody_sees_what_another_tenant_has(tmp_path: Path) -> None:
    index = CapabilityIndex.build(
        tmp_path, DIM, [[entry("a", 1, SPOKEN, Traits("acme")), entry("b", 2, SPOKEN)]]
    )
    index.put([entry("d", 3, SPOKEN, Traits("umbrella"))])

    def found(where: Filter) -> set[str]:
        return {f.name for f in index.search(vectors(1)[0], "user", 9, where)}

    assert found(Filter()) == {"b"}
    assert found(Filter("acme")) == {"a", "b"}
    assert found(Filter("umbrella")) == {"b", "d"}
    assert found(Filter("nobody")) == {"b"}
    assert found(Filter(None)) == {"a", "b", "d"}
    index.close()
