"""TFCE beside nilearn's own loop over thresholds and the `tfce` package's own max-tree."""

import numpy as np
import pytest
from scipy import ndimage

from thalgpu.engine.inference.adjacency import mesh_neighbours, volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.spatial import enhance

SHAPE = (12, 14, 10)
STRUCTURES = {6: 1, 18: 2, 26: 3}


@pytest.fixture
def volumes(rng):
    """Three smooth volumes, zero outside a mask, and the mask."""
    noise = ndimage.gaussian_filter(rng.normal(size=(3, *SHAPE)), (0, 1, 1, 1))
    mask = np.linalg.norm((np.indices(SHAPE).T - np.array(SHAPE) / 2 + 0.5) / 5, axis=-1).T < 1
    return 2 * noise / noise.std() * mask, mask


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("two_sided", [False, True])
def test_nilearn_grid_is_nilearns(volumes, connectivity, two_sided):
    peer = pytest.importorskip("nilearn.mass_univariate._utils", reason="nilearn is not installed")
    values, mask = volumes
    structure = ndimage.generate_binary_structure(3, STRUCTURES[connectivity])
    expected = peer.calculate_tfce(values.transpose(1, 2, 3, 0), structure, two_sided_test=two_sided)
    options = InferenceOptions(tfce_grid="nilearn", two_sided=two_sided)
    found = enhance(values[:, mask], volume_neighbours(np.argwhere(mask), connectivity), options)
    # a hundred numbers added in another order
    np.testing.assert_allclose(found, expected[mask].T, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("two_sided", [False, True])
def test_exact_is_the_tfce_packages_in_volumes(volumes, connectivity, two_sided):
    peer = pytest.importorskip("tfce", reason="tfce is not installed")
    values, mask = volumes
    expected = peer.tfce(values.transpose(1, 2, 3, 0), connectivity=connectivity, two_sided=two_sided)
    touching = volume_neighbours(np.argwhere(mask), connectivity)
    found = enhance(values[:, mask], touching, InferenceOptions(two_sided=two_sided))
    # the package sorts and adds in single precision
    np.testing.assert_allclose(found, expected[mask].T, rtol=1e-5, atol=1e-5)


def test_exact_is_the_tfce_packages_on_a_mesh(rng):
    peer = pytest.importorskip("tfce", reason="tfce is not installed")
    n = 12  # a torus of n × n vertices
    corner = np.arange(n * n).reshape(n, n)
    right, down = np.roll(corner, -1, axis=1), np.roll(corner, -1, axis=0)
    across = np.roll(right, -1, axis=0)
    faces = np.concatenate([np.stack([corner, right, down], -1), np.stack([right, across, down], -1)]).reshape(-1, 3)
    values = rng.normal(size=(5, n * n))
    touching = mesh_neighbours(faces, n * n)
    expected = peer.tfce(values.T, adjacency=(touching.indptr, touching.indices), E=1.0, H=2.0)
    found = enhance(values, touching, InferenceOptions(two_sided=True))
    np.testing.assert_allclose(found, expected.T, rtol=1e-5, atol=1e-5)
