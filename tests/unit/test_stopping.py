"""Counting that stops at a number of exceedances."""

from itertools import permutations

import numpy as np
import pytest

from thalgpu.engine.inference.stopping import sequential_familywise, settled

NEVER = np.iinfo(np.int32).max


def first_hits(reached, stop_after):
    """(stop_after, n_features) numbers of the first draws that reach what was observed; the first row is no draw."""
    numbers = np.full((stop_after, reached.shape[1]), NEVER, dtype=np.int32)
    for feature, column in enumerate(reached.T):
        draws = 1 + np.flatnonzero(column[1:])[:stop_after]
        numbers[: len(draws), feature] = draws
    return numbers


def p_of(reached, stop_after):
    reached = reached.copy()
    reached[0] = True  # the identity reaches itself
    return settled(first_hits(reached, stop_after), reached.sum(axis=0), len(reached))


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
    expected = [by_the_rule(column, stop_after) for column in reached.T]
    np.testing.assert_array_equal(p_of(reached, stop_after), expected)


def test_more_permutations_leave_settled_features_alone(rng):
    reached = rng.random((500, 30)) < 0.2
    early, late = p_of(reached[:250], 4), p_of(reached, 4)
    has_settled = first_hits(reached[:250], 4)[-1] < NEVER
    assert has_settled.any()
    np.testing.assert_array_equal(late[has_settled], early[has_settled])


def test_hits_beyond_the_permutations_taken_do_not_settle():
    assert settled(np.array([[3], [10]]), np.array([2]), 10)[0] == 2 / 10


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_p_is_exactly_valid_on_all_orders_of_six_values(stop_after):
    """Under the null all orders are equally likely: P(p ≤ a) = a at every value that p can take."""
    orders = np.array(list(permutations(range(6)))).T
    p = p_of(orders >= orders[0], stop_after)
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


def test_the_identity_alone_gives_one():
    assert sequential_familywise(np.array([2.0]), np.array([2.0]), stop_after=3)[0] == 1.0
