"""Uncorrected, family-wise and false-discovery p-values, and their Monte-Carlo limits."""

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.corrections import (
    false_discovery,
    familywise,
    joint_maxima,
    monte_carlo_interval,
    uncorrected,
)


def test_uncorrected_is_the_share_of_permutations():
    np.testing.assert_array_equal(uncorrected(np.array([1, 25, 100]), 100), [0.01, 0.25, 1.0])


def test_familywise_counts_maxima_that_reach_the_observed(rng):
    null, observed = rng.normal(2, 1, 300), rng.normal(1, 2, 40)
    expected = [(null >= value).mean() for value in observed]
    np.testing.assert_array_equal(familywise(observed, null), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_maxima_that_tie_up_to_rounding_count(sign):
    observed = np.array([sign * 3.0])
    just_below = observed[0] - 1e-12
    clearly_below = observed[0] - 1e-6
    np.testing.assert_array_equal(familywise(observed, np.array([just_below, clearly_below])), [0.5])


def test_the_largest_observed_value_gets_one_over_the_number_of_permutations(rng):
    null = np.append(5.0, rng.uniform(0, 4, 99))
    assert familywise(np.array([5.0]), null)[0] == 0.01


def test_false_discovery_is_its_definition(rng):
    p = rng.integers(1, 40, 60) / 40  # with many ties
    ascending = np.sort(p)
    steps = ascending * len(p) / np.arange(1, len(p) + 1)
    expected = [steps[ascending >= value].min() for value in p]
    np.testing.assert_allclose(false_discovery(p), expected, rtol=1e-14)


def test_false_discovery_agrees_with_scipy(rng):
    p = rng.uniform(size=200) ** 2
    np.testing.assert_allclose(false_discovery(p), stats.false_discovery_control(p), rtol=1e-14)


def test_false_discovery_holds_its_rate_under_planted_effects(rng):
    """Of 1,000 features 200 are true; over 200 repetitions the mean share of false ones stays below 0.1·0.8 = 0.08."""
    shares = []
    for _ in range(200):
        p = stats.norm.sf(rng.normal(np.repeat([3.0, 0.0], [200, 800])))
        found = false_discovery(p) <= 0.1
        shares.append(found[200:].sum() / max(found.sum(), 1))
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.08) < 3 * error


def test_adaptive_false_discovery_is_its_definition(rng):
    """Benjamini, Krieger and Yekutieli, definition 7: reject the first k, k the largest for which every j ≤ k has an
    l ≥ j with p_(l) ≤ q·l / (m + 1 − j(1 − q)).
    """
    p = np.sort(rng.uniform(size=30) ** 2)
    ranks = np.arange(1, 31)
    for q in (0.01, 0.05, 0.2, 0.5, 0.9):
        passes = [(p <= q * ranks / (31 - j * (1 - q)))[j - 1 :].any() for j in ranks]
        rejected = np.minimum.accumulate(passes)
        np.testing.assert_array_equal(false_discovery(p, adaptive=True) <= q, rejected)


def test_joint_maxima_are_taken_permutation_by_permutation():
    joint = joint_maxima([np.array([1.0, 5.0, 2.0]), np.array([3.0, 4.0, 2.0])])
    np.testing.assert_array_equal(joint, [3.0, 5.0, 2.0])


def test_interval_is_clopper_and_pearsons_for_the_permutations_that_were_drawn():
    counts, n_perm = np.array([1, 2, 17, 499, 500]), 500
    low, high = monte_carlo_interval(counts, n_perm)
    for i, count in enumerate(counts):
        exact = stats.binomtest(int(count) - 1, n_perm - 1).proportion_ci(method="exact")
        np.testing.assert_allclose([low[i], high[i]], [exact.low, exact.high], rtol=1e-10)


def test_interval_narrows_with_its_level():
    low, high = monte_carlo_interval(np.array([50]), 1000, 0.95)
    narrow_low, narrow_high = monte_carlo_interval(np.array([50]), 1000, 0.5)
    assert low < narrow_low < 0.05 < narrow_high < high


def test_interval_of_an_exhaustive_set_is_p():
    low, high = monte_carlo_interval(np.array([1, 35]), 70, exhaustive=True)
    np.testing.assert_array_equal(low, [1 / 70, 0.5])
    np.testing.assert_array_equal(high, [1 / 70, 0.5])


def test_interval_of_the_identity_alone_is_its_p():
    low, high = monte_carlo_interval(np.array([1]), 1)
    np.testing.assert_array_equal([low, high], [[1.0], [1.0]])


def test_interval_covers_the_exact_p_as_often_as_it_says(rng):
    exact, n_perm = 0.03, 400
    counts = 1 + rng.binomial(n_perm - 1, exact, 4000)
    low, high = monte_carlo_interval(counts, n_perm)
    covered = np.mean((low <= exact) & (exact <= high))
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 4000)  # exact intervals cover at least as often
