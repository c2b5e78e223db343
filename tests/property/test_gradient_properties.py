"""What must not change a gradient, and what must be undone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.gradients.alignment import procrustes
from thalgpu.engine.gradients.embedding import embed
from thalgpu.engine.gradients.graph import epsilon_graph

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=10, deadline=None)
approaches = pytest.mark.parametrize("approach", ["dm", "le", "pca"])


def affinity_of(seed: int, n: int) -> np.ndarray:
    """Voxels on a curve: eigenvalues far apart, so that each component is determined."""
    rng = np.random.default_rng(seed)
    position = np.linspace(0, 1, n) + rng.uniform(-0.2, 0.2, n) / n
    return np.exp(-((position[:, None] - position) ** 2) / 0.05)


@approaches
@pytest.mark.parametrize("n", [40, 400])  # both solvers
@quick
@given(seed=seeds)
def test_permuted_voxels_have_permuted_gradients(approach, n, seed):
    affinity = affinity_of(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    plain = embed(affinity, approach=approach, n_components=3)
    permuted = embed(affinity[np.ix_(order, order)], approach=approach, n_components=3)
    size = np.abs(plain.gradients).max()
    # two elements of nearly the same magnitude may swap the sign rule's choice; residuals are 1e-10
    np.testing.assert_allclose(np.abs(permuted.gradients), np.abs(plain.gradients[order]), atol=1e-8 * size)
    np.testing.assert_allclose(permuted.lambdas, plain.lambdas, rtol=1e-9)


@approaches
@quick
@given(seed=seeds, scale=st.floats(1e-6, 1e6))
def test_scale_of_the_affinity_changes_only_the_size_of_its_principal_components(approach, seed, scale):
    affinity = affinity_of(seed, 40)
    plain = embed(affinity, approach=approach, n_components=3)
    scaled = embed(scale * affinity, approach=approach, n_components=3)
    factor = {"dm": 1, "le": scale**-0.5, "pca": scale}[approach]
    size = np.abs(plain.gradients).max()
    np.testing.assert_allclose(np.abs(scaled.gradients) / factor, np.abs(plain.gradients), atol=1e-9 * size)
    np.testing.assert_allclose(scaled.explained, plain.explained, rtol=1e-9)


@quick
@given(seed=seeds, n_components=st.integers(1, 8))
def test_rotated_gradients_are_brought_back(seed, n_components):
    rng = np.random.default_rng(seed)
    gradients = rng.standard_normal((50, n_components))
    rotation = np.linalg.qr(rng.standard_normal((n_components, n_components)))[0]
    result = procrustes(gradients @ rotation, gradients)
    np.testing.assert_allclose(result.aligned, gradients, atol=1e-10)
    np.testing.assert_allclose(result.rotation, rotation.T, atol=1e-10)


@quick
@given(seed=seeds, n_align=st.integers(1, 6))
def test_alignment_changes_no_distance_between_voxels(seed, n_align):
    rng = np.random.default_rng(seed)
    source, target = rng.standard_normal((2, 30, 6))
    aligned = procrustes(source, target, n_align=n_align).aligned
    np.testing.assert_allclose(aligned @ aligned.T, source @ source.T, atol=1e-10)


@quick
@given(seed=seeds)
def test_alignment_never_moves_away_from_the_target(seed):
    source, target = np.random.default_rng(seed).standard_normal((2, 30, 4))
    aligned = procrustes(source, target).aligned
    assert np.linalg.norm(aligned - target) <= np.linalg.norm(source - target) + 1e-12


@quick
@given(seed=seeds)
def test_epsilon_graph_follows_permuted_voxels(seed):
    affinity = affinity_of(seed, 40)
    order = np.random.default_rng(seed).permutation(40)
    weights, epsilon = epsilon_graph(affinity)
    permuted, other = epsilon_graph(affinity[np.ix_(order, order)])
    assert other == pytest.approx(epsilon, rel=1e-9)
    # at most the one edge at ε itself may be lost or gained by rounding
    assert (permuted != weights[np.ix_(order, order)]).sum() <= 2
