"""Matrix products: of all pairs of columns of two matrices, and of all pairs of rows of one at half the work.

Both go through SciPy's BLAS on the host. NumPy brings another copy of OpenBLAS with threads of its own, which go on
spinning after a product: calls that alternate between the two run several times slower than either alone.
"""

from scipy.linalg import blas

from thalgpu.kernels._namespace import Array, is_device

_ROWS = 256


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
    syrk = blas.ssyrk if gram.dtype.name == "float32" else blas.dsyrk
    syrk(1.0, rows.T, beta=1.0, c=gram.T, trans=1, lower=0, overwrite_c=1)


def mirror(gram: Array, /) -> Array:
    """Copy the lower triangle of a square matrix onto its upper one, in place, so that it is symmetric to the bit."""
    for start in range(0, len(gram), _ROWS):
        stop = min(start + _ROWS, len(gram))
        gram[start:stop, stop:] = gram[stop:, start:stop].T
        for row in range(start, stop):
            gram[row, row + 1 : stop] = gram[row + 1 : stop, row]
    return gram
