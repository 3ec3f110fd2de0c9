import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.router.cards import ROUTE, ExpertCard
from pointsman.router.catalog import Prior
from pointsman.router.errors import NoExpert
from pointsman.router.routing import Observations, choose, heartbeat, money, observe, tried

NOW = 1_800_000_000.0
WHAT = "text.sentiment"


def card(name, quality=0.9, cost=0, latency=0.05, **more):
    return ExpertCard(name, "model", name, {WHAT: Prior(quality, cost, latency)}, **more)


LOCAL = card("minilm-sentiment", 0.86, 0, 0.02)
REMOTE = card("gpt-4o-mini", 0.90, 2_000, 0.9)


def alive(*cards, at=NOW, queued=0):
    seen = Observations()
    for each in cards:
        seen = heartbeat(seen, each.name, at, queued=queued)
    return seen


def failing(seen, expert, times, at=NOW):
    for _ in range(times):
        seen = observe(seen, expert, WHAT, 0.1, False, at)
    return seen


names = st.sampled_from("abcdefgh")
cards_strategy = st.lists(
    st.builds(
        card,
        names,
        quality=st.floats(0, 1),
        cost=st.integers(0, 100_000),
        latency=st.floats(0.001, 100),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda c: c.name,
)
calls = st.lists(
    st.tuples(names, st.floats(0, 50), st.booleans(), st.floats(NOW - 100, NOW)), max_size=20
)
beats = st.dictionaries(names, st.tuples(st.floats(NOW - 40, NOW), st.integers(0, 30)))
prefers = st.sampled_from(["balanced", "quality", "cost", "latency"])


def seen_of(past, heard):
    seen = Observations()
    for name, seconds, ok, at in sorted(past, key=lambda c: c[3]):
        seen = observe(seen, name, WHAT, seconds, ok, at)
    for name, (at, queued) in heard.items():
        seen = heartbeat(seen, name, at, queued=queued)
    return seen


observed = st.builds(seen_of, calls, beats)


def best(cards, seen, prefer="balanced", **more):
    route = choose(WHAT, cards, seen, prefer=prefer, now=NOW, **more)
    return next(c for c in route.candidates if c.expert == route.expert)


@given(
    cards_strategy,
    st.builds(seen_of, calls, beats),
    st.lists(st.floats(0, 1), min_size=2, max_size=8),
)
def test_turning_the_knob_trades_quality_for_cost_and_cost_for_latency(cards, seen, knobs):
    def taken(knob):
        route = choose(WHAT, cards, seen, prefer=knob, now=NOW)
        return next(c for c in route.candidates if c.expert == route.expert)

    stops = sorted({*knobs, 0.0, 0.5, 1.0})
    for low, high in pairwise(stops):
        before, after = taken(low), taken(high)
        if high <= 0.5:
            assert after.quality <= before.quality + 1e-9
            assert after.cost <= before.cost
        elif low >= 0.5:
            assert after.cost >= before.cost
            assert after.latency <= before.latency + 1e-9


def test_the_ends_of_the_knob_are_the_words():
    seen = alive(LOCAL, REMOTE)
    for word, knob in (("quality", 0.0), ("cost", 0.5), ("latency", 1.0)):
        by_word, by_knob = (
            choose(WHAT, (LOCAL, REMOTE), seen, prefer=p, now=NOW) for p in (word, knob)
        )
        assert by_word.expert == by_knob.expert
        assert f"({word} preferred)" in by_knob.reason
    middle = choose(WHAT, (LOCAL, REMOTE), seen, prefer=0.25, now=NOW)
    assert "quality 50% to cost 50% preferred" in middle.reason


def test_quality_on_this_input_goes_before_the_card():
    seen = alive(LOCAL, REMOTE)
    predicted = {"minilm-sentiment": 0.99, "gpt-4o-mini": 0.2}
    route = choose(WHAT, (LOCAL, REMOTE), seen, prefer="quality", predicted=predicted, now=NOW)
    assert route.expert == "minilm-sentiment"
    assert [c.quality for c in route.candidates] == pytest.approx([0.99, 0.2])


def test_what_is_reserved_is_the_dearest_call_and_not_the_mean():
    seen = alive(REMOTE)
    for cost in (100, 5_000, 100, 100):
        seen = observe(seen, REMOTE.name, WHAT, 0.5, True, NOW, cost=cost)
    route = choose(WHAT, (REMOTE,), seen, now=NOW)
    assert (route.cost, route.most) == (pytest.approx(1_700, abs=100), 5_000)
    with pytest.raises(NoExpert, match=r"may cost 0\.5 ct"):
        choose(WHAT, (REMOTE,), seen, budget_left=4_999, now=NOW)


def test_a_route_keeps_the_candidates_that_matter():
    cards = [card(f"expert-{n}", 0.5 + n / 100) for n in range(30)]
    route = choose(WHAT, cards, alive(*cards), prefer="quality", now=NOW)
    assert [c.expert for c in route.candidates] == [f"expert-{n}" for n in range(29, 17, -1)]


@given(cards_strategy, observed)
def test_preferring_cost_never_costs_more(cards, seen):
    cheapest = best(cards, seen, "cost").cost
    assert all(cheapest <= best(cards, seen, p).cost for p in ("quality", "balanced", "latency"))


@given(cards_strategy, observed)
def test_preferring_quality_never_lowers_it(cards, seen):
    chosen = best(cards, seen, "quality").quality
    others = [best(cards, seen, p).quality for p in ("cost", "balanced", "latency")]
    assert chosen >= max(others) - 0.0101  # within one step of a hundredth


@given(cards_strategy, observed)
def test_preferring_latency_is_never_slower(cards, seen):
    chosen = best(cards, seen, "latency").latency
    others = [best(cards, seen, p).latency for p in ("cost", "balanced", "quality")]
    assert chosen <= min(others) + 0.00101  # within one step of a millisecond


@given(cards_strategy, observed, prefers, st.sets(names))
def test_an_excluded_expert_is_never_a_candidate(cards, seen, prefer, exclude):
    try:
        route = choose(WHAT, cards, seen, prefer=prefer, exclude=exclude, now=NOW)
    except NoExpert:
        assert {c.name for c in cards} <= exclude
    else:
        assert not exclude & {c.expert for c in route.candidates}


@given(cards_strategy, observed, prefers, st.integers(0, 100_000))
def test_a_route_never_costs_more_than_is_left(cards, seen, prefer, left):
    try:
        route = choose(WHAT, cards, seen, prefer=prefer, budget_left=left, now=NOW)
    except NoExpert:
        whole = choose(WHAT, cards, seen, prefer=prefer, now=NOW)
        assert all(c.cost > left for c in whole.candidates)
    else:
        assert route.cost <= left


@given(cards_strategy, observed, prefers)
def test_an_unhealthy_expert_is_chosen_only_when_no_other_is_left(cards, seen, prefer):
    route = choose(WHAT, cards, seen, prefer=prefer, now=NOW)
    if not best(cards, seen, prefer).healthy:
        assert not any(c.healthy for c in route.candidates)


@given(cards_strategy, observed, prefers, st.randoms())
def test_the_order_of_the_cards_does_not_matter(cards, seen, prefer, random):
    shuffled = list(cards)
    random.shuffle(shuffled)
    first, second = (choose(WHAT, c, seen, prefer=prefer, now=NOW) for c in (cards, shuffled))
    assert first == second


@given(observed)
def test_observations_survive_json(seen):
    assert Observations.from_json(json.loads(json.dumps(seen.to_json()))) == seen


@pytest.mark.parametrize("text", [{}, None, {"pairs": [1], "beats": {}}, {"pairs": [], "beats": 3}])
def test_unreadable_observations_are_forgotten(text):
    assert Observations.from_json(text) == Observations()


def test_equal_experts_are_taken_by_name():
    cards = (card("b"), card("a"), card("c"))
    assert choose(WHAT, cards, alive(*cards), now=NOW).expert == "a"


def test_the_reason_is_a_sentence_for_people():
    route = choose(WHAT, (REMOTE, LOCAL), alive(REMOTE, LOCAL), now=NOW)
    assert route.reason == (
        "minilm-sentiment: quality 0.86, free, ~20 ms; "
        "runner-up gpt-4o-mini: quality 0.90 but 0.2 ct and ~900 ms"
    )
    assert ROUTE.validate_python(route.to_json()) == route


def test_quality_preferred_takes_the_better_and_dearer():
    assert best((LOCAL, REMOTE), alive(LOCAL, REMOTE), "quality").expert == "gpt-4o-mini"


def test_a_cheap_expert_that_is_no_good_is_not_taken_for_its_price():
    poor = card("poor", 0.3)
    assert best((poor, REMOTE), alive(poor, REMOTE), "cost").expert == "gpt-4o-mini"


def test_an_expert_over_budget_is_refused_with_the_reason():
    seen = alive(LOCAL, REMOTE)
    route = choose(WHAT, (LOCAL, REMOTE), seen, prefer="quality", budget_left=500, now=NOW)
    assert route.expert == "minilm-sentiment"
    assert "gpt-4o-mini refused: over budget, may cost 0.2 ct and 0.05 ct is left" in route.reason
    with pytest.raises(NoExpert, match="over budget"):
        choose(WHAT, (REMOTE,), seen, budget_left=0, now=NOW)


def test_nobody_serves_it():
    with pytest.raises(NoExpert, match="none of the experts"):
        choose("text.write", (LOCAL,), alive(LOCAL), now=NOW)
    with pytest.raises(NoExpert, match="tried already"):
        choose(WHAT, (LOCAL,), alive(LOCAL), exclude=[LOCAL.name], now=NOW)


def test_a_silent_expert_gives_way_and_is_named():
    seen = heartbeat(alive(LOCAL, at=NOW - 60), REMOTE.name, NOW)
    assert choose(WHAT, (LOCAL, REMOTE), seen, now=NOW).expert == REMOTE.name
    only = choose(WHAT, (LOCAL,), seen, now=NOW)
    assert "silent for 60 s: nothing else is at hand" in only.reason


def test_a_circuit_opens_rests_and_is_tried_by_one():
    both = (LOCAL, REMOTE)
    seen = failing(alive(*both), LOCAL.name, 2)
    assert best((LOCAL,), seen).healthy
    seen = failing(seen, LOCAL.name, 1)
    assert not best((LOCAL,), seen).healthy
    assert best(both, seen, "cost").expert == REMOTE.name
    soon = alive_again(seen, both, NOW + 31)
    route = choose(WHAT, (LOCAL,), soon, now=NOW + 31)
    assert "tried again after 3 failures" in route.reason

    later = NOW + 1_200
    seen = alive_again(seen, both, later)
    assert choose(WHAT, both, seen, prefer="latency", now=later).expert == LOCAL.name
    seen = tried(seen, LOCAL.name, WHAT, later)
    assert choose(WHAT, both, seen, prefer="latency", now=later).expert == REMOTE.name

    worked = observe(seen, LOCAL.name, WHAT, 0.02, True, later)
    assert choose(WHAT, both, worked, prefer="latency", now=later).expert == LOCAL.name
    failed = observe(seen, LOCAL.name, WHAT, 0.02, False, later)
    assert failed.of(LOCAL.name, WHAT).open_until == later + 60


def alive_again(seen, cards, at):
    for each in cards:
        seen = heartbeat(seen, each.name, at)
    return seen


def test_what_is_observed_moves_the_estimate_little_by_little():
    seen = alive(LOCAL)
    latencies = [best((LOCAL,), seen).latency]
    for _ in range(40):
        seen = observe(seen, LOCAL.name, WHAT, 1.0, True, NOW, cost=1_000)
        latencies.append(best((LOCAL,), seen).latency)
    assert latencies == sorted(latencies)
    assert latencies[0] == pytest.approx(0.02)
    assert latencies[1] == pytest.approx((5 * 0.02 + 1.0) / 6)
    assert 0.85 < latencies[-1] < 1.0
    assert best((LOCAL,), seen).cost == 889


def test_a_long_queue_makes_an_expert_slow():
    twin = replace(LOCAL, name="a-twin")
    seen = heartbeat(heartbeat(Observations(), twin.name, NOW, queued=40), LOCAL.name, NOW)
    assert choose(WHAT, (twin, LOCAL), seen, now=NOW).expert == LOCAL.name


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "free"), (2_000, "0.2 ct"), (12, "0.0012 ct"), (2_500_000, "$2.50")]
)
def test_money_is_told_for_people(amount, text):
    assert money(amount) == text


def test_the_first_call_is_waited_for_as_long_as_its_expert_takes_at_worst():
    seen = alive(LOCAL, REMOTE)
    for at in range(60):
        seen = observe(seen, REMOTE.name, WHAT, 1.0 + 4.0 * (at % 2), True, NOW)
    route = choose(WHAT, (LOCAL, REMOTE), seen, prefer="quality", now=NOW)
    assert route.expert == REMOTE.name
    assert route.patience == pytest.approx(4 * (3 + 3 * 2), rel=0.15)  # mean 3 s, deviation 2 s
    quick = choose(WHAT, (LOCAL, REMOTE), seen, prefer="latency", now=NOW)
    assert (quick.expert, quick.patience) == (LOCAL.name, 5.0)


def test_the_last_expert_and_one_that_is_asked_after_another_are_let_finish():
    seen = alive(LOCAL, REMOTE)
    third = card("third", 0.8)
    assert choose(WHAT, (LOCAL,), seen, now=NOW).patience is None
    assert choose(WHAT, (LOCAL, third), seen, now=NOW).patience is None  # the other one is silent
    after = choose(WHAT, (LOCAL, REMOTE), seen, exclude=["third"], now=NOW)
    assert after.patience is None
