"""Ranks within each row, with the average rank for ties."""

import numpy as np

from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_LONGEST = 4096
"""Columns of a row that a block can sort in the shared memory of any device; longer rows are sorted by CuPy."""


def average_ranks(x: Array, /) -> Array:
    """Rank the entries of each row from 1; equal entries share the average of their ranks.

    Parameters
    ----------
    x : (n_rows, n_columns) float32 or float64
        Finite. Not modified.

    Returns
    -------
    ranks : (n_rows, n_columns), dtype of `x`
        Multiples of ½, exact below 2²³ columns in float32.

    Notes
    -----
    On a device, float32 values below 1.2e-38 count as 0.
    """
    return _on_device(x) if is_device(x) else _on_host(x)


def _on_device(x: Array) -> Array:
    xp, (n_rows, n_columns) = get_namespace(x), x.shape
    x = xp.ascontiguousarray(x)
    ranks: Array = xp.empty_like(x)
    bits, size = f"f{8 * x.itemsize}", 1 << (n_columns - 1).bit_length()
    block = min(max(size // 2, 32), 1024)
    if n_columns <= _LONGEST:
        args = (x, ranks, *int32(n_columns, size))
        shared_bytes = size * (x.itemsize + 4)
        launch("ranks", f"rank_rows_{bits}", grid=n_rows, block=block, args=args, shared_bytes=shared_bytes)
    else:
        order = xp.argsort(x, axis=1)
        ascending = xp.take_along_axis(x, order, axis=1)
        args = (ascending, order, ranks, *int32(n_columns))
        launch("ranks", f"rank_sorted_rows_{bits}", grid=n_rows, block=block, args=args)
    return ranks


def _on_host(x: Array) -> Array:
    order = np.argsort(x, axis=1)
    ascending = np.take_along_axis(x, order, axis=1)
    first = np.ones(x.shape, dtype=bool)
    first[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    # Every run of equal entries is numbered through all rows; no run crosses a row, for a row's first entry starts one.
    starts = np.nonzero(first.ravel())[0]
    lengths = np.diff(starts, append=np.asarray([x.size]))
    shared = (starts % x.shape[1] + (lengths + 1) / 2).astype(x.dtype)
    ranks: Array = np.empty_like(x)
    np.put_along_axis(ranks, order, shared[np.cumsum(first.ravel()) - 1].reshape(x.shape), axis=1)
    return ranks
