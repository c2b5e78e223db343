"""Packed upper triangles, row after row, opened a few rows at a time."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.factored import factored
from thalgpu.errors import NumericsError
from thalgpu.kernels._compiled import compiled

Number = TypeVar("Number", np.float32, np.float64)

SLAB = 128
"""Rows of a slab."""
_WIDTH = 16
"""Products with so many vectors cost no more than with a few less."""
_ROWS = 4
"""Rows that are summed at a time, so that the sums of a batch stay in the cache until they are in their slabs."""
_BLOCK = 64
"""Rows and columns mirrored at once, so that the transposed writes stay in the cache."""


def order_of(stack: NDArray[np.float32]) -> int:
    """n of a stack of packed (n, n) triangles; NumericsError where it is none."""
    n = int(np.sqrt(2 * stack.shape[-1]))
    if stack.ndim != 2 or stack.dtype != np.float32 or n * (n + 1) // 2 != stack.shape[1]:
        raise NumericsError(f"a stack holds packed float32 triangles, not {stack.shape} {stack.dtype}")
    return n


def unpacked(packed: NDArray[Number], n: int, *, self_loops: bool) -> NDArray[Number]:
    """(n, n) symmetric matrix of a packed triangle; zero on its diagonal unless self-loops count."""
    matrix = np.empty((n, n), dtype=packed.dtype)
    _unpack(np.ascontiguousarray(packed), matrix)
    if not self_loops:
        matrix[np.diag_indices(n)] = 0
    return matrix


@compiled
def _unpack(packed: NDArray[Any], matrix: NDArray[Any]) -> None:
    n = len(matrix)
    start = 0
    for row in range(n):
        for column in range(row, n):
            matrix[row, column] = packed[start + column - row]
        start += n - row
    for low in range(0, n, _BLOCK):
        for left in range(0, low + 1, _BLOCK):
            for row in range(low, min(low + _BLOCK, n)):
                for column in range(left, min(left + _BLOCK, row)):
                    matrix[row, column] = matrix[column, row]


@dataclass(frozen=True)
class Slabs:
    """Symmetric matrices as slabs of `SLAB` rows, each from its diagonal block on: half the bytes, and matrix products.

    Attributes
    ----------
    entries : (n_sets, n_entries) float32 or float64: slab after slab, row after row; diagonal blocks are complete.
    order : rows of each matrix.
    """

    entries: NDArray[Any]
    order: int

    def times(self, which: int, vectors: NDArray[Any]) -> NDArray[Any]:
        """(n, m) product of one of the matrices with (n, m) vectors."""
        m = vectors.shape[1]
        vectors = np.pad(vectors, ((0, 0), (0, -m % _WIDTH)))
        product = np.zeros_like(vectors)
        start = 0
        for first, last in _slabs(self.order):
            size = (last - first) * (self.order - first)
            slab = self.entries[which, start : start + size].reshape(last - first, -1)
            product[first:last] += slab @ vectors[first:]
            if last < self.order:
                product[last:] += slab[:, last - first :].T @ vectors[first:last]
            start += size
        return product[:, :m]


def empty_slabs(n_sets: int, order: int, dtype: np.dtype[Any]) -> Slabs:
    """Room for so many matrices."""
    n_entries = sum((last - first) * (order - first) for first, last in _slabs(order))
    return Slabs(np.empty((n_sets, n_entries), dtype), order)


def fill_slabs(slabs: Slabs, stack: NDArray[np.float32], weights: NDArray[np.float64], *, self_loops: bool) -> None:
    """Weighted means of packed triangles, opened into the first slabs, in their dtype.

    Parameters
    ----------
    stack : (n_members, n (n + 1) / 2) float32, read once, in order.
    weights : (n_sets, n_members)
    self_loops : whether diagonals count; they are zero otherwise.
    """
    n, entries = slabs.order, slabs.entries[: len(weights)]
    plan = factored(weights, entries.dtype)
    start = packed = 0
    for first, last in _slabs(n):
        slab = entries[:, start : start + (last - first) * (n - first)].reshape(len(weights), last - first, n - first)
        for row in range(first, last, _ROWS):
            rows = range(row, min(row + _ROWS, last))
            length = sum(n - i for i in rows)
            _open_rows(plan.sums(stack[:, packed : packed + length]), slab, row - first, len(rows), self_loops)
            packed += length
        _mirror(slab)
        start += slab[0].size


def _slabs(n: int) -> list[tuple[int, int]]:
    """First and last + 1 row of each."""
    return [(first, min(first + SLAB, n)) for first in range(0, n, SLAB)]


@compiled
def _open_rows(sums: NDArray[Any], slab: NDArray[Any], row: int, n_rows: int, self_loops: bool) -> None:
    n_columns = slab.shape[2]
    for which in range(len(sums)):
        start = 0
        for i in range(row, row + n_rows):
            source, row_of_slab = sums[which, start : start + n_columns - i], slab[which, i, i:]
            for j in range(len(source)):
                row_of_slab[j] = source[j]
            if not self_loops:
                slab[which, i, i] = 0
            start += n_columns - i


@compiled
def _mirror(slab: NDArray[Any]) -> None:
    for which in range(len(slab)):
        for i in range(slab.shape[1]):
            for j in range(i):
                slab[which, i, j] = slab[which, j, i]
