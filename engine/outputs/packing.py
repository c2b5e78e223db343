"""Symmetric matrices by their upper triangle, row after row: half the bytes, and sums stay sums."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
_BLOCK = 256
"""Rows and columns mirrored at once: both fit the cache, so that the transposed writes are not slow."""


def pack_upper(matrix: NDArray[Number], /) -> NDArray[Number]:
    """The upper triangle of a symmetric matrix, diagonal included, row after row.

    Parameters
    ----------
    matrix : (n, n)
        Symmetric, of any dtype; only its upper triangle is read.

    Returns
    -------
    packed : (n (n + 1) / 2,)
        The same dtype, in the order of `matrix[numpy.triu_indices(n)]` without its index arrays. Weighted sums of
        packed matrices are the packed weighted sums.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a square matrix is needed, not {matrix.shape}")
    n = len(matrix)
    packed = np.empty(n * (n + 1) // 2, dtype=matrix.dtype)
    start = 0
    for row in range(n):
        packed[start : start + n - row] = matrix[row, row:]
        start += n - row
    return packed


def unpack_upper(packed: NDArray[Number], n: int, /) -> NDArray[Number]:
    """The symmetric (n, n) matrix of a packed upper triangle, in its dtype; ValueError when the length is wrong."""
    if packed.shape != (n * (n + 1) // 2,):
        raise ValueError(f"{packed.shape} is not the packed triangle of a matrix with {n} rows")
    matrix = np.empty((n, n), dtype=packed.dtype)
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
