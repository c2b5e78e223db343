"""Pieces of a graph, and the smallest connected neighbourhood graph against SciPy's and a bisection."""

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.csgraph import connected_components

from thalgpu.engine.gradients.graph import count_pieces, epsilon_graph
from thalgpu.errors import NumericsError


@pytest.mark.parametrize("density", [0.001, 0.005, 0.01, 0.03, 1.0])
def test_pieces_equal_scipys(rng, density):
    links = np.triu(rng.random((200, 200)) < density)
    weights = (links + links.T).astype(float)
    assert count_pieces(weights) == connected_components(weights, directed=False)[0]


def test_a_chain_is_one_piece():
    assert count_pieces(np.eye(500, k=1) + np.eye(500, k=-1)) == 1


def test_negative_weights_are_no_edges():
    assert count_pieces(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 2


def test_epsilon_is_the_smallest_that_connects(rng):
    similarity = np.corrcoef(rng.standard_normal((40, 30)))
    weights, epsilon = epsilon_graph(similarity)

    distances = ((similarity[:, None] - similarity) ** 2).sum(-1)
    off_diagonal = ~np.eye(40, dtype=bool)
    candidates = np.unique(distances[off_diagonal])
    pieces = [connected_components(distances <= one, directed=False)[0] for one in candidates]
    smallest = candidates[np.argmax(np.array(pieces) == 1)]
    assert epsilon == pytest.approx(smallest, rel=1e-12)
    # pairs at ε itself may fall on either side of it by rounding; the tree's own edge must be kept
    clearly = np.abs(distances - smallest) > 1e-9
    np.testing.assert_array_equal((weights != 0)[clearly], (distances <= smallest)[clearly])
    assert count_pieces(np.abs(weights)) == 1


def test_kept_similarities_are_unchanged_and_symmetric(rng):
    similarity = np.abs(np.corrcoef(rng.standard_normal((60, 30)))).astype(np.float32)
    weights, _ = epsilon_graph(similarity)
    assert weights.dtype == np.float32
    assert (weights == weights.T).all()
    assert ((weights == 0) | (weights == similarity)).all()


def test_equal_rows_are_neighbours_at_distance_zero():
    similarity = scipy.linalg.block_diag(np.ones((3, 3)), np.ones((2, 2)))
    weights, epsilon = epsilon_graph(similarity)
    assert epsilon == pytest.approx(5)
    np.testing.assert_array_equal(weights, similarity)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize("similarity", [np.ones((1, 1)), np.ones((3, 2)), np.full((3, 3), np.nan)])
def test_similarities_without_a_graph_are_refused(similarity):
    with pytest.raises(NumericsError):
        epsilon_graph(similarity)
