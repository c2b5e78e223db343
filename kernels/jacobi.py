"""All eigenpairs of many small symmetric matrices at once."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch, shared_limit
from thalgpu.kernels._namespace import Array, get_namespace, is_device, to_host
from thalgpu.kernels._stacks import as_stack, require_finite_stack, require_solved

LARGEST = 128
"""Most rows of a matrix."""

_ROTATIONS = 128
"""Numbers in shared memory beside the matrices: 64 cosines and 64 sines."""
_MOST_WARPS = 16
_A_LAUNCH = 4096
"""Matrices that are solved at once, so that what does not fit into shared memory takes little room elsewhere."""


def batched_eigh(matrices: Array, /) -> tuple[Array, Array]:
    """Find all eigenvalues and eigenvectors of each of many symmetric matrices.

    Parameters
    ----------
    matrices : (batch, n, n) float32 or float64
        Symmetric (not checked: the lower triangle counts), 1 <= n <= 128. Not modified.

    Returns
    -------
    values : (batch, n), dtype of `matrices`
        Descending.
    vectors : (batch, n, n), dtype of `matrices`
        Orthonormal columns, in the order of the values. The largest element of each in magnitude is positive; the
        first of equals. The basis inside a multiple eigenvalue is arbitrary but the same in every run.

    Raises
    ------
    NumericsError
        Another shape or dtype; the first matrix that holds NaN or infinity, or does not converge, by its number.

    Notes
    -----
    On the host LAPACK's divide and conquer. On a device Jacobi's method (Golub and Van Loan 2013, section 8.5), one
    block a matrix: in each round the rotations of n / 2 disjoint pairs, in the order of a tournament, until a sweep
    finds no element off the diagonal above eps / 2 times the largest of all; at most 30 sweeps, some 6 to 10 in
    practice. Matrices are scaled by a power of two first, so that nothing overflows.
    The values of the two agree to rounding, n · eps · ‖A‖; their vectors to that over the gap to the next value.
    """
    matrices = as_stack("matrices", matrices, LARGEST)
    return _on_device(matrices) if is_device(matrices) else _on_host(matrices)


def _on_host(matrices: NDArray[np.floating]) -> tuple[Array, Array]:
    require_finite_stack("matrices", matrices)
    try:
        values, vectors = np.linalg.eigh(matrices)
    except np.linalg.LinAlgError as error:
        raise NumericsError(f"one of {len(matrices)} matrices did not converge") from error
    values, vectors = values[:, ::-1], vectors[:, :, ::-1]
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1, keepdims=True), axis=1)
    return np.ascontiguousarray(values), np.where(peaks < 0, -vectors, vectors)


def _on_device(matrices: Array) -> tuple[Array, Array]:
    xp = get_namespace(matrices)
    batch, n, _ = matrices.shape
    even = n + n % 2
    size = even * (even + 1)  # of a working matrix: rows padded to an odd length, so that columns meet no bank twice
    values, vectors = xp.empty((batch, n), matrices.dtype), xp.empty_like(matrices)
    status = xp.empty(batch, np.int32)
    n_kept, shared_bytes = _kept_in_shared(size, matrices.itemsize, shared_limit(xp))
    work = xp.empty((min(batch, _A_LAUNCH), 2 - n_kept, size), matrices.dtype)
    kernel = "batched_eigh_f32" if matrices.dtype == np.float32 else "batched_eigh_f64"
    for start in range(0, batch, _A_LAUNCH):
        part = slice(start, start + _A_LAUNCH)
        launch(
            "jacobi",
            kernel,
            grid=len(status[part]),
            block=32 * min(_MOST_WARPS, -(-even // 4)),
            args=(matrices[part], values[part], vectors[part], status[part], work, *int32(n, n_kept)),
            shared_bytes=shared_bytes,
        )
    require_solved("matrices", to_host(status))
    return values, vectors


def _kept_in_shared(size: int, itemsize: int, limit: int) -> tuple[int, int]:
    """How many of the two working matrices shared memory has room for, and the bytes that it takes."""
    n_bytes = [(_ROTATIONS + n_kept * size) * itemsize for n_kept in range(3)]
    n_kept = max(n_kept for n_kept in range(3) if n_bytes[n_kept] <= limit)
    return n_kept, n_bytes[n_kept]
