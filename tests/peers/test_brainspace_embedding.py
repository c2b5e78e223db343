"""BrainSpace as the oracle of embeddings and alignment."""

import warnings

import numpy as np
import pytest

from thalgpu.engine.gradients.alignment import generalised_procrustes, procrustes
from thalgpu.engine.gradients.embedding import diffusion_map, laplacian_eigenmap, principal_components

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # BrainSpace's own imports warn of deprecations
    pytest.importorskip("brainspace", reason="BrainSpace is not installed (extra: validate)")
    from brainspace.gradient import alignment as peer_alignment
    from brainspace.gradient import embedding as peer

pytestmark = pytest.mark.filterwarnings("ignore")


def curve_affinity(rng: np.random.Generator, n: int = 200) -> np.ndarray:
    """Eigenvalues far apart, and degrees nearly equal, where BrainSpace's solver is close to the truth."""
    angle = np.sort(rng.random(n)) * np.pi
    points = np.stack([np.cos(angle), 0.5 * np.sin(angle)], axis=1)
    return np.exp(-((points[:, None] - points) ** 2).sum(-1) / 0.5)


def blob_affinity(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    points = rng.standard_normal((n, 3)) * [3, 2, 1]
    return np.exp(-((points[:, None] - points) ** 2).sum(-1) / 8)


def real_affinity(shared_data) -> np.ndarray:
    fc = np.load(shared_data / "thalamus_fc" / "fc_l.npy").astype(np.float64)
    threshold = np.sort(fc, axis=1)[:, [-9]]
    kept = np.where(fc >= threshold, fc, 0)
    unit = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    affinity = 1 - np.arccos(np.clip(unit @ unit.T, -1, 1)) / np.pi
    return (affinity + affinity.T) / 2


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


@pytest.mark.parametrize("diffusion_time", [0, 1])
def test_diffusion_map_of_a_curve(rng, diffusion_time):
    affinity = curve_affinity(rng)
    maps, lambdas = peer.diffusion_mapping(affinity, 4, diffusion_time=diffusion_time, random_state=0)
    result = diffusion_map(affinity, 4, diffusion_time=diffusion_time)
    # BrainSpace gives a non-symmetric matrix to a symmetric solver: λ off by up to 9 %, maps by 1e-3 in r
    assert (np.abs(correlations(result.gradients, maps)) > 0.99).all()
    ours, theirs = (x / (1 + x) if diffusion_time == 0 else x for x in (result.lambdas, lambdas))
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


def test_diffusion_map_of_real_data(shared_data):
    affinity = real_affinity(shared_data)
    maps, lambdas = peer.diffusion_mapping(affinity, 5, random_state=0)
    result = diffusion_map(affinity, 5)
    # nearly equal degrees leave BrainSpace's error at 1e-4 in r, 2 % in λ
    assert (correlations(result.gradients, maps) > 0.999).all()
    np.testing.assert_allclose(result.lambdas, lambdas, rtol=0.02)


@pytest.mark.parametrize("make", [curve_affinity, blob_affinity])
def test_laplacian_eigenmap_of_random_data(rng, make):
    affinity = make(rng)
    maps, lambdas = peer.laplacian_eigenmaps(affinity, 5, random_state=0)
    result = laplacian_eigenmap(affinity, 5)
    # both are exact, up to residuals of 1e-10 over gaps of some 1e-2; BrainSpace inverts a singular matrix
    np.testing.assert_allclose(result.lambdas, lambdas, atol=1e-8)
    np.testing.assert_allclose(result.gradients, maps, atol=1e-7 * np.abs(maps).max())


def test_laplacian_eigenmap_of_real_data(shared_data):
    affinity = real_affinity(shared_data)
    maps, lambdas = peer.laplacian_eigenmaps(affinity, 5, random_state=0)
    result = laplacian_eigenmap(affinity, 5)
    np.testing.assert_allclose(result.lambdas, lambdas, atol=1e-8)
    np.testing.assert_allclose(result.gradients, maps, atol=1e-6 * np.abs(maps).max())


@pytest.mark.parametrize("make", [curve_affinity, blob_affinity])
def test_principal_components_of_random_data(rng, make):
    affinity = make(rng)
    fitted = peer.PCAMaps(5, random_state=0).fit(affinity)
    result = principal_components(affinity, 5)
    # below 500 voxels scikit-learn solves exactly; the squared matrix costs half the digits of small components
    np.testing.assert_allclose(result.lambdas, fitted.lambdas_, rtol=1e-9)
    assert (np.abs(correlations(result.gradients, fitted.maps_)) > 1 - 1e-12).all()
    np.testing.assert_allclose(np.abs(result.gradients), np.abs(fitted.maps_), atol=1e-8 * np.abs(fitted.maps_).max())


def test_principal_components_of_real_data(shared_data):
    affinity = real_affinity(shared_data)
    fitted = peer.PCAMaps(5, random_state=0).fit(affinity)
    result = principal_components(affinity, 5)
    # above 500 voxels scikit-learn's solver is randomised: some 1e-6 in λ
    np.testing.assert_allclose(result.lambdas, fitted.lambdas_, rtol=1e-4)
    assert (np.abs(correlations(result.gradients, fitted.maps_)) > 1 - 1e-6).all()


def test_procrustes(rng):
    source, target = rng.standard_normal((2, 50, 4))
    np.testing.assert_allclose(
        procrustes(source, target).aligned, peer_alignment.procrustes(source, target), atol=1e-12
    )


def test_generalised_procrustes(rng):
    truth = rng.standard_normal((80, 3)) * [3, 2, 1]
    subjects = [
        truth @ np.linalg.qr(rng.standard_normal((3, 3)))[0] + 0.3 * rng.standard_normal((80, 3)) for _ in range(5)
    ]
    _, reference = peer_alignment.procrustes_alignment(subjects, return_reference=True)
    np.testing.assert_allclose(generalised_procrustes(subjects).reference, reference, atol=1e-10)
