"""Clusters of elements above a threshold: how large each is, and how much it weighs."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._namespace import Array


def clusters(maps: Array, threshold: float, indptr: Array, indices: Array, sizes: Array, /) -> tuple[Array, Array]:
    """Extent and mass of the cluster that each element lies in.

    A cluster is a connected component of the elements that are >= `threshold`.

    Parameters
    ----------
    maps : (n_maps, n_elements) float64
        Finite.
    threshold : float
    indptr : (n_elements + 1,) int32
    indices : (n_edges,) int32
        The neighbours of element v are `indices[indptr[v]:indptr[v + 1]]`; symmetric.
    sizes : (n_elements,) float64
        What each element adds to the extent of its cluster.

    Returns
    -------
    extent : (n_maps, n_elements) float64
        Sum of the sizes of the cluster's elements, the same for all of them; 0 outside clusters.
    mass : (n_maps, n_elements) float64
        Sum of the map over the cluster's elements; likewise.

    Notes
    -----
    Sums run over the elements in ascending order. The mass is the sum of the values themselves, as in PALM, not of what
    exceeds the threshold, as in FSL's early papers.
    """
    extent, mass = np.zeros_like(maps), np.zeros_like(maps)
    _measure(maps, float(threshold), indptr, indices, sizes, extent, mass)
    return extent, mass


@compiled
def _measure(
    maps: NDArray[np.float64],
    threshold: float,
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    sizes: NDArray[np.float64],
    extent: NDArray[np.float64],
    mass: NDArray[np.float64],
) -> None:
    """Union-find in which the first element of a cluster stands for it, and holds its sums."""
    n_elements = maps.shape[1]
    first = np.empty(n_elements, np.int32)
    for row in range(maps.shape[0]):
        values, extents, masses = maps[row], extent[row], mass[row]
        for element in range(n_elements):
            if not values[element] >= threshold:
                continue
            first[element] = element
            for edge in range(indptr[element], indptr[element + 1]):
                neighbour = indices[edge]
                if neighbour >= element:
                    break  # it comes later, and looks back; neighbours ascend
                if values[neighbour] >= threshold:
                    one, other = _find(first, element), _find(first, neighbour)
                    first[max(one, other)] = min(one, other)
        for element in range(n_elements):
            if values[element] >= threshold:
                head = _find(first, element)
                extents[head] += sizes[element]
                masses[head] += values[element]
        for element in range(n_elements):
            if values[element] >= threshold:
                head = _find(first, element)
                extents[element], masses[element] = extents[head], masses[head]


@compiled
def _find(first: NDArray[np.int32], element: int) -> int:
    """First element of a cluster, from any of its elements; every other step of the way there is cut short."""
    while first[element] != element:
        first[element] = first[first[element]]
        element = first[element]
    return element
