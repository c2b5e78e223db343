"""Clusters of elements above a threshold: how large each is, and how much it weighs."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._cuda import int32, launch, shared_limit
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_LABELS = 2
"""Of an element, in shared memory if it has room for them."""
_WORK_BYTES = 2**28
"""Memory for the maps that are worked on at once, if it has not."""
_THREADS = 256


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
    Sums run over the elements in ascending order. The mass is the sum of the values themselves, as in PALM, and not of
    what they exceed the threshold by.
    """
    if is_device(maps):
        return _on_device(maps, threshold, indptr, indices, sizes)
    return _on_host(maps, threshold, indptr, indices, sizes)


def _on_device(maps: Array, threshold: float, indptr: Array, indices: Array, sizes: Array) -> tuple[Array, Array]:
    """One block a map: in shared memory if it has room, otherwise some of them at a time."""
    xp = get_namespace(maps, indptr, indices, sizes)
    maps = xp.ascontiguousarray(maps)
    extent, mass = xp.empty_like(maps), xp.empty_like(maps)
    n_maps, n_elements = maps.shape
    label_bytes = np.dtype(np.int32).itemsize * _LABELS * n_elements
    is_in_shared = label_bytes <= shared_limit(xp)
    at_once = n_maps if is_in_shared else min(n_maps, max(1, _WORK_BYTES // label_bytes))
    work = xp.empty(0 if is_in_shared else at_once * _LABELS * n_elements, dtype=np.int32)
    scalars = (np.float64(threshold), *int32(n_elements), np.bool_(is_in_shared))
    for start in range(0, n_maps, max(1, at_once)):
        part = slice(start, start + at_once)
        launch(
            "clusters",
            "clusters_f64",
            grid=len(maps[part]),
            block=min(_THREADS, 32 * max(1, -(-n_elements // 32))),
            args=(maps[part], indptr, indices, sizes, extent[part], mass[part], work, *scalars),
            shared_bytes=label_bytes if is_in_shared else 0,
        )
    return extent, mass


def _on_host(maps: Array, threshold: float, indptr: Array, indices: Array, sizes: Array) -> tuple[Array, Array]:
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
