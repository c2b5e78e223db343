"""Correlation of standardised series, and Fisher's z."""

import numpy as np

from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device
from thalgpu.kernels.gram import cross_products

LARGEST_CORRELATION = 1 - 1e-7
_ELEMENTS = 2**17
_THREADS = 256
_BLOCKS = 1024
"""Most blocks of an elementwise grid; each thread then works on several entries."""


def correlation(seed: Array, target: Array, /) -> Array:
    """Correlate each seed series with each target series: seed' target.

    Parameters
    ----------
    seed : (n_timepoints, n_voxels)
        Columns with mean 0 and norm 1, or all zero: what `standardize` returns.
    target : (n_timepoints, n_targets)
        Likewise.

    Returns
    -------
    r : (n_voxels, n_targets)
        Pearson correlations; 0 where a series is all zero. They may leave [-1, 1] by rounding.
    """
    require_matrix("seed", seed)
    require_matrix("target", target)
    return cross_products(seed, target)


def fisher_z(r: Array, /) -> Array:
    """Fisher's z, atanh(r) = ½ log((1 + r) / (1 - r)), written over `r`.

    Parameters
    ----------
    r : (n_voxels, n_targets) float32 or float64
        Correlations, clipped to ±(1 - 1e-7) so that z stays finite. Overwritten.

    Returns
    -------
    r : the same array.

    Notes
    -----
    The logarithm is vectorised where atanh is not (ten times faster). Its error is a few units in the last place of 1,
    not of r: no more than what r, a sum of products, carries already.
    """
    return _on_device(r) if is_device(r) else _on_host(r)


def fisher_z_and_sums(r: Array, /) -> tuple[Array, Array]:
    """Fisher's z as `fisher_z` gives it, and the sum of each row of z: on a device, in the same pass.

    Parameters
    ----------
    r : (n_voxels, n_targets) float32 or float64
        Overwritten.

    Returns
    -------
    r : the same array.
    sums : (n_voxels,) float64, added up in float64, in an order that shapes alone decide.
    """
    return _summed_on_device(r) if is_device(r) else _summed_on_host(r)


def _on_device(r: Array) -> Array:
    packed, largest = get_namespace(r).ascontiguousarray(r), r.dtype.type(LARGEST_CORRELATION)
    launch(
        "correlation",
        f"fisher_z_f{8 * r.itemsize}",
        grid=min(-(-r.size // _THREADS), _BLOCKS),
        block=_THREADS,
        args=(packed, largest, np.int64(r.size)),
    )
    return _written_over(r, packed)


def _summed_on_device(r: Array) -> tuple[Array, Array]:
    xp, largest = get_namespace(r), r.dtype.type(LARGEST_CORRELATION)
    packed, sums = xp.ascontiguousarray(r), xp.empty(len(r))
    args = (packed, sums, largest, *int32(r.shape[1]))
    launch("correlation", f"fisher_z_sums_f{8 * r.itemsize}", grid=len(r), block=_THREADS, args=args)
    return _written_over(r, packed), sums


def _written_over(r: Array, packed: Array) -> Array:
    """`r` with the values of `packed`, which is `r` itself unless that is not C-contiguous."""
    if packed is not r:
        r[...] = packed
    return r


def _summed_on_host(r: Array) -> tuple[Array, Array]:
    return _on_host(r), r.sum(axis=1, dtype=np.float64)


def _on_host(r: Array) -> Array:
    rows = max(1, _ELEMENTS // max(1, r.shape[1]))
    for start in range(0, len(r), rows):
        block = r[start : start + rows]
        np.clip(block, -LARGEST_CORRELATION, LARGEST_CORRELATION, out=block)
        below = 1 - block
        block += 1
        block /= below
        np.log(block, out=block)
        block *= 0.5
    return r
