import numpy as np
import pytest

from pointsman.router.errors import BadGolden, BadRouterModel, RoutesChanged
from pointsman.router.routing.checking import Golden, compare, read_golden
from pointsman.router.routing.intents import IntentHead, extended, fit

GOLDEN = [
    Golden(text="a", route="x"),
    Golden(text="b", route="x"),
    Golden(text="c", route="y", slice="bills"),
    Golden(text="d", route="y", slice="bills"),
]


def test_flips_and_gains_are_counted_by_slice():
    compared = compare(GOLDEN, ["x", "x", "y", None], ["x", "y", "z", "y"])
    assert (compared.right_before, compared.right_after) == (3, 2)
    assert (compared.flips, compared.gains, compared.agreement) == (2, 1, 0.25)
    assert {s.name: (s.requests, s.right, s.flips, s.gains) for s in compared.slices} == {
        "bills": (2, 1, 1, 1),
        "x": (2, 2, 1, 0),
    }


def test_wrong_before_and_otherwise_wrong_after_is_no_flip():
    compared = compare(GOLDEN[:1], ["z"], [None])
    assert (compared.flips, compared.agreement, compared.flipped) == (0, 0.0, 0.0)
    compared.refuse_above(0.0)


def test_a_change_is_refused_above_the_limit_and_says_where():
    compared = compare(GOLDEN, ["x", "x", "y", "y"], ["x", "x", "y", "x"])
    compared.refuse_above(0.25)
    with pytest.raises(RoutesChanged, match=r"1 of 4 .*25\.0%, the limit is 1\.0%.*'bills'"):
        compared.refuse_above()


def test_a_golden_set_is_read_and_a_bad_line_is_told(tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text('{"text": "a", "route": "x"}\n\n{"text": "b", "route": "y", "slice": "s"}\n')
    assert [(g.text, g.counted_with) for g in read_golden(path)] == [("a", "x"), ("b", "s")]
    for line in ('{"text": "a"}', '{"text": "a", "route": "x", "rout": 1}', "no json"):
        path.write_text('{"text": "a", "route": "x"}\n' + line)
        with pytest.raises(BadGolden, match="line 2"):
            read_golden(path)
    path.write_text("\n")
    with pytest.raises(BadGolden, match="no request"):
        read_golden(path)
    with pytest.raises(BadGolden):
        read_golden(tmp_path / "none.jsonl")


def groups(names, n, seed):
    rng = np.random.default_rng(seed)
    labels = [str(each) for each in rng.choice(names, n)]
    centres = {name: np.random.default_rng(ord(name)).normal(size=24) for name in "abcdefgh"}
    vectors = np.stack([centres[each] for each in labels]) + 1.3 * rng.normal(size=(n, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


def first(head, vectors):
    return [head.names[p] for p in head.scores(vectors).argmax(1)]


@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_new_intents_take_next_to_nothing_from_old_ones(limit):
    head = fit(*groups(list("abcd"), 120, 0))
    wider = extended(head, groups(list("abcd"), 800, 1), groups(list("efgh"), 120, 2), limit=limit)
    vectors, right = groups(list("abcd"), 2_000, 3)
    golden = [Golden(text="-", route=r) for r in right]
    compared = compare(golden, first(head, vectors), first(wider, vectors))
    assert compared.flipped <= limit
    others, theirs = groups(list("efgh"), 400, 4)
    assert np.mean([a == b for a, b in zip(first(wider, others), theirs, strict=True)]) > 0.5


def test_an_intent_that_is_there_is_not_added_again():
    rows = groups(list("abcd"), 60, 0)
    with pytest.raises(ValueError, match="'a' is an intent already"):
        extended(fit(*rows), rows, rows, limit=0.01)


def test_a_head_is_the_same_after_a_file(tmp_path):
    vectors, right = groups(list("abcd"), 120, 0)
    head = fit(vectors, right).tuned(vectors, right, outside=-vectors)
    head.save(tmp_path / "head.safetensors")
    assert IntentHead.load(tmp_path / "head.safetensors").choose(vectors) == head.choose(vectors)
    (tmp_path / "other").write_bytes(b"no weights")
    for path in (tmp_path / "other", tmp_path / "none"):
        with pytest.raises(BadRouterModel):
            IntentHead.load(path)
