"""Matrix products: of all pairs of columns of two matrices, and of all pairs of rows of one at half the work.

Both go through SciPy's BLAS on the host. NumPy brings another copy of OpenBLAS with threads of its own, which go on
spinning after a product: calls that alternate between the two run several times slower than either alone.
"""

import numpy as np
from scipy.linalg import blas

from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_ROWS = 256
_TILE, _TILE_ROWS = 32, 8
_THREADS = 256


def cross_products(a: Array, b: Array, /) -> Array:
    """Products of every column of `a` with every column of `b`: a' b.

    Parameters
    ----------
    a : (n_rows, n_a) float32 or float64; read in place when C-contiguous.
    b : (n_rows, n_b), same dtype; likewise.

    Returns
    -------
    products : (n_a, n_b), same dtype, C-contiguous
    """
    if is_device(a):
        on_device: Array = a.T @ b
        return on_device
    gemm = blas.sgemm if a.dtype.name == "float32" else blas.dgemm
    # BLAS thinks in columns: it is given both transposed, and returns the transpose, without a copy on either side.
    products: Array = gemm(1.0, b.T, a.T, trans_b=1).T
    return products


def add_gram(gram: Array, rows: Array, /) -> None:
    """Add rows rows' to the lower triangle of `gram`, in place; call `mirror` when all are added.

    Parameters
    ----------
    gram : (n, n) float32 or float64, C-contiguous
        Overwritten. What is above the diagonal is undefined until mirrored.
    rows : (n, n_columns), C-contiguous, same dtype

    Notes
    -----
    BLAS `syrk` on the host: half the products, and no second n × n array.
    """
    if is_device(gram):
        gram += rows @ rows.T
        return
    if rows.size == 0:  # which BLAS refuses
        return
    syrk = blas.ssyrk if gram.dtype.name == "float32" else blas.dsyrk
    syrk(1.0, rows.T, beta=1.0, c=gram.T, trans=1, lower=0, overwrite_c=1)


def mirror(gram: Array, /) -> Array:
    """Copy the lower triangle of a square matrix onto its upper one, in place, so that it is symmetric to the bit."""
    (_mirror_on_device if is_device(gram) else _mirror_on_host)(gram)
    return gram


def _mirror_on_host(gram: Array) -> None:
    for start in range(0, len(gram), _ROWS):
        stop = min(start + _ROWS, len(gram))
        gram[start:stop, stop:] = gram[stop:, start:stop].T
        for row in range(start, stop):
            gram[row, row + 1 : stop] = gram[row + 1 : stop, row]


def _mirror_on_device(gram: Array) -> None:
    n_tiles = -(-len(gram) // _TILE)
    name = f"mirror_f{8 * gram.itemsize}"
    launch("gram", name, grid=(n_tiles, n_tiles), block=(_TILE, _TILE_ROWS), args=(gram, *int32(len(gram))))


def centre_rows(rows: Array, /) -> tuple[Array, Array]:
    """Take each row's mean off its entries, in place: what rows go through before their products are added up.

    Parameters
    ----------
    rows : (n_rows, n_columns) float32 or float64, C-contiguous
        Overwritten.

    Returns
    -------
    rows : the same array.
    sums : (n_rows,) float64
        Of the entries as they were. The mean taken off is the sum over n_columns, rounded to the dtype of `rows`.
    """
    return rows, (_centre_on_device if is_device(rows) else _centre_on_host)(rows)


def _centre_on_host(rows: Array) -> Array:
    sums: Array = rows.sum(axis=1, dtype=np.float64)
    rows -= (sums / rows.shape[1]).astype(rows.dtype)[:, None]
    return sums


def _centre_on_device(rows: Array) -> Array:
    sums: Array = get_namespace(rows).empty(len(rows), dtype=np.float64)
    name = f"centre_rows_f{8 * rows.itemsize}"
    launch("gram", name, grid=len(rows), block=_THREADS, args=(rows, sums, *int32(rows.shape[1])))
    return sums
