"""Products of many weighted means with vectors of their own, without keeping a mean."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.factored import factored
from thalgpu.kernels._compiled import compiled
from thalgpu.kernels.weighted_sums import weighted_sums

ROWS = 64
"""Rows of all means that are formed and used up at a time: those of a batch fit the last level of the cache."""
FEW = 12
"""Sums that are added up as the packed triangles are read: a matrix product would not repay opening them."""
_WIDTH = 4
"""Products with so many vectors cost no more than with a few less."""


def times_means(
    stack: NDArray[np.float32], weights: NDArray[np.float64], vectors: NDArray[Any], *, self_loops: bool
) -> NDArray[Any]:
    """Multiply each of many weighted means of packed triangles with its own vectors.

    Parameters
    ----------
    stack : (n_members, n (n + 1) / 2) float32, row after row; read once.
    weights : (n_sets, n_members) float64
    vectors : (n_sets, n, m) float32 or float64, which sums and products are then computed in.
    self_loops : whether diagonals count; they are zero otherwise.

    Returns
    -------
    (n_sets, n, m)

    Notes
    -----
    Where every second mean follows from the one before it, K_b = C − γ K_a, K_a takes the vectors of both, and C, of
    which there is one, those of all b at once: half of the means are never formed.
    """
    n, n_vectors = vectors.shape[1:]
    m = n_vectors + -n_vectors % _WIDTH
    vectors = np.pad(vectors, ((0, 0), (0, 0), (0, m - n_vectors)))
    plan = factored(weights, vectors.dtype)
    members = np.arange(len(stack)) if plan.used is None else plan.used
    given = [*vectors]
    if plan.gamma is not None:
        given = [*np.concatenate([vectors[::2], vectors[1::2]], axis=2)]
        given.append(np.ascontiguousarray(vectors[1::2].transpose(1, 0, 2)).reshape(n, -1))
    found = [np.zeros_like(one) for one in given]
    for first, slabs in _slabs(np.asarray(stack), members, plan.base, n, self_loops=self_loops):
        last = first + slabs.shape[1]
        for slab, one, product in zip(slabs, given, found, strict=True):
            product[first:last] += slab @ one[first:]
            if last < n:
                product[last:] += slab[:, last - first :].T @ one[first:last]
    if plan.gamma is None:
        return np.stack(found)[:, :, :n_vectors]
    products = np.empty_like(vectors)
    for pair, product in enumerate(found[:-1]):
        products[2 * pair] = product[:, :m]
        products[2 * pair + 1] = found[-1][:, m * pair : m * (pair + 1)]
        products[2 * pair + 1] -= vectors.dtype.type(plan.gamma) * product[:, m:]
    return products[:, :, :n_vectors]


def _slabs(
    stack: NDArray[np.float32], members: NDArray[np.int64], base: NDArray[Any], n: int, *, self_loops: bool
) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row and (n_base, n_rows, n − first) rows of all sums, each from its diagonal block on, slab after slab."""
    few = len(base) <= FEW
    opened = np.empty(0 if few else len(members) * ROWS * n, base.dtype)
    sums = np.empty(len(base) * ROWS * n, base.dtype)
    for first in range(0, n, ROWS):
        n_rows, n_columns = min(ROWS, n - first), n - first
        size = n_rows * n_columns
        summed = sums[: len(base) * size].reshape(len(base), n_rows, n_columns)
        if few:
            _add_up(stack, members, base, first, self_loops, summed)
        else:
            slabs = opened[: len(members) * size].reshape(len(members), n_rows, n_columns)
            _open(stack, members, first, self_loops, slabs)
            weighted_sums(base, slabs.reshape(len(members), size), out=summed.reshape(len(base), size))
        yield first, summed


@compiled
def _open(
    stack: NDArray[np.float32], members: NDArray[np.int64], first: int, self_loops: bool, slabs: NDArray[Any]
) -> None:
    """Rows of some packed triangles, with all of their diagonal block."""
    n_rows, n_columns = slabs.shape[1:]
    n = first + n_columns
    for place in range(len(members)):
        packed, slab = stack[members[place]], slabs[place]
        start = first * n - first * (first - 1) // 2
        for i in range(n_rows):
            source, row = packed[start : start + n_columns - i], slab[i, i:]
            for j in range(len(source)):
                row[j] = source[j]
            if not self_loops:
                slab[i, i] = 0
            for j in range(i):
                slab[i, j] = slab[j, i]
            start += n_columns - i


@compiled
def _add_up(
    stack: NDArray[np.float32],
    members: NDArray[np.int64],
    base: NDArray[Any],
    first: int,
    self_loops: bool,
    sums: NDArray[Any],
) -> None:
    """The same rows of sums of the triangles."""
    n_rows, n_columns = sums.shape[1:]
    n = first + n_columns
    start = first * n - first * (first - 1) // 2
    for i in range(n_rows):
        for which in range(len(base)):
            for j in range(i, n_columns):
                sums[which, i, j] = 0
        for place in range(len(members)):
            source = stack[members[place], start : start + n_columns - i]
            for which in range(len(base)):
                weight, row = base[which, place], sums[which, i, i:]
                if weight != 0:
                    for j in range(len(source)):
                        row[j] += weight * source[j]
        for which in range(len(base)):
            if not self_loops:
                sums[which, i, i] = 0
            for j in range(i):
                sums[which, i, j] = sums[which, j, i]
        start += n_columns - i
