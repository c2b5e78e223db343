"""Enhancement and clusters of device arrays: the host's answers, on the device."""

import numpy as np
import pytest

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.spatial import cluster_maps, enhance
from thalgpu.kernels._namespace import is_device, to_host

TOUCHING = volume_neighbours(np.argwhere(np.ones((5, 4, 3))), 18)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(
    ("grid", "height_power"), [("exact", 2), ("exact", 1.5), ("palm", 2), ("nilearn", 2), ("randomise", 2)]
)
def test_enhancement(emulated, rng, grid, height_power, two_sided):
    maps = rng.normal(size=(4, 60))
    options = InferenceOptions(tfce_grid=grid, tfce_h=float(height_power), two_sided=two_sided)
    found = enhance(emulated.asarray(maps), TOUCHING, options, reference_maximum=2.0)
    assert is_device(found)
    expected = enhance(maps, TOUCHING, options, reference_maximum=2.0)
    np.testing.assert_allclose(to_host(found), expected, rtol=1e-12, atol=1e-14)  # sums in another order


@pytest.mark.parametrize("two_sided", [False, True])
def test_clusters(emulated, rng, two_sided):
    maps = rng.normal(size=(4, 60))
    options = InferenceOptions(cluster_threshold=0.5, two_sided=two_sided)
    on_device = cluster_maps(emulated.asarray(maps), TOUCHING, options)
    for found, expected in zip(on_device, cluster_maps(maps, TOUCHING, options), strict=True):
        assert is_device(found)
        np.testing.assert_allclose(to_host(found), expected, rtol=1e-14)
