"""Ranks within each row, with the average rank for ties."""

from thalgpu.kernels._namespace import Array, get_namespace


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
    """
    xp = get_namespace(x)
    order = xp.argsort(x, axis=1)
    ascending = xp.take_along_axis(x, order, axis=1)
    first = xp.ones(x.shape, dtype=bool)
    first[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    # Every run of equal entries is numbered through all rows; no run crosses a row, for a row's first entry starts one.
    starts = xp.nonzero(first.ravel())[0]
    lengths = xp.diff(starts, append=xp.asarray([x.size]))
    shared = (starts % x.shape[1] + (lengths + 1) / 2).astype(x.dtype)
    ranks: Array = xp.empty_like(x)
    xp.put_along_axis(ranks, order, shared[xp.cumsum(first.ravel()) - 1].reshape(x.shape), axis=1)
    return ranks
