import numpy as np
import pytest

from thalgpu.engine.inference.invariants import invariant_directions
from thalgpu.engine.inference.model import Contrast
from thalgpu.engine.inference.partition import partition
from thalgpu.errors import NumericsError


def a_design(rng):
    groups = (np.arange(20)[:, None] % 3 == np.arange(3)).astype(np.float64)
    return np.hstack([groups, rng.standard_normal((20, 2)) * [1, 1e4] + [0, 1e5]])


def contrast(*rows, kind="t"):
    return Contrast("x", "x", np.array(rows, dtype=np.float64), kind)


def beckmann(matrix, weights):
    """Tested and nuisance part as Beckmann writes them, with inverses."""
    rest = np.linalg.svd(weights)[2][len(weights) :].T
    inverse = np.linalg.inv(matrix.T @ matrix)
    spread = np.linalg.inv(weights @ inverse @ weights.T)
    tested = matrix @ inverse @ weights.T @ spread
    other = rest - weights.T @ spread @ weights @ inverse @ rest
    return tested, matrix @ inverse @ other @ np.linalg.inv(other.T @ inverse @ other)


def projector(columns):
    vectors, sizes, _ = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), full_matrices=False)
    vectors = vectors[:, sizes > 1e-9]
    return vectors @ vectors.T


@pytest.mark.parametrize(
    "tested",
    [contrast([1, -1, 0, 0, 0]), contrast([0, 0, 0, 1, 1e-3]), contrast([1, -1, 0, 0, 0], [0, 0, 0, 0, 2], kind="f")],
    ids=["groups", "slopes", "f"],
)
def test_spaces_are_beckmanns(rng, tested):
    matrix = a_design(rng)
    found = partition(matrix, tested)
    x, z = beckmann(matrix, tested.weights)
    np.testing.assert_allclose(found.effect @ found.effect.T, projector(x), atol=1e-9)
    np.testing.assert_allclose(found.nuisance @ found.nuisance.T, projector(z), atol=1e-9)
    assert found.df == 15


def test_bases_are_orthonormal(rng):
    found = partition(a_design(rng), contrast([1, -1, 0, 0, 0], [0, 1, -1, 0, 0], kind="f"))
    both = np.hstack([found.effect, found.nuisance])
    np.testing.assert_allclose(both.T @ both, np.eye(5), atol=1e-13)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_estimate_comes_from_one_product(rng, sign):
    matrix, values = a_design(rng), rng.standard_normal((20, 4))
    tested = contrast([0, sign * 2, -sign, 0.5, 1e-4])
    found = partition(matrix, tested)
    beta = np.linalg.lstsq(matrix, values, rcond=None)[0]
    np.testing.assert_allclose(found.estimate_scale * (found.effect.T @ values), tested.weights @ beta, rtol=1e-9)
    assert found.estimate_scale > 0


def test_the_scale_is_that_of_the_standard_error(rng):
    matrix, tested = a_design(rng), contrast([0, 1, -1, 0, 0])
    expected = np.sqrt((tested.weights @ np.linalg.inv(matrix.T @ matrix) @ tested.weights.T)[0, 0])
    assert partition(matrix, tested).estimate_scale == pytest.approx(expected, rel=1e-9)


def test_units_of_the_columns_do_not_matter(rng):
    matrix, units = a_design(rng), np.array([1, 1, 1, 1e8, 1e-9])
    one = partition(matrix, contrast([1, -1, 0, 0, 0]))
    other = partition(matrix * units, contrast([1, -1, 0, 0, 0]))
    np.testing.assert_allclose(one.effect, other.effect, atol=1e-12)


def test_dependent_rows_of_an_f_test_count_once(rng):
    found = partition(a_design(rng), contrast([1, -1, 0, 0, 0], [0, 1, -1, 0, 0], [1, 0, -1, 0, 0], kind="f"))
    assert found.effect.shape == (20, 2)


def test_a_design_may_have_no_nuisance():
    found = partition(np.ones((5, 1)), contrast([1]))
    assert found.nuisance.shape == (5, 0)
    np.testing.assert_allclose(found.effect[:, 0], 1 / np.sqrt(5))


def test_what_cannot_be_estimated_is_refused():
    matrix = np.column_stack([np.ones(6), np.arange(6) < 3, np.arange(6) >= 3]).astype(np.float64)
    with pytest.raises(NumericsError, match="cannot be estimated"):
        partition(matrix, contrast([0, 1, 0]))
    with pytest.raises(NumericsError, match="cannot be estimated"):
        partition(matrix, contrast([0, 1, 0], [0, 1, -1], kind="f"))


def test_redundant_columns_do_no_harm_to_what_can_be_estimated():
    matrix = np.column_stack([np.ones(6), np.arange(6) < 3, np.arange(6) >= 3]).astype(np.float64)
    plain = partition(matrix[:, 1:], contrast([1, -1]))
    found = partition(matrix, contrast([0, 1, -1]))
    assert found.df == plain.df == 4
    np.testing.assert_allclose(found.effect, plain.effect, atol=1e-14)


def test_a_zero_contrast_and_a_design_without_residual_are_refused(rng):
    with pytest.raises(NumericsError, match="tests nothing"):
        partition(a_design(rng), contrast([0, 0, 0, 0, 0]))
    with pytest.raises(NumericsError, match="no residual"):
        partition(a_design(rng)[:5], contrast([1, -1, 0, 0, 0]))


def test_a_t_contrast_of_several_rows_is_refused(rng):
    with pytest.raises(NumericsError, match="several rows"):
        partition(a_design(rng), contrast([1, -1, 0, 0, 0], [0, 1, -1, 0, 0]))


def test_only_the_constant_survives_free_exchange():
    np.testing.assert_allclose(invariant_directions(4, None, flips=False), np.full((4, 1), 0.5))


def test_nothing_survives_flips():
    assert invariant_directions(4, None, flips=True).shape == (4, 0)


@pytest.mark.parametrize(
    ("blocks", "sets"),
    [
        ([[-1, 1], [-1, 2], [-1, 1], [-1, 2], [-1, 2]], [0, 1, 0, 1, 1]),
        ([[1, -1], [1, -1], [1, -2], [1, -2]], [0, 1, 0, 1]),
        ([[1, 1, 1], [1, 1, 2], [1, 2, 3], [1, 2, 4]], [0, 0, 0, 0]),
        ([[-1, 1, -1], [-1, 1, -1], [-1, 1, -2], [-1, 1, -2], [-1, 2, 1], [-1, 2, 2]], [0, 1, 0, 1, 2, 2]),
        ([[-1, -1], [-1, -1], [-1, 2], [-1, 2]], [0, 1, 2, 2]),
    ],
    ids=["within", "whole", "both", "pairs and singles", "fixed"],
)
def test_directions_are_indicators_of_who_takes_whose_place(blocks, sets):
    found = invariant_directions(len(sets), np.array(blocks), flips=False)
    expected = (np.array(sets)[:, None] == np.unique(sets)).astype(np.float64)
    np.testing.assert_allclose(found @ found.T, projector(expected), atol=1e-14)
