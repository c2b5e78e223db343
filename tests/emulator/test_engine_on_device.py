"""The engine's own array code runs on device arrays, unchanged, and gives the host's answers on the device."""

import numpy as np
import pytest

from thalgpu.engine.gradients.affinity import affinity_from_timeseries, compute_affinity
from thalgpu.engine.gradients.alignment import generalised_procrustes, procrustes
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import diffusion_map, embed, laplacian_eigenmap, principal_components
from thalgpu.engine.gradients.projection import project_to_targets
from thalgpu.kernels._namespace import get_namespace, is_device, like, to_host
from thalgpu.kernels.correlation import correlation, fisher_z
from thalgpu.kernels.eigen import leading_eigenpairs
from thalgpu.kernels.ranks import average_ranks
from thalgpu.kernels.sparsify import sparsify_rows
from thalgpu.kernels.standardize import standardize

KERNELS = ("normalized_angle", "cosine", "pearson", "spearman", "gaussian", "eta2")


@pytest.fixture
def series(rng):
    """Smooth mixtures with noise: 40 time points of 60 voxels and of 90 targets, one of each constant."""
    sources = rng.normal(size=(40, 5))
    seed, target = ((sources @ rng.normal(size=(5, n)) + rng.normal(size=(40, n))).astype(np.float32) for n in (60, 90))
    seed[:, 7], target[:, 3] = 4, 0
    return seed, target


@pytest.fixture
def affinity(rng):
    points = rng.normal(size=(70, 3)) * (1, 2, 3)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    return np.exp(-(distances**2) / 4)


def on_device(x):
    """The values, from an array that must lie on the device."""
    assert is_device(x)
    return to_host(x)


def test_arrays_decide_where_they_are_worked_on(emulated):
    host = np.arange(3.0)
    device = like(host, emulated.zeros(1))
    assert get_namespace(device) is emulated
    assert is_device(device)
    assert not is_device(host)
    assert like(host, host) is host
    np.testing.assert_array_equal(to_host(device), host)
    with pytest.raises(TypeError, match="mixed"):
        get_namespace(host, device)


def test_standardize(emulated, series):
    for got, expected in zip(standardize(emulated.asarray(series[0])), standardize(series[0]), strict=True):
        np.testing.assert_allclose(on_device(got), expected, atol=1e-7)


def test_correlation_and_fisher_z(emulated, series):
    seed, target = (standardize(part)[0] for part in series)
    got = correlation(emulated.asarray(seed), emulated.asarray(target))
    np.testing.assert_allclose(on_device(got), correlation(seed, target), atol=1e-6)
    np.testing.assert_allclose(on_device(fisher_z(got)), fisher_z(correlation(seed, target)), atol=1e-5)


def test_connectivity(emulated, series):
    got = connectivity(*map(emulated.asarray, series))
    np.testing.assert_allclose(on_device(got), connectivity(*series), atol=1e-5)


def test_ranks_and_sparsity(emulated, rng):
    x = rng.integers(0, 9, (6, 40)).astype(float)
    np.testing.assert_array_equal(on_device(average_ranks(emulated.asarray(x))), average_ranks(x))
    np.testing.assert_array_equal(on_device(sparsify_rows(emulated.asarray(x), 0.8)), sparsify_rows(x, 0.8))


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("kernel", KERNELS)
def test_affinity_from_timeseries(emulated, series, kernel, sparsity):
    options = {"kernel": kernel, "sparsity": sparsity, "fisher_z": sparsity > 0}
    got = affinity_from_timeseries(*map(emulated.asarray, series), **options)
    np.testing.assert_allclose(on_device(got), affinity_from_timeseries(*series, **options), atol=5e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_affinity_of_a_connectivity_matrix(emulated, rng, kernel):
    profiles = rng.normal(size=(30, 50))
    got = compute_affinity(emulated.asarray(profiles), kernel=kernel)
    np.testing.assert_allclose(on_device(got), compute_affinity(profiles, kernel=kernel), atol=1e-7)


@pytest.mark.parametrize("n", [70, 400])
def test_leading_eigenpairs(emulated, rng, n):
    root = rng.normal(size=(n, n)) * np.linspace(0, 1, n) ** 3
    matrix = root @ root.T
    values, vectors = leading_eigenpairs(emulated.asarray(matrix), 4)
    expected = np.linalg.eigvalsh(matrix)[: -4 - 1 : -1]
    assert not is_device(values)
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    np.testing.assert_allclose(matrix @ on_device(vectors), to_host(vectors) * values, atol=1e-8 * expected[0])


@pytest.mark.parametrize("method", [diffusion_map, laplacian_eigenmap, principal_components])
def test_embeddings(emulated, affinity, method):
    got, expected = method(emulated.asarray(affinity), 4), method(affinity, 4)
    scale = np.abs(expected.gradients).max(axis=0)
    np.testing.assert_allclose(on_device(got.gradients) / scale, expected.gradients / scale, atol=1e-7)
    for name in ("lambdas", "gaps", "explained"):
        assert not is_device(getattr(got, name))
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-6)


def test_embedding_of_the_epsilon_graph(emulated, affinity):
    got = embed(emulated.asarray(affinity), approach="le", graph="epsilon", n_components=3)
    expected = embed(affinity, approach="le", graph="epsilon", n_components=3)
    np.testing.assert_allclose(on_device(got.gradients), expected.gradients, atol=1e-6)


def test_procrustes(emulated, rng):
    source, target = rng.normal(size=(2, 50, 4))
    covered = rng.random(50) < 0.9
    got = procrustes(*map(emulated.asarray, (source, target)), n_align=3, covered=emulated.asarray(covered))
    expected = procrustes(source, target, n_align=3, covered=covered)
    np.testing.assert_allclose(on_device(got.aligned), expected.aligned, atol=1e-12)
    np.testing.assert_allclose(got.rotation, expected.rotation, atol=1e-12)


def test_generalised_procrustes(emulated, rng):
    subjects = [rng.normal(size=(50, 4)) for _ in range(3)]
    got, expected = generalised_procrustes([*map(emulated.asarray, subjects)]), generalised_procrustes(subjects)
    np.testing.assert_allclose(on_device(got.reference), expected.reference, atol=1e-10)


def test_projection_to_targets(emulated, series, rng):
    gradients = rng.normal(size=(60, 2))
    got = project_to_targets(*map(emulated.asarray, (gradients, *series)))
    np.testing.assert_allclose(on_device(got), project_to_targets(gradients, *series), atol=1e-5)
