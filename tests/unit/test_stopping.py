"""Counting that stops at a number of exceedances."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from thalgpu.engine.inference.stopping import advance, begin, sequential_familywise


def run(reached, stop_after, cuts=()):
    """p-values of (n_perm, n_features) exceedances that come in stretches."""
    state = begin(reached.shape[1], stop_after)
    edges = [0, *cuts, len(reached)]
    for start, stop in pairwise(edges):
        state = advance(state, np.packbits(reached[start:stop], axis=0), start, stop)
    return state


def by_the_rule(reached, stop_after):
    """Besag and Clifford's p of one feature, draw by draw; the first entry is the identity."""
    exceedances = 0
    for draw, exceeds in enumerate(reached[1:], start=1):
        exceedances += bool(exceeds)
        if exceedances == stop_after:
            return stop_after / draw
    return (exceedances + 1) / len(reached)


@pytest.mark.parametrize("stop_after", [1, 3, 10])
def test_p_follows_the_rule_draw_by_draw(rng, stop_after):
    reached = rng.random((200, 50)) < np.linspace(0, 1, 50)
    reached[0] = True
    expected = [by_the_rule(column, stop_after) for column in reached.T]
    np.testing.assert_array_equal(run(reached, stop_after).p_values(), expected)


def test_the_cuts_between_stretches_do_not_matter(rng):
    reached = rng.random((103, 40)) < 0.1
    whole, cut = run(reached, 5), run(reached, 5, cuts=(1, 8, 64, 101))
    np.testing.assert_array_equal(whole.settled_at, cut.settled_at)
    np.testing.assert_array_equal(whole.p_values(), cut.p_values())


def test_the_identity_is_not_a_draw():
    reached = np.ones((2, 1), dtype=bool)
    state = run(reached, 1)
    assert state.counts[0] == 1
    assert state.p_values()[0] == 1.0


def test_all_settled_is_seen_only_when_every_feature_is():
    reached = np.array([[1, 1], [1, 0], [1, 0], [0, 1]], dtype=bool)
    state = begin(2, 1)
    state = advance(state, np.packbits(reached[:3], axis=0), 0, 3)
    assert not state.is_settled
    assert advance(state, np.packbits(reached[3:], axis=0), 3, 4).is_settled


def test_a_stretch_out_of_order_is_refused():
    with pytest.raises(ValueError, match="cannot follow"):
        advance(begin(3, 2), np.zeros((1, 3), dtype=np.uint8), 8, 16)


def test_more_permutations_leave_settled_features_alone(rng):
    reached = rng.random((500, 30)) < 0.2
    early = run(reached[:250], 4)
    late = run(reached, 4)
    settled = early.settled_at > 0
    assert settled.any()
    np.testing.assert_array_equal(late.p_values()[settled], early.p_values()[settled])


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_p_is_exactly_valid_on_all_orders_of_six_values(stop_after):
    """Under the null all orders are equally likely: P(p ≤ α) = α at every value that p can take."""
    p = []
    for order in permutations(range(6)):
        values = np.array(order)
        p.append(run((values >= values[0])[:, None], stop_after).p_values()[0])
    p = np.array(p)
    for attainable in np.unique(p):
        assert np.count_nonzero(p <= attainable) == round(attainable * 720)


@pytest.mark.parametrize("stop_after", [1, 4, 20])
def test_familywise_follows_the_rule_draw_by_draw(rng, stop_after):
    null = rng.gumbel(size=150).round(1)  # with ties
    observed = np.linspace(-2, 5, 36).round(1)
    expected = [by_the_rule(null >= value - 1e-9, stop_after) for value in observed]
    np.testing.assert_array_equal(sequential_familywise(observed, null, stop_after), expected)


def test_a_rule_that_never_stops_gives_the_ordinary_p(rng):
    null = rng.normal(size=100)
    observed = np.array([null[0]])
    ordinary = np.mean(null >= null[0])
    assert sequential_familywise(observed, null, stop_after=1000)[0] == ordinary
