"""How blocks of threads share the columns of a matrix that lies by rows."""

from thalgpu.kernels._cuda import SHARED_WITHOUT_ASKING

_THREADS = 256
_SECTOR = 32
"""Bytes that device memory hands out at a time: the least that a row of threads should read."""


def column_blocks(n_timepoints: int, item_bytes: int) -> tuple[tuple[int, int], int, bool]:
    """Choose by shape alone, so that all devices give the same bits.

    Parameters
    ----------
    n_timepoints : rows of the matrix.
    item_bytes : what a block holds in shared memory for each entry of its columns.

    Returns
    -------
    block : columns of a block, and threads of a column.
    shared_bytes : for the block's sums in float64, and for its columns if they are held.
    is_held : whether they fit; longer columns are read from memory again instead.
    """
    for columns in (32, 16, 8, 4):
        shared_bytes = _THREADS * 8 + columns * n_timepoints * item_bytes
        if columns * item_bytes >= _SECTOR and shared_bytes <= SHARED_WITHOUT_ASKING:
            return (columns, _THREADS // columns), shared_bytes, True
    return (32, _THREADS // 32), _THREADS * 8, False
