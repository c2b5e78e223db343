"""Leading pairs of many small problems that are nearly diagonal."""

import numpy as np
import pytest
import scipy.linalg

from thalgpu.errors import NumericsError
from thalgpu.kernels.small_eigen import ritz_pairs, small_eigen

R, WANTED, BLOCK = 60, 6, 10


def problems(rng, count=9, *, noise=0.02):
    """A close to a falling diagonal, M close to the identity."""
    sizes = 1 / np.arange(1, R + 1)
    change = rng.normal(size=(count, R, R)) * np.sqrt(sizes[:, None] * sizes) * noise
    metric = rng.normal(size=(count, R, R)) * noise / 4
    return np.diag(sizes) + change + change.transpose(0, 2, 1), np.eye(R) + metric + metric.transpose(0, 2, 1)


def worst_angle(vectors, matrices, metrics):
    """Largest sine, in the metric, of the angle between the vectors wanted and those of LAPACK."""
    worst = 0.0
    for found, matrix, metric in zip(vectors, matrices, metrics, strict=True):
        exact = scipy.linalg.eigh(matrix, metric)[1][:, ::-1]
        turns = np.abs(exact.T @ metric @ found[:, :WANTED])
        turns[np.arange(WANTED), np.arange(WANTED)] = 0
        worst = max(worst, np.linalg.norm(turns, axis=0).max())
    return worst


def test_pairs_are_those_of_lapack(rng):
    matrices, metrics = problems(rng)
    values, vectors, residuals = small_eigen(matrices, metrics, WANTED, BLOCK, tolerance=1e-10, max_iterations=100)
    exact = np.array([scipy.linalg.eigh(a, m, eigvals_only=True)[::-1] for a, m in zip(matrices, metrics, strict=True)])
    np.testing.assert_allclose(values[:, :WANTED], exact[:, :WANTED], rtol=1e-12)
    assert residuals[:, :WANTED].max() <= 1e-10
    assert worst_angle(vectors, matrices, metrics) < 1e-8  # residual over the gap of 1 / 30 to the next value


def test_the_default_tolerance_holds_in_single_precision(rng):
    matrices, metrics = problems(rng)
    _, vectors, residuals = small_eigen(matrices.astype(np.float32), metrics.astype(np.float32), WANTED, BLOCK)
    assert vectors.dtype == np.float32
    assert residuals[:, :WANTED].max() <= 1e-4
    assert worst_angle(vectors.astype(np.float64), matrices, metrics) < 3e-3  # 1e-4 over the gap


def test_no_metric_is_the_identity(rng):
    matrices = problems(rng)[0]
    without = small_eigen(matrices, None, WANTED, BLOCK)
    given = small_eigen(matrices, np.tile(np.eye(R), (len(matrices), 1, 1)), WANTED, BLOCK)
    for one, other in zip(without, given, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_vectors_are_orthonormal_in_the_metric(rng):
    matrices, metrics = problems(rng)
    vectors = small_eigen(matrices, metrics, WANTED, BLOCK)[1]
    np.testing.assert_allclose(vectors.transpose(0, 2, 1) @ metrics @ vectors, [np.eye(BLOCK)] * 9, atol=1e-12)


def test_components_that_change_places_are_found(rng):
    matrices, metrics = problems(rng)
    matrices[:, 3, 3], matrices[:, 8, 8] = 0.1, 0.3  # the ninth overtakes the fourth
    values = small_eigen(matrices, metrics, WANTED, BLOCK, tolerance=1e-9, max_iterations=100)[0]
    exact = np.array([scipy.linalg.eigh(a, m, eigvals_only=True)[::-1] for a, m in zip(matrices, metrics, strict=True)])
    np.testing.assert_allclose(values[:, :WANTED], exact[:, :WANTED], rtol=1e-10)


def test_a_matrix_has_the_same_bits_alone_and_among_others(rng):
    matrices, metrics = (stack.astype(np.float32) for stack in problems(rng, count=11))
    together = small_eigen(matrices, metrics, WANTED, BLOCK)
    for which in (0, 7, 10):
        alone = small_eigen(matrices[which : which + 1], metrics[which : which + 1], WANTED, BLOCK)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], other[which])


def test_iterations_that_end_early_say_so(rng):
    matrices, metrics = problems(rng, noise=0.1)
    residuals = small_eigen(matrices, metrics, WANTED, BLOCK, tolerance=1e-12, max_iterations=1)[2]
    assert residuals[:, :WANTED].max() > 1e-4


def test_nan_is_refused(rng):
    matrices, metrics = problems(rng)
    matrices[4, 20, 3] = np.nan
    with pytest.raises(NumericsError, match="not finite"):
        small_eigen(matrices, metrics, WANTED, BLOCK)


def test_a_metric_that_is_not_positive_is_refused(rng):
    matrices, metrics = problems(rng)
    metrics[2, 1, 1] = -1
    with pytest.raises(NumericsError, match="positive"):
        small_eigen(matrices, metrics, WANTED, BLOCK)


def test_shapes_that_do_not_fit_are_refused(rng):
    matrices, metrics = problems(rng)
    with pytest.raises(NumericsError):
        small_eigen(matrices, metrics[:3], WANTED, BLOCK)
    with pytest.raises(NumericsError):
        small_eigen(matrices, metrics, BLOCK, WANTED)


def test_ritz_pairs_solve_small_problems_whole(rng):
    gram = rng.normal(size=(4, 9, 5))
    gram = gram.transpose(0, 2, 1) @ gram
    projected = rng.normal(size=(4, 5, 5))
    projected = projected + projected.transpose(0, 2, 1)
    values, vectors = ritz_pairs(projected, gram)
    assert (np.diff(values, axis=1) <= 0).all()
    np.testing.assert_allclose(projected @ vectors, gram @ vectors * values[:, None], atol=1e-11)
    np.testing.assert_allclose(vectors.transpose(0, 2, 1) @ gram @ vectors, [np.eye(5)] * 4, atol=1e-11)


def test_vectors_that_depend_on_each_other_have_no_ritz_pairs():
    with pytest.raises(NumericsError, match="dependent"):
        ritz_pairs(np.eye(2)[None], np.ones((1, 2, 2)))
