"""Tests of Table 1 against SciPy, exact enumeration and their definitions."""

from itertools import product
from math import comb, factorial, prod

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.clinical.group_tests import compare_counts, compare_means, compare_ranks


@pytest.fixture
def samples(rng):
    return [rng.normal(mean, spread, size) for mean, spread, size in ((0, 1, 28), (0.8, 3, 25), (0.3, 0.5, 12))]


def test_two_means_are_compared_by_welchs_t(samples):
    found, expected = compare_means(samples[:2]), stats.ttest_ind(*samples[:2], equal_var=False)
    assert found.words.startswith("Welch's t, t(")
    np.testing.assert_allclose([found.statistic, found.p, *found.df], [*expected, expected.df], rtol=1e-12)


def test_more_means_are_compared_by_welchs_analysis_of_variance(samples):
    found, expected = compare_means(samples), stats.f_oneway(*samples, equal_var=False)
    np.testing.assert_allclose([found.statistic, found.p], [expected.statistic, expected.pvalue], rtol=1e-12)


def test_the_size_of_two_means_is_hedges_g(samples):
    a, b = samples[:2]
    n = len(a) + len(b)
    d = (a.mean() - b.mean()) / np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (n - 2))
    # Hedges' usual approximation of the factor is right to 1e-3 relative at 50 degrees of freedom, and much better here
    assert compare_means([a, b]).effect == pytest.approx(d * (1 - 3 / (4 * (n - 2) - 1)), rel=1e-4)


def test_the_size_of_more_means_is_eta_squared(samples):
    f = stats.f_oneway(*samples).statistic  # of the ordinary model
    df = sum(map(len, samples)) - 3
    assert compare_means(samples).effect == pytest.approx(2 * f / (2 * f + df), rel=1e-12)


def test_ranks_are_compared_as_scipy_does(samples):
    tied = [np.round(sample) for sample in samples]
    two, more = compare_ranks(tied[:2]), compare_ranks(tied)
    np.testing.assert_allclose([two.statistic, two.p], stats.mannwhitneyu(*tied[:2]), rtol=1e-12)
    np.testing.assert_allclose([more.statistic, more.p], stats.kruskal(*tied), rtol=1e-12)


def test_the_size_of_two_rankings_is_the_excess_of_pairs_that_the_first_wins():
    a, b = np.array([3.0, 5.0, 1.0]), np.array([2.0, 3.0])
    wins = np.mean([np.sign(x - y) for x, y in product(a, b)])
    assert compare_ranks([a, b]).effect == pytest.approx(wins, rel=1e-12)


def test_counts_are_compared_by_chi_square():
    table = np.array([[15, 13], [17, 11], [9, 19]])
    found, expected = compare_counts(table), stats.chi2_contingency(table, correction=False)
    np.testing.assert_allclose([found.statistic, found.p, *found.df], [*expected[:2], expected.dof], rtol=1e-12)
    assert found.effect == pytest.approx(stats.contingency.association(table, "cramer"), rel=1e-12)


def test_few_expected_counts_of_two_by_two_are_compared_exactly():
    table = np.array([[1, 9], [7, 4]])
    found = compare_counts(table)
    likely = [comb(8, k) * comb(13, 10 - k) for k in range(9)]
    assert found.words == "Fisher's exact test"
    assert found.p == pytest.approx(sum(w for w in likely if w <= likely[1]) / comb(21, 10), rel=1e-12)


def test_few_expected_counts_of_larger_tables_come_within_four_errors_of_the_exact_p():
    table = np.array([[4, 1, 0], [1, 3, 2], [0, 2, 4]])
    found = compare_counts(table).p
    exact = freeman_halton(table)
    assert abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / 1e5)
    assert compare_counts(table).p == found  # the same in every run


def freeman_halton(table):
    """All 3 × 3 tables with these margins, one by one."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    weights = {}
    for a, b, c, d in product(range(rows.max() + 1), repeat=4):
        cells = np.array([[a, b, rows[0] - a - b], [c, d, rows[1] - c - d], [0, 0, 0]])
        cells[2] = columns - cells.sum(axis=0)
        if (cells >= 0).all():
            weights[cells.tobytes()] = 1 / prod(factorial(int(cell)) for cell in cells.ravel())
    own = weights[table.tobytes()] * (1 + 1e-9)
    return sum(w for w in weights.values() if w <= own) / sum(weights.values())


def test_chi_square_gives_way_as_soon_as_fewer_than_five_are_expected():
    assert compare_counts(np.array([[5, 5], [5, 5]])).name == "chi-square"
    assert compare_counts(np.array([[5, 5], [4, 5]])).name == "Fisher's exact test"
