"""Seed maps and region matrices against NumPy's own correlation in float64."""

import numpy as np
import pytest

from thalgpu.engine.connectivity.maps import seed_maps
from thalgpu.engine.connectivity.matrices import region_matrix, region_pairs, shared_elements
from thalgpu.engine.connectivity.seeds import split_by_side
from thalgpu.errors import NumericsError

LIMIT = 1 - 1e-7


def reference(seeds, targets):
    """Fisher's z by np.corrcoef in float64."""
    both = np.corrcoef(seeds.astype(float).T, targets.astype(float).T)
    return np.arctanh(np.clip(both[: seeds.shape[1], seeds.shape[1] :], -LIMIT, LIMIT))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_are_numpys_correlations(rng, dtype):
    seeds = rng.standard_normal((200, 3)).astype(dtype)
    targets = (rng.standard_normal((200, 4100)) + seeds[:, :1]).astype(dtype)  # more than two blocks
    # float64 throughout: what is left is the rounding of logarithms and of sums over 200 volumes
    np.testing.assert_allclose(seed_maps(seeds, targets), reference(seeds, targets), atol=1e-13)


def test_large_offsets_cost_no_digits(rng):
    seeds = rng.standard_normal((150, 2)).astype(np.float32)
    raised = (seeds + np.float32(1e4)).astype(np.float32)
    targets = rng.standard_normal((150, 30)).astype(np.float32)
    np.testing.assert_allclose(seed_maps(raised, targets), reference(raised, targets), atol=1e-12)


def test_units_of_the_series_do_not_matter(rng):
    seeds, targets = rng.standard_normal((90, 2)), rng.standard_normal((90, 20))
    np.testing.assert_allclose(seed_maps(1e-6 * seeds, 3e5 * targets + 7), seed_maps(seeds, targets), atol=1e-9)


def test_constant_series_are_zero_and_nothing_is_nan(rng):
    seeds, targets = rng.standard_normal((80, 2)).astype(np.float32), rng.standard_normal((80, 5)).astype(np.float32)
    seeds[:, 1], targets[:, 3] = 0, np.float32(0.1)
    z = seed_maps(seeds, targets)
    assert not z[1].any()
    assert not z[:, 3].any()
    assert (z[0, [0, 1, 2, 4]] != 0).all()


def test_a_copy_of_the_seed_stays_finite(rng):
    seed = rng.standard_normal((70, 1))
    z = seed_maps(seed, np.hstack([seed, -2 * seed]))
    np.testing.assert_allclose(z, np.arctanh(LIMIT) * np.array([[1, -1]]), rtol=1e-12)


@pytest.mark.parametrize(
    ("seeds", "targets", "words"),
    [
        (np.ones((5, 1)), np.ones((6, 2)), "5 time points"),
        (np.ones((1, 1)), np.ones((1, 2)), "two or more"),
        (np.full((9, 1), np.nan), np.ones((9, 2)), "seed_ts"),
        (np.ones((9, 1)), np.full((9, 2), np.inf), "target_ts"),
    ],
)
def test_series_that_cannot_be_correlated_are_refused(seeds, targets, words):
    with pytest.raises(NumericsError, match=words):
        seed_maps(seeds, targets)


def test_region_matrix_is_numpys_without_its_diagonal(rng):
    series = rng.standard_normal((120, 7)).astype(np.float32)
    z = region_matrix(series)
    expected = reference(series, series)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(z, expected, atol=1e-13)
    assert np.array_equal(z, z.T)


def test_pairs_that_share_an_element_are_left_out():
    regions = [np.array([0, 1, 2, 3]), np.array([0, 1]), np.array([2, 3]), np.array([9])]
    pairs = region_pairs(shared_elements(regions))
    assert pairs.tolist() == [[0, 3], [1, 2], [1, 3], [2, 3]]


def test_every_region_shares_with_itself_even_when_it_is_empty():
    assert shared_elements([np.zeros(0, dtype=np.int64), np.array([4])]).tolist() == [[True, False], [False, True]]


def test_halves_are_of_seeds_that_have_both():
    seed = np.array([0, 0, 0, 1, 1, -1], dtype=np.int32)
    side = np.array([-1, 1, 0, 1, 1, -1], dtype=np.int8)
    half, names = split_by_side(seed, side, ("S1", "VPL"))
    assert names == ("S1L", "S1R")
    assert half.tolist() == [0, 1, -1, -1, -1, -1]
