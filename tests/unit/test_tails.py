"""p-values from fitted tails, where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.tails import anderson_darling_p, fit_tail, gamma_p, gpd_p


def with_identity(observed, null):
    """The null distribution as a permutation test has it: what was observed comes first."""
    return np.concatenate([np.broadcast_to(observed, (1, null.shape[1])), null])


def median_of_tails(distribution, true_p, n_perm, rng, n_features=400):
    """Median of p over features that each have permutations of their own."""
    observed = np.full(n_features, distribution.isf(true_p))
    null = distribution.rvs((n_perm - 1, n_features), random_state=rng)
    p, refined = gpd_p(observed, with_identity(observed, null))
    return np.median(p), refined.mean()


@pytest.mark.parametrize("distribution", [stats.t(20), stats.norm(), stats.gumbel_r()], ids=["t", "normal", "gumbel"])
@pytest.mark.parametrize("true_p", [0.05, 0.01])
def test_median_tail_p_is_the_true_one_inside_the_permutations(distribution, true_p, rng):
    median, refined = median_of_tails(distribution, true_p, 1000, rng)
    assert refined > 0.9
    assert 0.95 * true_p < median < 1.05 * (true_p + 1 / 1000)  # the identity counts as one of the permutations


@pytest.mark.parametrize("distribution", [stats.t(20), stats.norm()], ids=["t", "normal"])
def test_tail_p_beyond_the_permutations_is_small_and_conservative(distribution, rng):
    """Counting 500 permutations gives 0.002 at best. The identity stays in the sample and pulls its own p up."""
    median, refined = median_of_tails(distribution, 2e-4, 500, rng)
    assert refined > 0.9
    assert 2e-4 < median < 1e-3


def test_tail_of_null_maxima_serves_all_features(rng):
    """Maxima over 100 normal features, in sets of 500: the median over sets at a family-wise p of .01."""
    observed = np.array([stats.norm.isf(1 - 0.99 ** (1 / 100))])
    p = []
    for _ in range(200):
        maxima = np.append(observed, rng.normal(size=(499, 100)).max(axis=1))
        p.append(gpd_p(observed, maxima)[0][0])
    assert np.median(p) == pytest.approx(0.01, rel=0.1)  # standard error of the median about 4 %


def test_a_shared_null_gives_what_a_column_each_gives(rng):
    observed = np.array([0.5, 2.4, 3.6])
    null = np.append(3.6, rng.normal(size=999))
    shared = gpd_p(observed, null)
    single = gpd_p(observed, np.repeat(null[:, None], 3, axis=1))
    np.testing.assert_allclose(shared[0], single[0], rtol=1e-12)  # sums of columns are rounded in another order
    np.testing.assert_array_equal(shared[1], single[1])


def test_p_of_a_shared_null_falls_as_the_statistic_grows(rng):
    null = np.append(6.0, rng.normal(size=2000))
    p, _ = gpd_p(np.linspace(1.5, 6.0, 100), null)
    assert (np.diff(p) <= 0).all()


def test_large_p_are_counted(rng):
    observed = np.array([0.0, 1.0])
    null = with_identity(observed, rng.normal(size=(99, 2)))
    p, refined = gpd_p(observed, null)
    np.testing.assert_array_equal(p, (null >= observed).mean(axis=0))
    assert not refined.any()


@pytest.mark.parametrize(
    "values",
    [np.zeros(199), np.repeat([0.0, 1.0], [100, 99]), np.append(np.zeros(150), np.ones(49))],
    ids=["constant", "two values", "two values in the tail"],
)
def test_p_is_counted_where_no_tail_can_be_fitted(values):
    observed = np.array([2.0])
    p, refined = gpd_p(observed, np.append(observed, values)[:, None])
    np.testing.assert_array_equal(p, [1 / 200])
    assert not refined.any()


def test_few_permutations_are_counted(rng):
    null = np.append(3.0, rng.uniform(size=19))
    p, refined = gpd_p(np.array([3.0]), null)
    assert (p[0], refined[0]) == (0.05, False)


def test_a_null_of_mostly_zeros_is_fitted_above_them(rng):
    """Enhanced maps are 0 wherever the statistic is negative."""
    null = with_identity(np.array([9.0]), np.maximum(rng.exponential(size=(1999, 1)) - 1.5, 0))
    fit = fit_tail(null)
    assert fit.accepted.all()
    assert fit.threshold[0] > 0
    assert fit.weight[0] == np.mean(null > fit.threshold[0])


def test_p_is_never_zero_or_above_what_the_identity_forces(rng):
    observed = np.array([1e3, 1e6, 50.0])
    p, _ = gpd_p(observed, with_identity(observed, rng.normal(size=(999, 3))))
    assert (p > 0).all()
    assert (p <= 0.01).all()


def test_order_of_the_permutations_does_not_matter(rng):
    null = rng.normal(size=(500, 6))
    observed = null.max(axis=0)
    np.testing.assert_array_equal(gpd_p(observed, null)[0], gpd_p(observed, null[::-1])[0])


def test_p_does_not_depend_on_units(rng):
    null = rng.normal(size=(500, 6))
    observed = null.max(axis=0)
    np.testing.assert_allclose(gpd_p(observed, null)[0], gpd_p(7 * observed + 2, 7 * null + 2)[0], rtol=1e-9)


@pytest.mark.parametrize("k", [-0.2, 0.0, 0.2])
def test_scale_and_shape_are_recovered(k, rng):
    """The excess over any threshold has the same shape; its scale shrinks by shape × threshold."""
    null = stats.genpareto(c=-k, scale=2.0).rvs((40_000, 20), random_state=rng)
    fit = fit_tail(null)
    assert np.mean(fit.shape) == pytest.approx(k, abs=0.02)  # standard error about 0.003, and a slight bias at k < 0
    np.testing.assert_allclose(np.median(fit.scale / (2 - k * fit.threshold)), 1, rtol=0.02)  # standard error 1 %


@pytest.mark.parametrize(
    ("a2", "shape", "p"),
    [(0.974, 0.0, 0.05), (0.569, 0.0, 0.25), (1.321, -0.5, 0.05), (1.958, -0.5, 0.01), (0.830, 0.5, 0.05),
     (0.830, 0.9, 0.05), (1.296, 0.2, 0.01)],
)  # fmt: skip
def test_anderson_darling_p_is_the_published_one(a2, shape, p):
    assert anderson_darling_p(np.array([a2]), np.array([shape]))[0] == pytest.approx(p, rel=1e-12)


def test_anderson_darling_p_stays_within_the_published_range():
    p = anderson_darling_p(np.array([0.01, 50.0]), np.array([0.0, 0.0]))
    np.testing.assert_allclose(p, [0.5, 0.001])


def test_about_one_true_tail_in_twenty_is_refused(rng):
    """The published points are of maximum likelihood fits; by moments a few per cent either way."""
    below = np.repeat(np.linspace(-1, 0, 750)[:, None], 2000, axis=1)
    null = np.concatenate([below, stats.expon.rvs(size=(250, 2000), random_state=rng)])
    refused = np.mean(fit_tail(null).weight != 0.25)  # the first threshold lies above .750 of the values
    assert 0.02 < refused < 0.08


@pytest.mark.parametrize("skewed", [stats.gamma(4), stats.norm(), stats.gumbel_l()], ids=["right", "none", "left"])
def test_gamma_p_is_that_of_pearsons_third_type(skewed, rng):
    null = skewed.rvs(2000, random_state=rng)
    observed = np.quantile(null, [0.1, 0.5, 0.9, 0.99])
    expected = stats.pearson3.sf(observed, stats.skew(null), null.mean(), null.std())
    np.testing.assert_allclose(gamma_p(observed, null), expected, rtol=1e-8)


def test_gamma_p_of_null_maxima_is_near_the_true_one(rng):
    observed = np.array([stats.norm.isf(1 - (1 - p) ** (1 / 100)) for p in (0.05, 0.01)])
    p = [gamma_p(observed, rng.normal(size=(500, 100)).max(axis=1)) for _ in range(100)]
    np.testing.assert_allclose(np.median(p, axis=0), [0.05, 0.01], rtol=0.15)  # maxima are not quite a gamma


def test_gamma_p_without_skewness_is_normal():
    null = np.concatenate([-np.arange(1.0, 51), np.arange(1.0, 51)])
    assert gamma_p(np.array([40.0]), null)[0] == pytest.approx(stats.norm.sf(40 / null.std()))


def test_gamma_p_beyond_the_end_of_a_left_skewed_null_is_counted(rng):
    null = -(rng.exponential(size=500) ** 2)
    assert gamma_p(np.array([50.0]), null)[0] == 1 / 500


def test_gamma_p_far_out_is_not_zero(rng):
    p = gamma_p(np.array([1e9]), rng.exponential(size=500))
    assert 0 < p[0] < 1e-300


def test_gamma_p_of_a_constant_null_is_counted():
    np.testing.assert_array_equal(gamma_p(np.array([1.0, 2.0]), np.ones(10)), [1.0, 0.1])


def test_gamma_p_takes_a_column_a_feature(rng):
    null = rng.gumbel(size=(300, 4))
    observed = null.max(axis=0)
    single = [gamma_p(observed[[i]], null[:, i])[0] for i in range(4)]
    np.testing.assert_allclose(gamma_p(observed, null), single, rtol=1e-12)


def test_gamma_p_outside_clusters_is_one_where_hardly_a_permutation_has_any():
    """Nearly all maxima are 0: so is the curve's p of 0, for which everything would be significant."""
    maxima = np.append([5.0, 3.0], np.zeros(998))
    np.testing.assert_array_equal(gamma_p(np.array([0.0, 0.0]), maxima), 1.0)
