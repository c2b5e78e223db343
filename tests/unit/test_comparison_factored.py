"""Weighted sums of which half follow from the others."""

import numpy as np
import pytest

from thalgpu.engine.comparison.factored import factored

S = 20


def exchanges(rng, n_pairs, sizes=(6, 9)):
    """Weights of two groups, one after the other, that exchange members."""
    weights = np.zeros((2 * n_pairs, S))
    for pair in range(n_pairs):
        members = rng.permutation(sum(sizes))
        weights[2 * pair, members[: sizes[0]]] = 1 / sizes[0]
        weights[2 * pair + 1, members[sizes[0] :]] = 1 / sizes[1]
    return weights


def check(weights, rng):
    stack = rng.normal(size=(S, 500))
    np.testing.assert_allclose(factored(weights, np.dtype(np.float64)).sums(stack), weights @ stack, atol=1e-13)
    single = factored(weights, np.dtype(np.float32)).sums(stack.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, weights @ stack, atol=1e-5)


@pytest.mark.parametrize("n_pairs", [2, 3, 50])
def test_groups_that_exchange_members_cost_half(rng, n_pairs):
    weights = exchanges(rng, n_pairs)
    plan = factored(weights, np.dtype(np.float64))
    assert plan.gamma == pytest.approx(6 / 9)
    assert len(plan.base) == n_pairs + 1
    assert len(plan.used) == 15
    check(weights, rng)


def test_covariates_change_nothing_about_that(rng):
    nuisance = rng.normal(size=(S, 2))
    nuisance -= nuisance.mean(axis=0)
    weights = exchanges(rng, 10) @ (np.eye(S) - nuisance @ np.linalg.pinv(nuisance))
    plan = factored(weights, np.dtype(np.float64))
    assert plan.gamma == pytest.approx(6 / 9)
    assert plan.used is None
    check(weights, rng)


@pytest.mark.parametrize("n_sets", [1, 2, 3, 7, 8])
def test_other_rows_are_summed_one_by_one(rng, n_sets):
    weights = rng.dirichlet(np.ones(S), size=n_sets)
    assert factored(weights, np.dtype(np.float64)).gamma is None
    check(weights, rng)


def test_the_same_groups_again_and_again_are_summed(rng):
    weights = np.tile(exchanges(rng, 1), (4, 1))
    assert factored(weights, np.dtype(np.float64)).gamma is None
    check(weights, rng)
