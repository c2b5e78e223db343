import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels.glm import count_exceedances, f_statistics, permuted_rows, t_statistics, tie_threshold


def projections_and_total(rng, n_rows, n_features=2500):
    projections = rng.standard_normal((4, n_rows, n_features))
    return projections, (projections**2).sum(axis=1).max(axis=0) + rng.random(n_features)


def test_rows_are_those_of_the_permuted_and_flipped_basis(rng):
    basis = rng.standard_normal((6, 3))
    permutations = np.array([rng.permutation(6) for _ in range(5)], dtype=np.int32)
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (5, 6))
    rows = permuted_rows(basis, permutations, signs)
    for p in range(5):
        np.testing.assert_array_equal(rows[p].T, signs[p][:, None] * basis[permutations[p]])
    np.testing.assert_array_equal(permuted_rows(basis, permutations, None), np.swapaxes(basis[permutations], 1, 2))


@pytest.mark.parametrize("n_rows", [1, 4])
def test_t_is_effect_over_error(rng, n_rows):
    projections, total = projections_and_total(rng, n_rows)
    effect = projections[:, 0]
    expected = effect / np.sqrt((total - (projections**2).sum(axis=1)) / 11.0)
    np.testing.assert_allclose(t_statistics(projections, total, 11.0), expected, rtol=1e-9)


@pytest.mark.parametrize(("n_rows", "rank"), [(2, 2), (5, 3)])
def test_f_is_explained_over_error(rng, n_rows, rank):
    projections, total = projections_and_total(rng, n_rows)
    explained = (projections[:, :rank] ** 2).sum(axis=1)
    expected = (explained / rank) / ((total - (projections**2).sum(axis=1)) / 11.0)
    np.testing.assert_allclose(f_statistics(projections, total, 11.0, rank), expected, rtol=1e-9)


def test_a_feature_of_zeros_gets_zero_and_a_perfect_fit_a_finite_number():
    projections, total = np.array([[[0.0, 2.0, 2.0]]]), np.array([0.0, 4.0, 3.999])
    t = t_statistics(projections, total, 9.0)
    np.testing.assert_allclose(t, [[0, np.sqrt(9e14), 2 * np.sqrt(9 / 3.999e-14)]], rtol=1e-12)
    np.testing.assert_allclose(f_statistics(projections, total, 9.0, 1), t**2, rtol=1e-12)


def test_no_permutations_give_no_rows(rng):
    assert t_statistics(np.empty((0, 2, 5)), np.ones(5), 3.0).shape == (0, 5)
    assert permuted_rows(np.ones((4, 2)), np.empty((0, 4), dtype=np.int32), None).shape == (0, 2, 4)


def test_counts_include_ties():
    statistics = np.array([[1.0, 2, -3], [1, 1, -1], [0, 3, -4]])
    counts = count_exceedances(statistics, np.array([1.0, 2, -3]))
    np.testing.assert_array_equal(counts, [2, 2, 2])
    assert counts.dtype == np.int32


def test_counts_add_up_over_batches(rng):
    statistics, thresholds = rng.standard_normal((30, 5000)), rng.standard_normal(5000)
    expected = (statistics >= thresholds).sum(axis=0)
    np.testing.assert_array_equal(count_exceedances(statistics, thresholds), expected)


def test_rounding_does_not_break_a_tie_but_a_difference_does():
    observed = np.array([3.0, -3.0, 0.0, 1e-200])
    assert (observed * (1 + np.array([-1, 1, 0, -1]) * 1e-12) >= tie_threshold(observed)).all()
    assert (observed[:2] - 1e-8 < tie_threshold(observed)[:2]).all()


def test_strided_projections_give_the_same(rng):
    projections, total = projections_and_total(rng, 3)
    strided = np.ascontiguousarray(projections.transpose(2, 1, 0)).transpose(2, 1, 0)
    np.testing.assert_array_equal(t_statistics(strided, total, 5.0), t_statistics(projections, total, 5.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: permuted_rows(np.ones((4, 2)), np.zeros((1, 5), dtype=np.int32), None),
        lambda: permuted_rows(np.ones((4, 2)), np.zeros((1, 4), dtype=np.int64), None),
        lambda: permuted_rows(np.ones((4, 2)), np.zeros((1, 4), dtype=np.int32), np.ones((2, 4), dtype=np.int8)),
        lambda: t_statistics(np.ones((2, 2, 3)), np.ones(4), 1.0),
        lambda: f_statistics(np.ones((2, 2, 3)), np.ones(3), 1.0, 3),
        lambda: f_statistics(np.ones((2, 2, 3), dtype=np.float32), np.ones(3), 1.0, 1),
        lambda: count_exceedances(np.ones((2, 3)), np.ones(2)),
    ],
)
def test_shapes_and_dtypes_that_do_not_fit_are_refused(call):
    with pytest.raises(NumericsError):
        call()
