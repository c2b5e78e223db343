"""What all means have in common, and the estimates of errors."""

import numpy as np
import pytest
import scipy.linalg

from thalgpu.engine.comparison.errors import checked_errors, mixing, reduced_errors, tail_spread
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import pool
from thalgpu.engine.comparison.reduced import solve_reduced
from thalgpu.engine.comparison.triangles import empty_slabs, fill_slabs, unpacked
from thalgpu.errors import NumericsError, UsageError

IJK = np.indices((5, 6, 5)).reshape(3, -1).T
N, S, RANK = len(IJK), 9, 40
RECIPE = Recipe(n_components=4)


def full(packed):
    matrix = np.zeros((N, N))
    matrix[np.triu_indices(N)] = packed
    return matrix + np.triu(matrix, 1).T


@pytest.fixture(scope="module")
def stack(affinities):
    return affinities(IJK, S, rough=0.3)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_basis_solves_the_pooled_problem(stack, alpha):
    pooled, mean = pool(stack, Recipe(n_components=4, alpha=alpha), RANK), full(stack.mean(axis=0, dtype=np.float64))
    values = scipy.linalg.eigh(mean, np.diag(pooled.metric), eigvals_only=True)[::-1]
    np.testing.assert_allclose(pooled.lambdas, values[:RANK], atol=1e-10)
    assert abs(pooled.lambdas[0] - 1) < 1e-10
    np.testing.assert_allclose(pooled.tail, values[RANK:].mean(), rtol=1e-6)
    basis = pooled.basis.astype(np.float64)
    np.testing.assert_allclose(basis.T @ (pooled.metric[:, None] * basis), np.eye(RANK), atol=1e-5)  # float32
    np.testing.assert_allclose(mean @ basis, pooled.metric[:, None] * basis * pooled.lambdas, atol=1e-5)
    assert (basis[:, 0] > 0).all()


