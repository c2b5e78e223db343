"""What counts as reached: the subjects' own order, however exact the fit, and what is equal but for rounding."""

from itertools import combinations

import numpy as np
import pytest

from thalgpu.engine.inference.permutation_test import permutation_test

GROUP = np.repeat([1.0, 0.0], 4)


@pytest.mark.parametrize("noise", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("variance_groups", [None, GROUP], ids=["one variance", "two variances"])
def test_p_is_never_below_one_permutation(noise, variance_groups, rng):
    """t of 1e4 and more: what is left of the data is rounded by far more than ties may differ by."""
    Y = GROUP[:, None] + noise * rng.normal(size=(8, 200))
    X = np.column_stack([GROUP, 1 - GROUP])
    result = permutation_test(Y, X, [1, -1], n_perm=50, two_sided=True, variance_groups=variance_groups)
    assert result.p.min() >= 1 / 50
    assert result.p_fwe.min() >= 1 / 50
    np.testing.assert_array_equal(result.null_max["stat"][0, 0], np.abs(result.stat).max())


@pytest.mark.parametrize("two_sided", [False, True], ids=["one-sided", "two-sided"])
def test_sums_of_whole_numbers_that_are_equal_are_ties(two_sided, rng):
    """Counts, ranks and masks have many permutations without any difference, whose t is 0 or its rounding."""
    Y = rng.integers(0, 3, size=(8, 60)).astype(float)
    X = np.column_stack([GROUP, 1 - GROUP])
    one_group = np.array([np.isin(np.arange(8), chosen) for chosen in combinations(range(8), 4)])
    differences = 2 * one_group @ Y - Y.sum(axis=0)  # rises with t, and is exact
    observed = 2 * GROUP @ Y - Y.sum(axis=0)
    if two_sided:
        differences, observed = np.abs(differences), np.abs(observed)
    result = permutation_test(Y, X, [1, -1], n_perm=0, two_sided=two_sided)
    np.testing.assert_allclose(result.p[0], (differences >= observed).mean(axis=0), rtol=1e-12)
