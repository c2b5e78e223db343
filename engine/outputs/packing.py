"""Symmetric matrices by their upper triangle, row after row: half the bytes, and sums stay sums."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256
"""Rows and columns mirrored at once: both fit the cache, so that the transposed writes are not slow."""


def pack_upper(matrix: NDArray[np.float32], /) -> NDArray[np.float32]:
    """The upper triangle of a symmetric matrix, diagonal included, row after row.

    Parameters
    ----------
    matrix : (n, n) float32
        Symmetric; only its upper triangle is read.

    Returns
    -------
    packed : (n (n + 1) / 2,) float32
        The order of `matrix[numpy.triu_indices(n)]`, without its index arrays. Weighted sums of packed matrices are the
        packed weighted sums.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a square matrix is needed, not {matrix.shape}")
    n = len(matrix)
    packed = np.empty(n * (n + 1) // 2, dtype=np.float32)
    start = 0
    for row in range(n):
        packed[start : start + n - row] = matrix[row, row:]
        start += n - row
    return packed


def unpack_upper(packed: NDArray[np.float32], /) -> NDArray[np.float32]:
    """The symmetric (n, n) float32 matrix of a packed upper triangle; ValueError when the length fits no n."""
    n = packed_order(len(packed))
    matrix = np.empty((n, n), dtype=np.float32)
    start = 0
    for row in range(n):
        matrix[row, row:] = packed[start : start + n - row]
        start += n - row
    for row in range(0, n, _BLOCK):
        block = matrix[row : row + _BLOCK, row : row + _BLOCK]
        below = np.tril_indices(len(block), -1)
        block[below] = block.T[below]
        for column in range(row + _BLOCK, n, _BLOCK):
            matrix[column : column + _BLOCK, row : row + _BLOCK] = matrix[
                row : row + _BLOCK, column : column + _BLOCK
            ].T
    return matrix


def packed_order(length: int, /) -> int:
    """The n of a packed triangle with n (n + 1) / 2 = `length` numbers; ValueError when there is none."""
    n = (isqrt(8 * length + 1) - 1) // 2
    if n * (n + 1) // 2 != length:
        raise ValueError(f"{length} numbers are no triangle")
    return n
