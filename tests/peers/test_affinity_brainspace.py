"""BrainSpace 0.3.0 as oracle for `compute_affinity`."""

import numpy as np
import pytest

from thalgpu.engine.gradients.affinity import affinity_from_timeseries, compute_affinity
from thalgpu.engine.gradients.connectivity import connectivity

KERNELS = ("normalized_angle", "cosine", "pearson", "spearman", "gaussian")


@pytest.fixture(scope="module")
def brainspace_affinity():
    pytest.importorskip("brainspace", reason="the peer is optional: pip install thalgpu[validate]")
    from brainspace.gradient.kernels import compute_affinity as peer

    return peer


def expect_equal(affinity, expected, kernel, tolerance):
    """BrainSpace's own diagonal of normalized_angle is acos(1 - ε)/π short of 1, so that it is left out there."""
    if kernel == "normalized_angle":
        np.testing.assert_allclose(np.diag(expected), 1, atol=1e-7)
        expected = expected.copy()
        np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(affinity, expected, atol=tolerance)


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_equals_brainspace(brainspace_affinity, rng, kernel, sparsity, non_negative):
    z = rng.standard_normal((40, 6)) @ rng.standard_normal((6, 130)) + rng.standard_normal((40, 130))
    expected = brainspace_affinity(z.copy(), kernel=kernel, sparsity=sparsity, non_negative=non_negative)
    affinity = compute_affinity(z, kernel=kernel, sparsity=sparsity, non_negative=non_negative)
    expect_equal(affinity, expected, kernel, 1e-12)


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_timeseries_to_affinity_equals_brainspace_on_the_formed_matrix(brainspace_affinity, rng, kernel, sparsity):
    seed, target = rng.standard_normal((50, 30)) + 1e3, rng.standard_normal((50, 400)) * 1e-3
    expected = brainspace_affinity(connectivity(seed, target), kernel=kernel, sparsity=sparsity)
    # 1e-10: an offset of 1e3 costs the series three of their sixteen digits.
    expect_equal(affinity_from_timeseries(seed, target, kernel=kernel, sparsity=sparsity), expected, kernel, 1e-10)


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_real_thalamic_connectivity_gives_brainspaces_affinity(brainspace_affinity, shared_data, kernel, sparsity):
    z = np.load(shared_data / "thalamus_fc" / "fc_l.npy").astype(float)
    expected = brainspace_affinity(z.copy(), kernel=kernel, sparsity=sparsity)
    affinity = compute_affinity(z, kernel=kernel, sparsity=sparsity)
    # Real rows are nearly parallel in places, where acos turns 1e-15 into 1e-8.
    expect_equal(affinity, expected, kernel, 1e-7 if kernel == "normalized_angle" else 1e-12)
