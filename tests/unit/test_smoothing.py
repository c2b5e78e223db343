"""Smoothing stays inside the region."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from thalgpu.engine.inputs.smoothing import smooth


@pytest.fixture
def ijk() -> np.ndarray:
    return np.argwhere(np.ones((9, 9, 9), bool))


def test_weights_are_gaussian_in_millimetres(ijk, rng):
    xyz, values = ijk * 2.0, rng.normal(size=(3, len(ijk))).astype("f4")
    sigma = 4 / 2.3548200450309493
    squared = ((xyz[:, None] - xyz[None]) ** 2).sum(axis=2)
    weights = np.where(squared <= (4 * sigma) ** 2, np.exp(-squared / (2 * sigma**2)), 0)
    oracle = values @ (weights / weights.sum(axis=1, keepdims=True)).T
    np.testing.assert_allclose(smooth(values, xyz, 4.0), oracle, atol=1e-6)  # float32 output of order 1


def test_a_constant_stays_constant_to_the_border(ijk):
    np.testing.assert_allclose(smooth(np.full((2, len(ijk)), 7, "f4"), ijk * 2.0, 6.0), 7, rtol=1e-6)


def test_inside_a_large_region_it_is_the_ordinary_gaussian(rng):
    volume = rng.normal(size=(21, 21, 21)).astype("f4")
    xyz = np.argwhere(np.ones(volume.shape, bool)) * 2.0
    found = smooth(volume.reshape(1, -1), xyz, 4.0).reshape(volume.shape)
    ordinary = gaussian_filter(volume, 4.0 / 2.3548200450309493 / 2.0, truncate=4)
    # a ball of 4 SD against a cube of 4 SD: weights below 3e-4 of the largest differ
    np.testing.assert_allclose(found[10, 10, 10], ordinary[10, 10, 10], atol=2e-3)


def test_a_far_voxel_takes_no_part(rng):
    xyz = np.array([[0, 0, 0], [2, 0, 0], [500, 0, 0]], float)
    values = rng.normal(size=(4, 3)).astype("f4")
    np.testing.assert_array_equal(smooth(values, xyz, 4.0)[:, 2], values[:, 2])


def test_many_voxels_and_volumes_go_through_in_blocks(rng):
    xyz = np.argwhere(np.ones((5000, 1, 1), bool)) * 2.0
    values = rng.normal(size=(70, 5000)).astype("f4")
    whole = smooth(values, xyz, 5.0)
    np.testing.assert_allclose(
        smooth(values[66:, 4000:4300], xyz[4000:4300], 5.0)[:, 50:250], whole[66:, 4050:4250], atol=1e-6
    )
