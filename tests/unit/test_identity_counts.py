"""The subjects' own order is one of the permutations that reach what was observed, however exact the fit."""

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
