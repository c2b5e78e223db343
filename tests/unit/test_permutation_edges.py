"""Permutation tests at the edges: nothing to explain, nothing left over, absurd units, hardly any subjects."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array, diags_array

from thalgpu.engine.inference.permutation_test import permutation_test

GROUP = np.repeat([1.0, 0.0], 7)
AGE = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7], dtype=float)
X = np.column_stack([GROUP, 1 - GROUP, AGE])
DIFFERENCE = [1, -1, 0]
F_TEST = [[DIFFERENCE, [0, 0, 1]]]
METHODS = ("freedman-lane", "ter-braak", "manly", "dekker")
SPATIAL = {"adjacency": diags_array([np.ones(4)] * 2, offsets=[-1, 1]), "tfce": True, "cluster_threshold": 1.0}
KINDS = {
    **{method: {"method": method} for method in METHODS},
    "z": {"statistic_scale": "z"},
    "two-sided": {"two_sided": True},
    "correlations": {"pearson": True, "cluster_threshold": 0.2},
    "variance groups": {"variance_groups": GROUP},
    "variance groups, z": {"variance_groups": GROUP, "statistic_scale": "z"},
    "gpd": {"tail": "gpd"},
    "gamma": {"tail": "gamma"},
    "stopping early": {"stop_after": 3},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def answers(values, kind):
    return permutation_test(values, X, DIFFERENCE, F_TEST, n_perm=80, **{**SPATIAL, **KINDS[kind]})


def arrays(found):
    every = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: array for name, array in every.items() if isinstance(array, np.ndarray)} | found.null_max


@pytest.fixture
def values(rng):
    return rng.normal(size=(14, 5))


@each_kind
def test_constant_features_are_zero_with_p_one(values, kind):
    values[:, 1], values[:, 3] = 7.3, 0.0
    found = answers(values, kind)
    assert (found.stat[:, [1, 3]] == 0).all()
    for name in ("p", "p_fwe", "p_fwe_joint", "p_fdr"):
        p = getattr(found, name)
        if p is not None and KINDS[kind].get("tail") != "gamma":  # a fitted curve has no p of 1
            np.testing.assert_array_equal(p[:, [1, 3]], 1.0, err_msg=name)
    assert all(np.isfinite(array).all() for array in arrays(found).values())


@pytest.mark.parametrize("scale", ["t", "z"])
@pytest.mark.parametrize("method", METHODS[:3])
def test_rounding_of_constant_features_tells_no_permutations_apart(scale, method):
    """What the model leaves of them is a few 1e-17, of which variance groups would make degrees of freedom."""
    options = {"method": method, "statistic_scale": scale, "variance_groups": GROUP, "n_perm": 60}
    found = permutation_test(np.ones((14, 1)) * np.linspace(-3, 3, 50), X, DIFFERENCE, [[DIFFERENCE]], **options)
    assert (found.stat == 0).all()
    assert (found.p == 1).all()


@each_kind
def test_nothing_but_constant_features(kind):
    found = answers(np.full((14, 5), 3.3), kind)
    assert (found.stat == 0).all()
    assert (found.p == 1).all()
    assert all(np.isfinite(array).all() for array in arrays(found).values())


@each_kind
def test_a_perfect_fit_has_finite_answers_and_the_least_p(kind):
    values = X @ np.array([[1.0, 2, 3, -1, 0], [0.5, 0, 1, 3, 1], [0.1, 0, 2, 0, 1]])
    found = answers(values, kind)
    assert all(np.isfinite(array).all() for array in arrays(found).values())
    assert (found.stat[0, :3] > 100 * (not KINDS[kind].get("pearson"))).all()
    assert (found.p[1] <= 2 / 80).all()


@pytest.mark.parametrize("factor", [1e100, 1e90, 1e-90])
@each_kind
def test_absurd_units_change_nothing_but_rounding(values, kind, factor):
    values = np.clip(values, -0.99, 0.99)
    usual, absurd = arrays(answers(values, kind)), arrays(answers(values * factor, kind))
    for name, array in usual.items():
        np.testing.assert_allclose(absurd[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


@each_kind
def test_features_of_very_different_size_do_not_disturb_each_other(values, kind):
    sizes = 2.0 ** np.array([0, 200, -200, 40, 0])
    for name, array in arrays(answers(values, kind)).items():
        np.testing.assert_array_equal(arrays(answers(values * sizes, kind))[name], array, err_msg=name)


@each_kind
def test_a_large_offset_is_the_intercepts(values, kind):
    found = answers(values + 1e6, kind)
    np.testing.assert_allclose(found.stat, answers(values, kind).stat, rtol=1e-8, atol=1e-8)


def test_one_feature_needs_no_correction(values):
    found = permutation_test(values[:, :1], X, DIFFERENCE, n_perm=200)
    np.testing.assert_array_equal(found.p_fwe, found.p)
    np.testing.assert_array_equal(found.p_fdr, found.p)


def test_one_feature_without_neighbours_is_a_cluster_of_one(values):
    strong = values[:, :1] + 2 * GROUP[:, None]
    spatial = {"adjacency": csr_array((1, 1)), "tfce": True, "cluster_threshold": 1.0}
    found = permutation_test(strong, X, DIFFERENCE, n_perm=200, **spatial)
    assert found.cluster_extent[0, 0] == 1
    np.testing.assert_allclose(found.cluster_mass, found.stat)
    np.testing.assert_allclose(found.tfce, found.stat**3 / 3, rtol=1e-12)  # the integral of h²
    np.testing.assert_array_equal(found.p_tfce, found.p)


def test_f_tests_alone(values):
    alone = permutation_test(values, X, [], F_TEST, n_perm=60)
    beside = permutation_test(values, X, DIFFERENCE, F_TEST, n_perm=60)
    assert (alone.t.shape, alone.f.shape) == ((0, 5), (1, 5))
    assert alone.p_fwe_joint is None
    np.testing.assert_array_equal(alone.f, beside.f)
    np.testing.assert_array_equal(alone.p_fwe[0], beside.p_fwe[1])


@pytest.mark.parametrize("n_perm", [0, 35, 36, 10_000])
def test_all_permutations_are_taken_where_no_fewer_are_asked_for(rng, n_perm):
    values = rng.normal(size=(7, 3))
    design = np.repeat(np.eye(2), [3, 4], axis=0)
    found = permutation_test(values, design, [1, -1], n_perm=n_perm)
    assert found.n_perm == 35
    of_pairs = [stats.ttest_ind(values[list(one)], np.delete(values, one, axis=0)) for one in combinations(range(7), 3)]
    every = np.array([pair.statistic for pair in of_pairs])
    t = every[0]
    np.testing.assert_allclose(found.t[0], t, rtol=1e-12)
    np.testing.assert_allclose(found.p[0], (every >= t - 1e-9).mean(axis=0))
    np.testing.assert_allclose(found.p_fwe[0], (every.max(axis=1)[:, None] >= t - 1e-9).mean(axis=0))


@pytest.mark.parametrize("two_sided", [False, True])
def test_all_sign_flips_of_one_sample(rng, two_sided):
    values = rng.normal(size=(6, 4)) + 0.5
    found = permutation_test(values, np.ones((6, 1)), [1], n_perm=0, sign_flip=True, two_sided=two_sided)
    assert found.n_perm == 64
    flips = np.array(list(product([1.0, -1.0], repeat=6)))
    every = np.array([stats.ttest_1samp(flip[:, None] * values, 0).statistic for flip in flips])
    t = every[0]
    np.testing.assert_allclose(found.t[0], t, rtol=1e-12)
    every, t = (np.abs(every), np.abs(t)) if two_sided else (every, t)
    np.testing.assert_allclose(found.p[0], (every >= t - 1e-9).mean(axis=0))
    np.testing.assert_allclose(found.p_fwe[0], (every.max(axis=1)[:, None] >= t - 1e-9).mean(axis=0))


def test_opposite_contrasts_share_two_sided_p_and_their_joint_maxima(values):
    found = permutation_test(values, X, [DIFFERENCE, [-1, 1, 0]], n_perm=150)
    both = permutation_test(values, X, DIFFERENCE, n_perm=150, two_sided=True)
    np.testing.assert_allclose(found.t[0], -found.t[1], rtol=1e-12)
    up = found.t[0] > 0
    np.testing.assert_array_equal(np.where(up, found.p_fwe_joint[0], found.p_fwe_joint[1]), both.p_fwe[0])


def test_the_smallest_study_that_has_a_residual(rng):
    found = permutation_test(rng.normal(size=(3, 4)), np.repeat(np.eye(2), [2, 1], axis=0), [1, -1])
    assert found.n_perm == 3
    assert set(np.rint(3 * found.p[0])) <= {1, 2, 3}
