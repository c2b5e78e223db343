"""Clusters above a threshold against a labelling by SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.kernels.clusters import clusters


@pytest.fixture
def grid():
    """A box of voxels that touch by faces."""
    shape = (7, 6, 5)
    return shape, volume_neighbours(np.argwhere(np.ones(shape)), 6)


def test_extent_and_mass_are_those_of_labelled_clusters(rng, grid):
    shape, touching = grid
    maps, sizes = rng.normal(size=(6, 210)), rng.uniform(1, 2, size=210)
    extent, mass = clusters(maps, 0.3, touching.indptr, touching.indices, sizes)
    for values, extents, masses in zip(maps, extent, mass, strict=True):
        label, n_clusters = ndimage.label(values.reshape(shape) >= 0.3)
        assert n_clusters > 3
        label = label.ravel()
        inside = label > 0
        # sums in another order
        np.testing.assert_allclose(extents[inside], np.bincount(label, sizes)[label][inside], rtol=1e-13)
        np.testing.assert_allclose(masses[inside], np.bincount(label, values)[label][inside], rtol=1e-13)
        np.testing.assert_array_equal(extents[~inside], 0)
        np.testing.assert_array_equal(masses[~inside], 0)


def test_a_value_at_the_threshold_is_inside(grid):
    _, touching = grid
    maps = np.full((1, 210), 2.3)
    extent, mass = clusters(maps, 2.3, touching.indptr, touching.indices, touching.sizes)
    np.testing.assert_array_equal(extent, np.full((1, 210), 210.0))
    np.testing.assert_allclose(mass, 210 * 2.3, rtol=1e-13)  # 210 roundings
    assert not clusters(maps, np.nextafter(2.3, 3), touching.indptr, touching.indices, touching.sizes)[0].any()


def test_a_long_winding_cluster_is_one(rng):
    n = 5000  # a path through shuffled places: every union is of distant elements
    path = rng.permutation(n)
    after = np.argsort(path)
    ends = [sorted(path[k] for k in (place - 1, place + 1) if 0 <= k < n) for place in after]
    indptr = np.cumsum([0, *map(len, ends)]).astype(np.int32)
    extent, _ = clusters(np.ones((1, n)), 1.0, indptr, np.concatenate(ends).astype(np.int32), np.ones(n))
    np.testing.assert_array_equal(extent, np.full((1, n), float(n)))


@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (1, 1)])
def test_few_maps_or_elements(shape):
    indptr, nobody = np.zeros(shape[1] + 1, np.int32), np.zeros(0, np.int32)
    extent, mass = clusters(np.full(shape, 3.0), 2.0, indptr, nobody, np.ones(shape[1]))
    np.testing.assert_array_equal(extent, np.ones(shape))
    np.testing.assert_array_equal(mass, np.full(shape, 3.0))
