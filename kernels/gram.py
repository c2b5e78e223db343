"""Gram matrices: sums of products of rows, half the work by symmetry."""

from scipy.linalg import blas

from thalgpu.kernels._namespace import Array, is_device

_ROWS = 256


def add_gram(gram: Array, rows: Array, /) -> None:
    """Add rows rows' to the lower triangle of `gram`, in place; call `mirror` when all are added.

    Parameters
    ----------
    gram : (n, n) float32 or float64, C-contiguous
        Overwritten. What is above the diagonal is undefined until mirrored.
    rows : (n, n_columns), C-contiguous, dtype of `gram`

    Notes
    -----
    BLAS `syrk` on the host: half the products, and no second n × n array. Both of its matrices are passed as their
    transposes, which are in Fortran's order without a copy.
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
