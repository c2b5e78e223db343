"""The max-tree kernel against its definition: label the clusters at every distinct height, and add them up."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from thalgpu.kernels.tfce import tfce


def enhanced_by_definition(maps, integrals, graph, sizes, extent_power):
    """One labelling a distinct height, from the lowest up."""
    out = np.zeros_like(maps)
    for values, integral, total in zip(maps, integrals, out, strict=True):
        below = 0.0
        for height in np.unique(values[values > 0]):
            members = np.flatnonzero(values >= height)
            _, label = connected_components(graph[members][:, members], directed=False)
            extent = np.bincount(label, weights=sizes[members])
            worth = integral[values == height][0]
            total[members] += extent[label] ** extent_power * (worth - below)
            below = worth
    return out


def random_graph(rng, n, n_edges):
    """A symmetric graph without self-loops, and its sorted rows."""
    ends = rng.integers(n, size=(n_edges, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    both = np.concatenate([ends, ends[:, ::-1]])
    graph = csr_array((np.ones(len(both)), both.T), shape=(n, n))
    graph.sum_duplicates()
    graph.sort_indices()
    return graph, graph.indptr.astype(np.int32), graph.indices.astype(np.int32)


def assert_as_defined(maps, integrals, graph, indptr, indices, sizes, extent_power):
    found = tfce(maps, integrals, indptr, indices, sizes, extent_power)
    expected = enhanced_by_definition(maps, integrals, graph, sizes, extent_power)
    # both add some hundred numbers in float64, in different orders
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("n_edges", [20, 120, 900])
@pytest.mark.parametrize("extent_power", [0.5, 1.0, 0.7, 0.0])
def test_enhanced_as_defined(rng, n_edges, extent_power):
    graph, indptr, indices = random_graph(rng, 101, n_edges)
    maps = rng.normal(size=(5, 101))
    assert_as_defined(maps, maps**3 / 3, graph, indptr, indices, np.ones(101), extent_power)


def test_equal_values_are_one_level(rng):
    graph, indptr, indices = random_graph(rng, 150, 250)
    maps = rng.integers(-3, 4, size=(8, 150)).astype(np.float64)
    assert_as_defined(maps, maps**3 / 3, graph, indptr, indices, np.ones(150), 0.5)


def test_sizes_are_what_extents_add_up(rng):
    graph, indptr, indices = random_graph(rng, 120, 200)
    maps = rng.normal(size=(4, 120))
    assert_as_defined(maps, maps**3 / 3, graph, indptr, indices, rng.uniform(0, 3, size=120), 1.0)


def test_an_integral_with_steps_counts_the_steps(rng):
    graph, indptr, indices = random_graph(rng, 120, 200)
    maps = rng.normal(size=(4, 120))
    assert_as_defined(maps, np.floor(4 * np.maximum(maps, 0)), graph, indptr, indices, np.ones(120), 0.5)


def test_heights_of_every_magnitude_are_sorted(rng):
    graph, indptr, indices = random_graph(rng, 200, 300)
    maps = 10.0 ** rng.uniform(-320, 300, size=(4, 200)) * rng.choice([-1, 1], size=(4, 200))
    assert np.any((maps > 0) & (maps < np.finfo(float).tiny))  # subnormal numbers are among them
    assert_as_defined(maps, maps, graph, indptr, indices, np.ones(200), 0.5)


@pytest.mark.parametrize("n_close", [2, 30, 400])
def test_values_that_hardly_differ_are_sorted_be_they_few_or_many(rng, n_close):
    graph, indptr, indices = random_graph(rng, 500, 800)
    maps = rng.uniform(1, 2, size=(3, 500))
    maps[:, :n_close] = 1 + rng.integers(1, 300, size=(3, n_close)) * np.finfo(float).eps
    ranks = np.stack([np.unique(values, return_inverse=True)[1] + 1.0 for values in maps])  # a step between neighbours
    assert_as_defined(maps, ranks, graph, indptr, indices, np.ones(500), 0.5)


def test_two_peaks_by_hand():
    # heights 3 1 2 in a row: from 0 to 1 all three, from 1 up each peak alone
    indptr, indices = np.array([0, 1, 3, 4], np.int32), np.array([1, 0, 2, 1], np.int32)
    heights = np.array([[3.0, 1.0, 2.0]])
    found = tfce(heights, heights, indptr, indices, np.ones(3), 1.0)
    np.testing.assert_array_equal(found, [[3 + 2, 3, 3 + 1]])


def test_nothing_positive_gives_zeros(rng):
    _, indptr, indices = random_graph(rng, 30, 60)
    maps = -np.abs(rng.normal(size=(3, 30)))
    maps[1], maps[2] = 0.0, -0.0
    np.testing.assert_array_equal(tfce(maps, maps, indptr, indices, np.ones(30), 0.5), np.zeros((3, 30)))


def test_elements_without_neighbours_are_clusters_of_their_own(rng):
    maps = rng.normal(size=(2, 9))
    found = tfce(maps, maps, np.zeros(10, np.int32), np.zeros(0, np.int32), np.full(9, 4.0), 0.5)
    np.testing.assert_array_equal(found, 2 * np.maximum(maps, 0))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0), (1, 1)])
def test_few_maps_or_elements(shape):
    indptr = np.zeros(shape[1] + 1, np.int32)
    found = tfce(np.ones(shape), np.ones(shape), indptr, np.zeros(0, np.int32), np.ones(shape[1]), 0.5)
    np.testing.assert_array_equal(found, np.ones(shape))


def test_any_layout_gives_the_same_bits_and_stays_as_it_was(rng):
    _, indptr, indices = random_graph(rng, 80, 200)
    maps = rng.normal(size=(4, 80))
    for laid_out in (np.asfortranarray(maps), np.repeat(maps, 2, axis=1)[:, ::2]):
        before = laid_out.copy()
        found = tfce(laid_out, laid_out**3, indptr, indices, np.ones(80), 0.5)
        np.testing.assert_array_equal(found, tfce(maps, maps**3, indptr, indices, np.ones(80), 0.5))
        np.testing.assert_array_equal(laid_out, before)
