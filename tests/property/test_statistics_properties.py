"""What must not matter to a statistic, and what must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.inference.model import Contrast, Design
from thalgpu.engine.inference.regression import prepare_model, statistics

METHODS = st.sampled_from(["freedman-lane", "ter-braak", "manly", "dekker"])
SOME = settings(max_examples=25, deadline=None)  # compiling on the first call takes a second


@st.composite
def problems(draw):
    """Values, design of full rank, a t contrast and permutations."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, n_nuisance = draw(st.integers(8, 24)), draw(st.integers(0, 3))
    matrix = np.hstack([np.ones((n, 1)), rng.standard_normal((n, 1 + n_nuisance))])
    weights = rng.standard_normal((1, matrix.shape[1]))
    weights[0, 0] = 0.0
    permutations = np.array([np.arange(n), rng.permutation(n), rng.permutation(n)], dtype=np.int32)
    return rng, rng.standard_normal((n, 4)), matrix, weights, permutations


def solve(values, matrix, weights, permutations, method="freedman-lane", kind="t", **design):
    contrast = Contrast("c", "c", weights, kind)
    columns = tuple(str(i) for i in range(matrix.shape[1]))
    return statistics(prepare_model(values, Design(matrix, columns, (), **design), contrast, method), permutations)


@SOME
@given(problems(), METHODS, st.floats(1e-6, 1e6))
def test_the_unit_of_the_data_does_not_matter(problem, method, unit):
    _, values, matrix, weights, permutations = problem
    expected = solve(values, matrix, weights, permutations, method)
    np.testing.assert_allclose(solve(unit * values, matrix, weights, permutations, method), expected, rtol=1e-8)


@SOME
@given(problems(), st.sampled_from(["freedman-lane", "dekker", "ter-braak"]))
def test_nuisance_added_to_the_data_does_not_matter(problem, method):
    rng, values, matrix, weights, permutations = problem
    nuisance = matrix @ np.linalg.svd(weights)[2][1:].T
    shifted = values + 10 * nuisance @ rng.standard_normal((nuisance.shape[1], 4))
    expected = solve(values, matrix, weights, permutations, method)
    np.testing.assert_allclose(solve(shifted, matrix, weights, permutations, method), expected, rtol=1e-7, atol=1e-9)


@SOME
@given(problems(), METHODS)
def test_f_of_one_row_is_t_squared(problem, method):
    _, values, matrix, weights, permutations = problem
    t = solve(values, matrix, weights, permutations, method)
    f = solve(values, matrix, weights, permutations, method, kind="f")
    np.testing.assert_allclose(f, t**2, rtol=1e-8, atol=1e-12)


@SOME
@given(problems(), METHODS.filter(lambda method: method != "dekker"))  # which assumes one variance
def test_v_of_one_row_squared_is_g(problem, method):
    _, values, matrix, weights, permutations = problem
    groups = np.arange(len(values)) % 2
    v = solve(values, matrix, weights, permutations, method, variance_groups=groups)
    g = solve(values, matrix, weights, permutations, method, kind="f", variance_groups=groups)
    np.testing.assert_allclose(g, v**2, rtol=1e-8, atol=1e-12)


@SOME
@given(problems(), METHODS)
def test_the_order_of_the_subjects_does_not_matter(problem, method):
    rng, values, matrix, weights, permutations = problem
    order = rng.permutation(len(values))
    place = np.argsort(order)
    renamed = place[permutations[:, order]].astype(np.int32)
    expected = solve(values, matrix, weights, permutations, method)
    found = solve(values[order], matrix[order], weights, renamed, method)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@SOME
@given(problems(), METHODS)
def test_another_coding_of_the_same_model_does_not_matter(problem, method):
    rng, values, matrix, weights, permutations = problem
    recoding = np.linalg.qr(rng.standard_normal((matrix.shape[1],) * 2))[0] * rng.uniform(0.1, 10, matrix.shape[1])
    expected = solve(values, matrix, weights, permutations, method)
    found = solve(values, matrix @ recoding, weights @ recoding, permutations, method)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@SOME
@given(problems(), METHODS)
def test_the_opposite_contrast_has_the_opposite_sign(problem, method):
    _, values, matrix, weights, permutations = problem
    expected = solve(values, matrix, weights, permutations, method)
    np.testing.assert_allclose(solve(values, matrix, -weights, permutations, method), -expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_agree_with_one_by_one(rng, size):
    values, permutations = rng.standard_normal((15, 50)), np.array([rng.permutation(15) for _ in range(7)], np.int32)
    matrix, weights = np.column_stack([np.ones(15), rng.standard_normal((15, 2))]), np.array([[0.0, 1, 0]])
    together = solve(values, matrix, weights, permutations)
    apart = [solve(values, matrix, weights, permutations[i : i + size]) for i in range(0, 7, size)]
    np.testing.assert_allclose(np.vstack(apart), together, rtol=1e-11)
