"""Products with weighted means that are never kept: against the means themselves."""

import numpy as np
import pytest

from thalgpu.engine.comparison import products
from thalgpu.engine.comparison.products import FEW, ROWS, times_means
from thalgpu.engine.outputs.packing import pack_upper

N, S = 2 * ROWS + 13, 7
"""Three slabs, the last one narrow."""


@pytest.fixture
def matrices(rng):
    one = rng.normal(size=(S, N, N)).astype(np.float32)
    return one + one.transpose(0, 2, 1)


@pytest.fixture
def stack(matrices):
    return np.stack([pack_upper(matrix) for matrix in matrices])


def exchanged(rng, n_pairs):
    """Groups of three of six subjects, and the others."""
    weights = np.zeros((2 * n_pairs, S))
    for pair in range(n_pairs):
        order = rng.permutation(S - 1)
        weights[2 * pair, order[:3]] = weights[2 * pair + 1, order[3:]] = 1 / 3
    return weights


@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("n_vectors", [1, 4, 11])
@pytest.mark.parametrize("kind", ["pairs", "any", "one"])
@pytest.mark.parametrize("few", [0, FEW])
def test_products_are_those_of_the_means(rng, matrices, stack, monkeypatch, few, kind, n_vectors, self_loops):
    monkeypatch.setattr(products, "FEW", few)
    weights = {"pairs": exchanged(rng, 4), "any": rng.normal(size=(5, S)), "one": rng.normal(size=(1, S))}[kind]
    vectors = rng.normal(size=(len(weights), N, n_vectors))
    kept = matrices if self_loops else matrices * (1 - np.eye(N, dtype=np.float32))
    expected = np.einsum("bs,snm,bmk->bnk", weights, kept, vectors, optimize=True)
    found = times_means(stack, weights, vectors, self_loops=self_loops)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    single = times_means(stack, weights, vectors.astype(np.float32), self_loops=self_loops)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_memory_map_gives_the_same_bits(rng, stack, tmp_path):
    np.save(tmp_path / "stack.npy", stack)
    weights, vectors = exchanged(rng, 3), rng.normal(size=(6, N, 3)).astype(np.float32)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        times_means(mapped, weights, vectors, self_loops=True), times_means(stack, weights, vectors, self_loops=True)
    )
