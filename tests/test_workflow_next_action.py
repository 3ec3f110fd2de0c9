"""The chooser of the next action: what it looks at, and what plans in the context do for workflows never seen."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pointsman.router.planning.learned.training.next_action import offer
from pointsman.router.planning.workflows.next_action import (
    CONTEXTS,
    NAMES,
    WEIGHTS,
    Actions,
    Chooser,
    Context,
    Moment,
    Network,
    Past,
    load_networks,
    reached,
    save_networks,
)

COUNT = 12


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def actions(seed: int = 0) -> Actions:
    """Actions in random directions: nothing of them was seen in training."""
    vectors = unit(np.random.default_rng(seed).standard_normal((COUNT, 384)))
    return Actions(tuple(f"a{i}" for i in range(COUNT)), vectors)


def near(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Texts that speak of the same in other words: cosine about 0.7."""
    noise = unit(np.random.default_rng(1_000 + seed).standard_normal(vectors.shape))
    return unit((vectors + noise).astype(np.float64))


def past(known: Actions, *sequences: tuple[int, ...]) -> Past:
    vectors = unit(np.random.default_rng(9).standard_normal((max(1, len(sequences)), 384)))
    return Past(sequences, vectors[: len(sequences)], vectors[: len(sequences)])


@pytest.fixture(scope="module")
def networks() -> dict[Context, Network]:
    return load_networks(WEIGHTS)


def test_a_plan_in_the_context_is_followed_with_actions_never_seen(
    networks: dict[Context, Network],
) -> None:
    """The shipped weights, on actions, plans and situations of random directions, whatever is proposed."""
    right, total = 0, 0
    for seed in range(10):
        known = actions(seed)
        random = np.random.default_rng(seed)
        plan = tuple(int(i) for i in random.permutation(COUNT)[:4])
        others = [tuple(int(i) for i in random.permutation(COUNT)[:4]) for _ in range(6)]
        chooser = Chooser(known, past(known, *others), networks)
        steps = near(known.vectors[list(plan)], seed)
        situation, name = unit(random.standard_normal((2, 384)))
        for place, wanted in enumerate((*plan, known.end)):
            proposed = offer(wanted, known.end, random, errs=0.5)
            moment = Moment(situation, plan[:place], proposed, name, steps)
            right += chooser.choose(moment, "plan") == wanted
            total += 1
    assert right / total >= 0.9


def test_features_have_names_and_the_proposal_is_one_of_them() -> None:
    known = actions()
    chooser = Chooser(known, past(known, (0, 1, 2)), {})
    situation = known.vectors[0]
    moment = Moment(situation, (0,), 3, known.vectors[1], known.vectors[[0, 1]])
    for context in CONTEXTS:
        features = chooser.features(moment, context)
        assert features.shape == (COUNT + 1, len(NAMES[context]))
        column = dict(zip(NAMES[context], features.T, strict=True))
        assert column["proposed"].nonzero()[0].tolist() == [3]
        assert column["done"].nonzero()[0].tolist() == [0]
        assert column["follower"].argmax() == 1
        assert column["end"].tolist() == [0.0] * COUNT + [1.0]
    column = dict(zip(NAMES["plan"], chooser.features(moment, "plan").T, strict=True))
    assert column["next_step"].argmax() == 1
    assert column["earlier_step"].argmax() == 0


def test_nothing_is_known_of_followers_without_a_past() -> None:
    known = actions()
    chooser = Chooser(known, past(known), {})
    features = chooser.features(Moment(known.vectors[0], ()), "neither")
    assert not features[:, NAMES["neither"].index("follower")].any()


def test_how_far_a_plan_is_done_does_not_count_what_is_not_in_it() -> None:
    meant = np.eye(4, 6, dtype=np.float32)
    assert reached(meant, ()) == 0
    assert reached(meant, (0, 5, 1)) == 2
    assert reached(meant, (0, 2)) == 3
    assert reached(meant, (0, 1, 2, 3)) == 4


def test_what_is_excluded_is_not_chosen(networks: dict[Context, Network]) -> None:
    known = actions()
    chooser = Chooser(known, past(known, (0, 1)), networks)
    moment = Moment(known.vectors[0], (), 4)
    first = chooser.choose(moment, "neither")
    assert chooser.choose(moment, "neither", excluded=frozenset({first})) != first


def test_a_proposer_errs_in_its_share_and_alike_over_all_others() -> None:
    random = np.random.default_rng(0)
    said = [offer(2, 5, random) for _ in range(6_000)]
    shares = np.bincount(said, minlength=6) / len(said)
    assert abs(shares[2] - 0.8) < 0.02
    assert np.abs(np.delete(shares, 2) - 0.04).max() < 0.01


def test_weights_are_read_as_they_were_written(
    tmp_path: Path, networks: dict[Context, Network]
) -> None:
    path = tmp_path / "w.safetensors"
    save_networks(networks, path)
    again = load_networks(path)
    for context in CONTEXTS:
        assert np.array_equal(again[context].inner, networks[context].inner)
