"""Threshold-free cluster enhancement: the clusters of each map at every height, from its max-tree."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._cuda import int32, launch, shared_limit
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_SHARED_BYTES = 16
"""Shared memory that an element takes: a number, and four places below 2^15."""
_MOST_IN_SHARED = 2**15 - 1
_WORK_NUMBERS = 3
"""Memory that an element takes where shared memory has no room: a number, and four places in that of two."""
_WORK_BYTES = 2**28
"""Memory for the maps that are worked on at once, in that case."""
_THREADS = 256

_FEW = 64
"""Values that are put in order one by one, beside a 64th of all."""

Places: TypeAlias = NDArray[np.uint32]
"""Not signed, since Numba asks of every signed index whether it counts from the end."""


def tfce(maps: Array, integrals: Array, indptr: Array, indices: Array, sizes: Array, extent_power: float, /) -> Array:
    """Enhance the positive part of each map by how large its clusters are at every height.

    An element gets the integral of size(C(h))^E dF(h) over the heights h from 0 to its own value, where C(h) is the
    cluster of elements >= h around it. That cluster is born at the value of its lowest element and stays the same down
    to the height at which it becomes part of a larger one, so the integral is a sum over the clusters around the
    element, each giving size^E · (F(birth) − F(death)).

    Parameters
    ----------
    maps : (n_maps, n_elements) float64
        Finite.
    integrals : (n_maps, n_elements) float64
        F of each value: F(0) = 0, not falling where values rise, the same for the same value. Not read where the map is
        not positive.
    indptr : (n_elements + 1,) int32
    indices : (n_edges,) int32
        The neighbours of element v are `indices[indptr[v]:indptr[v + 1]]`; symmetric.
    sizes : (n_elements,) float64
        What each element adds to the size of its cluster.
    extent_power : float
        E.

    Returns
    -------
    enhanced : (n_maps, n_elements) float64
        Not negative; 0 where the map is not positive.

    Notes
    -----
    TFCE: https://doi.org/10.1016/j.neuroimage.2008.03.061. F(h) = h^(H+1)/(H+1) gives its integral exactly; F(h) = the
    sum of weights of a program's thresholds up to h gives that program's sum.
    """
    if is_device(maps):
        return _on_device(maps, integrals, indptr, indices, sizes, extent_power)
    return _on_host(maps, integrals, indptr, indices, sizes, extent_power)


def _on_device(
    maps: Array, integrals: Array, indptr: Array, indices: Array, sizes: Array, extent_power: float
) -> Array:
    """One block a map: in shared memory if it has room, otherwise some of them at a time."""
    xp = get_namespace(maps, integrals, indptr, indices, sizes)
    maps, integrals = xp.ascontiguousarray(maps), xp.ascontiguousarray(integrals)
    enhanced: Array = xp.empty_like(maps)
    n_maps, n_elements = maps.shape
    shared_bytes = maps.itemsize + _SHARED_BYTES * n_elements  # how many are positive, and the tree
    is_in_shared = n_elements <= _MOST_IN_SHARED and shared_bytes <= shared_limit(xp)
    work_bytes = 0 if is_in_shared else maps.itemsize * _WORK_NUMBERS * n_elements
    at_once = min(n_maps, max(1, _WORK_BYTES // work_bytes)) if work_bytes else n_maps
    work = xp.empty(at_once * work_bytes // maps.itemsize)
    scalars = (*int32(n_elements), np.float64(extent_power), np.bool_(is_in_shared))
    for start in range(0, n_maps, max(1, at_once)):
        part = slice(start, start + at_once)
        launch(
            "tfce",
            "tfce_f64",
            grid=len(maps[part]),
            block=min(_THREADS, 32 * max(1, -(-n_elements // 32))),
            args=(maps[part], integrals[part], indptr, indices, sizes, enhanced[part], work, *scalars),
            shared_bytes=shared_bytes if is_in_shared else maps.itemsize,
        )
    return enhanced


def _on_host(maps: Array, integrals: Array, indptr: Array, indices: Array, sizes: Array, extent_power: float) -> Array:
    maps, integrals = np.ascontiguousarray(maps), np.ascontiguousarray(integrals)
    edges, neighbours = np.ascontiguousarray(indptr).view(np.uint32), np.ascontiguousarray(indices).view(np.uint32)
    enhanced = np.zeros_like(maps)
    _enhance(maps, maps.view(np.uint64), integrals, edges, neighbours, sizes, float(extent_power), enhanced)
    return enhanced


@compiled
def _enhance(
    maps: NDArray[np.float64],
    bits: NDArray[np.uint64],
    integrals: NDArray[np.float64],
    indptr: Places,
    indices: Places,
    sizes: NDArray[np.float64],
    extent_power: float,
    enhanced: NDArray[np.float64],
) -> None:
    """Map after map, in memory that they share."""
    n_elements = maps.shape[1]
    order, spare = np.empty(n_elements, np.uint32), np.empty(n_elements, np.uint32)
    digits = np.empty((8, 256), np.int32)
    rank, parent = np.empty(n_elements, np.uint32), np.empty(n_elements, np.uint32)
    leader, top = np.empty(n_elements, np.uint32), np.empty(n_elements, np.uint32)
    touching = np.empty(np.max(np.diff(indptr)) if n_elements else 0, np.uint32)
    size, extent, total = np.empty(n_elements), np.empty(n_elements), np.empty(n_elements + 1)
    for row in range(maps.shape[0]):
        descending = _descending(maps[row], bits[row], order, spare, digits)
        _grow(descending, indptr, indices, sizes, rank, touching, leader, top, size, parent, extent)
        _integrate(descending, integrals[row], parent, extent, extent_power, total, enhanced[row])


@compiled
def _descending(
    values: NDArray[np.float64], bits: NDArray[np.uint64], order: Places, spare: Places, digits: NDArray[np.int32]
) -> Places:
    """Places of the positive values, the highest first, equal ones in the order of their places.

    The bits of positive doubles rise with their values. By their upper half, which tells values apart that differ by a
    millionth, places are sorted byte by byte; the few that are left in disorder are then moved one by one, unless they
    are many: then all bytes count.
    """
    count = 0
    for place in range(values.size):
        order[count] = place
        count += values[place] > 0
    ordered, spare = _by_bytes(bits, order[:count], spare[:count], digits, 4)
    falls = 0
    for j in range(1, count):
        falls += bits[ordered[j - 1]] < bits[ordered[j]]
    if falls > _FEW + count // 64:
        ordered, spare = _by_bytes(bits, ordered, spare, digits, 0)
    elif falls > 0:
        _insert(bits, ordered)
    return ordered


@compiled
def _by_bytes(
    bits: NDArray[np.uint64], order: Places, spare: Places, digits: NDArray[np.int32], first: int
) -> tuple[Places, Places]:
    """Radix sort of places by the bytes of their bits from the `first`, 0 the lowest, on: in order, and the other."""
    byte = np.uint64(255)
    digits[first:] = 0
    for j in range(order.size):
        for digit in range(first, 8):
            digits[digit, (bits[order[j]] >> np.uint64(8 * digit)) & byte] += 1
    for digit in range(first, 8):
        shift, starts = np.uint64(8 * digit), digits[digit]
        if order.size == 0 or starts[(bits[order[0]] >> shift) & byte] == order.size:
            continue  # they agree in this byte
        start = 0
        for value in range(255, -1, -1):
            start, starts[value] = start + starts[value], start
        for j in range(order.size):
            place = order[j]
            value = (bits[place] >> shift) & byte
            spare[starts[value]] = place
            starts[value] += 1
        order, spare = spare, order
    return order, spare


@compiled
def _insert(bits: NDArray[np.uint64], order: Places) -> None:
    """Insertion sort, of places in almost descending order."""
    for j in range(1, order.size):
        place, at = order[j], j
        while at > 0 and bits[order[at - 1]] < bits[place]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = place


@compiled
def _grow(
    descending: Places,
    indptr: Places,
    indices: Places,
    sizes: NDArray[np.float64],
    rank: Places,
    touching: Places,
    leader: Places,
    top: Places,
    size: NDArray[np.float64],
    parent: Places,
    extent: NDArray[np.float64],
) -> None:
    """Let the elements join one by one: which cluster each is the last to join, how large it is, and which one eats it.

    Elements go by their rank. Whoever joins is the new root of the max-tree of its cluster, above the roots of the
    clusters that it connects. Equal values so become a chain of nodes that die at the height of their birth and count
    for nothing but the last, in whatever order they join. The cluster that an element is in is found by its leader,
    the leader of the larger one; a tree of leaders is not the max-tree, and stays flat.
    """
    n_ranks = descending.size
    rank[:] = n_ranks
    for k in range(n_ranks):
        rank[descending[k]] = k
    for k in range(n_ranks):
        element = descending[k]
        n_touching = 0
        for edge in range(indptr[element], indptr[element + 1]):
            touching[n_touching] = rank[indices[edge]]
            n_touching += touching[n_touching] < k  # no branch, which would be mispredicted half the time
        own = np.uint32(k)
        leader[k], size[k], parent[k] = k, sizes[element], n_ranks
        for j in range(n_touching):
            other = _find(leader, touching[j])
            if other == own:
                continue
            parent[top[other]] = k
            if size[other] > size[own]:
                own, other = other, own
            leader[other] = own
            size[own] += size[other]
        top[own], extent[k] = k, size[own]


@compiled
def _find(leader: Places, member: np.uint32) -> np.uint32:
    """Leader of a member's cluster; every other step of the way there is cut short."""
    while leader[member] != member:
        leader[member] = leader[leader[member]]
        member = leader[member]
    return member


@compiled
def _integrate(
    descending: Places,
    integral: NDArray[np.float64],
    parent: Places,
    extent: NDArray[np.float64],
    extent_power: float,
    total: NDArray[np.float64],
    enhanced: NDArray[np.float64],
) -> None:
    """Sum from the roots up: what a cluster's parent got, and what the cluster adds."""
    n_ranks = descending.size
    total[n_ranks] = 0
    for k in range(n_ranks - 1, -1, -1):
        death = 0.0
        if parent[k] < n_ranks:
            death = integral[descending[parent[k]]]
        if extent_power == 0.5:
            weight = np.sqrt(extent[k])
        elif extent_power == 1:
            weight = extent[k]
        else:
            weight = extent[k] ** extent_power
        total[k] = total[parent[k]] + weight * (integral[descending[k]] - death)
        enhanced[descending[k]] = total[k]
