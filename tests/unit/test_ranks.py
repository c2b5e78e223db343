import numpy as np
import pytest
from scipy.stats import rankdata

from thalgpu.kernels.ranks import average_ranks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_with_ties_equal_scipys(rng, dtype):
    x = rng.integers(-3, 4, (20, 31)).astype(dtype)
    ranks = average_ranks(x)
    assert ranks.dtype == dtype
    np.testing.assert_array_equal(ranks, rankdata(x, axis=1))


def test_equal_entries_of_neighbouring_rows_are_not_tied():
    np.testing.assert_array_equal(average_ranks(np.array([[1.0, 2.0], [2.0, 3.0]])), [[1, 2], [1, 2]])


def test_positive_and_negative_zero_are_tied():
    np.testing.assert_array_equal(average_ranks(np.array([[0.0, -0.0, 1.0]])), [[1.5, 1.5, 3]])
