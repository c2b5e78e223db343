"""Graphs between voxels: how many pieces they fall into, and congrads' smallest connected one."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array, get_namespace, to_host

_ROWS = 64
"""Rows looked at together: a dense graph is found connected after a few of them."""


def count_pieces(weights: Array) -> int:
    """Count the connected components of a symmetric (n, n) weight matrix; entries above zero are edges."""
    namespace = get_namespace(weights)
    unseen = namespace.ones(weights.shape[0], dtype=bool)
    pieces = 0
    while bool(unseen.any()):
        pieces += 1
        frontier = namespace.argmax(unseen)[None]
        unseen[frontier] = False
        while frontier.size and bool(unseen.any()):
            rows, frontier = frontier[:_ROWS], frontier[_ROWS:]
            reached = (weights[rows] > 0).any(axis=0) & unseen
            unseen &= ~reached
            frontier = namespace.concatenate([frontier, namespace.flatnonzero(reached)])
    return pieces


def epsilon_graph(similarity: Array) -> tuple[Array, float]:
    """Keep the similarities of the smallest connected neighbourhood graph, as congrads does.

    Two voxels are neighbours when the squared Euclidean distance between their rows of the similarity matrix is at
    most ε, the smallest value that leaves the graph connected.

    Parameters
    ----------
    similarity : (n, n) float
        Symmetric, n >= 2, finite. Not modified.

    Returns
    -------
    weights : (n, n), dtype of `similarity`
        The similarity where two voxels are neighbours (and on the diagonal), zero elsewhere.
    epsilon : float
        The squared distance of the longest edge kept.

    Raises
    ------
    NumericsError
        Fewer than two voxels, or values that are not finite.

    Notes
    -----
    Haak et al. 2018, doi:10.1016/j.neuroimage.2017.06.075. Differs from congrads in: ε is the longest edge of the
    minimum spanning tree, found in one pass, where congrads bisects with a connectivity check a step and stops up
    to 1e-4 above it.
    """
    similarity = as_floats("similarity", similarity)
    namespace = get_namespace(similarity)
    if similarity.shape[0] != similarity.shape[1] or similarity.shape[0] < 2:
        raise NumericsError(f"an epsilon graph needs a square matrix of 2 or more voxels, not {similarity.shape}")
    if not bool(namespace.isfinite(similarity).all()):
        raise NumericsError("the similarity matrix has entries that are not finite")
    distances = _squared_distances(similarity)
    epsilon = _longest_tree_edge(to_host(distances))
    return namespace.where(distances <= epsilon, similarity, similarity.dtype.type(0)), epsilon


def _squared_distances(rows: Array) -> Array:
    """(n, n) float64 squared Euclidean distances between rows; exactly symmetric, zero on the diagonal."""
    namespace = get_namespace(rows)
    rows = rows.astype(namespace.float64)
    distances = rows @ rows.T
    squares = namespace.diagonal(distances).copy()
    distances *= -2.0
    distances += squares[:, None]
    distances += squares
    symmetric: Array = namespace.minimum(distances, distances.T)
    symmetric[symmetric < 0] = 0.0  # rounding, between rows that are equal
    return symmetric


def _longest_tree_edge(distances: NDArray[np.float64]) -> float:
    """The longest edge of the minimum spanning tree, by Prim's algorithm: zero distances are edges, too."""
    to_tree = distances[0].copy()
    to_tree[0] = np.inf
    longest = 0.0
    for _ in range(len(distances) - 1):
        nearest = int(to_tree.argmin())
        longest = max(longest, float(to_tree[nearest]))
        outside = np.isfinite(to_tree)
        np.minimum(to_tree, distances[nearest], out=to_tree, where=outside)
        to_tree[nearest] = np.inf
    return longest