def test_each_subject_is_seen_in_the_basis(stack):
    pooled = pool(stack, RECIPE, RANK)
    for s in (0, S - 1):
        affinity, basis = full(stack[s]), pooled.basis.astype(np.float64)
        np.testing.assert_allclose(pooled.images[s], affinity @ basis, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(pooled.projections[s], basis.T @ affinity @ basis, atol=1e-6)
        np.testing.assert_allclose(pooled.degrees[s], affinity.sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(pooled.diagonals[s], np.diag(affinity), rtol=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_metric_of_a_mean_is_known_to_second_order(stack, alpha):
    """Halving the distance to the pooled mean divides the error by four; where α is 0 there is none."""
    pooled = pool(stack, Recipe(n_components=4, alpha=alpha), RANK)
    basis, errors = pooled.basis.astype(np.float64), []
    for step in (1.0, 0.5):
        weights = np.full(S, 1 / S) + step * (np.eye(S)[0] - 1 / S) / 2
        mean = full(weights @ stack.astype(np.float64))
        first = mean.sum(axis=1) ** -alpha
        exact = basis.T @ ((mean @ first / first)[:, None] * basis)
        errors.append(np.abs(np.tensordot(weights, pooled.metrics.astype(np.float64), 1) - exact).max())
    if alpha == 0:
        assert max(errors) < 1e-6
    else:
        assert 3 < errors[0] / errors[1] < 5


def test_laplacian_eigenmaps_leave_the_diagonal_out(stack):
    pooled = pool(stack, Recipe("le", n_components=4), RANK)
    assert not pooled.diagonals.any()
    np.testing.assert_allclose(pooled.degrees[2], full(stack[2]).sum(axis=1) - np.diag(full(stack[2])), rtol=1e-12)


def test_some_subjects_alone_give_what_zero_weights_give(stack):
    pooled, members = pool(stack, RECIPE, RANK), np.arange(S) < 5
    weights = np.zeros((3, S))
    weights[:, :5] = np.random.default_rng(1).dirichlet(np.ones(5), size=3)
    some, all_ = solve_reduced(pooled.of(members), weights[:, :5]), solve_reduced(pooled, weights)
    np.testing.assert_allclose(some.lambdas, all_.lambdas, rtol=1e-6)
    assert np.abs((some.vectors * all_.vectors).sum(axis=1)).min() > 1 - 1e-6


def test_recipes_without_a_linear_operator_are_refused(stack):
    for recipe in (Recipe("pca", n_components=4), Recipe(graph="epsilon", n_components=4)):
        with pytest.raises(UsageError, match="dense"):
            pool(stack, recipe, RANK)


def test_a_basis_too_small_or_too_large_is_refused(stack):
    for rank in (5, N + 1):
        with pytest.raises(NumericsError, match="basis"):
            pool(stack, RECIPE, rank)


def test_a_voxel_without_weight_is_refused(stack):
    empty = stack.copy()
    empty[:, (np.triu_indices(N)[0] == 7) | (np.triu_indices(N)[1] == 7)] = 0
    with pytest.raises(NumericsError, match="voxel 7"):
        pool(empty, RECIPE, RANK)


def test_what_is_no_stack_of_triangles_is_refused(stack):
    for other in (stack[:, :-1], stack.astype(np.float64), stack[0]):
        with pytest.raises(NumericsError, match="triangles"):
            pool(other, RECIPE, RANK)


@pytest.mark.parametrize("n", [1, 5, 127, 128, 129, 300])
@pytest.mark.parametrize("self_loops", [True, False])
def test_slabs_multiply_as_the_weighted_mean_does(rng, n, self_loops):
    packed = rng.normal(size=(3, n * (n + 1) // 2)).astype(np.float32)
    weights, vectors = rng.normal(size=(2, 3)), rng.normal(size=(n, 4))
    slabs = empty_slabs(2, n, np.dtype(np.float64))
    fill_slabs(slabs, packed, weights, self_loops=self_loops)
    for which, row in enumerate(weights):
        mean = sum(
            w * unpacked(one, n, self_loops=self_loops).astype(np.float64) for w, one in zip(row, packed, strict=True)
        )
        np.testing.assert_array_equal(mean, mean.T)
        np.testing.assert_allclose(slabs.times(which, vectors), mean @ vectors, atol=1e-12 * n)


def test_groups_with_more_noise_have_a_wider_tail():
    weights = np.zeros((3, 12))
    weights[0], weights[1, :6], weights[2, :2] = 1 / 12, 1 / 6, 1 / 2
    spread = tail_spread(weights, 0.3, 0.1)
    assert spread[0] == pytest.approx(0.2)
    assert (np.diff(spread) > 0).all()


def test_vectors_mix_by_their_coupling_over_their_gap():
    turned = mixing(np.array([[0.01, 0.01, 0.0]]), np.array([[1.0, 0.5, 0.2]]))[0]
    np.testing.assert_allclose(turned, [2e-4, 2e-4, 0])
    same = mixing(np.array([[0.01, 0.01]]), np.array([[1.0, 1.0]]))
    assert not same.any()
    close = mixing(np.array([[0.01, 0.01]]), np.array([[1.0, 1.0 - 1e-6]]))
    np.testing.assert_array_equal(close, 1)  # no more than a right angle


def test_estimates_grow_with_what_is_lacking():
    lambdas = np.array([[0.5, 0.4, 0.3]])
    lacking = np.array([[0.1, 0.1, 0.1]])
    none = np.zeros((1, 3))
    less, more = (reduced_errors(share * lacking, none, lambdas, 0.05, np.array([0.02])) for share in (0.5, 1))
    assert (less < more).all()
    left_over = reduced_errors(lacking, np.full((1, 3), 0.01), lambdas, 0.05, np.array([0.02]))
    assert (left_over > more).all()
    one = checked_errors(np.full((1, 3), 1e-3), np.full((1, 3), 1e-3), lambdas, 0.05, np.array([0.02]))
    two = checked_errors(np.full((1, 3), 2e-3), np.full((1, 3), 1e-3), lambdas, 0.05, np.array([0.02]))
    assert (one < two).all()
