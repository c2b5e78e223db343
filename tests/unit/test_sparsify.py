import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels.sparsify import keep_mask, n_kept, row_thresholds, sparsify_rows


def largest_by_sorting(x, k):
    """Oracle: sort each row by descending value, then by column, and keep the first k."""
    kept = np.zeros_like(x)
    for row in range(len(x)):
        chosen = sorted(range(x.shape[1]), key=lambda column: (-x[row, column], column))[:k]
        kept[row, chosen] = x[row, chosen]
    return kept


@pytest.mark.parametrize(("n_targets", "sparsity", "k"), [(100, 0.9, 9), (400, 0.9, 39), (20000, 0.9, 1999), (7, 0, 7)])
def test_kept_count_is_the_floating_point_product_as_written(n_targets, sparsity, k):
    assert n_kept(n_targets, sparsity) == int(n_targets * (1 - sparsity)) == k


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(NumericsError, match="sparsity"):
        n_kept(100, sparsity)


def test_keeping_nothing_is_refused():
    with pytest.raises(NumericsError, match="keeps none of 9 targets"):
        n_kept(9, 0.9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.9])
def test_equals_sorting(rng, dtype, sparsity):
    x = rng.standard_normal((20, 50)).astype(dtype)
    np.testing.assert_array_equal(sparsify_rows(x, sparsity), largest_by_sorting(x, n_kept(50, sparsity)))


def test_ties_keep_the_lowest_columns(rng):
    x = rng.integers(-2, 3, (30, 40)).astype(float)
    np.testing.assert_array_equal(sparsify_rows(x, 0.7), largest_by_sorting(x, n_kept(40, 0.7)))


def test_negative_entries_among_the_largest_are_kept():
    np.testing.assert_array_equal(sparsify_rows(np.array([[-3.0, -1.0, -2.0, -4.0]]), 0.5), [[0, -1, -2, 0]])


@pytest.mark.parametrize("width", [1, 7, 40])
def test_mask_by_column_tiles_equals_the_mask_at_once(rng, width):
    x = rng.integers(-2, 3, (30, 40)).astype(float)
    threshold, ties = row_thresholds(x.copy(), 13)
    kept = [keep_mask(x[:, start : start + width], threshold, ties) for start in range(0, 40, width)]
    np.testing.assert_array_equal(np.where(np.hstack(kept), x, 0), largest_by_sorting(x, 13))
    assert (np.hstack(kept).sum(axis=1) == 13).all()


def test_input_is_not_modified(rng):
    x = rng.standard_normal((5, 20))
    x.setflags(write=False)
    sparsify_rows(x, 0.5)
