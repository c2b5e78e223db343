"""Standardise time series: zero mean, unit Euclidean norm."""

import numpy as np

from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._columns import column_blocks
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_COLUMNS = 512
_ROUNDING = 4.0
_LEAST_EXPONENT = -1000
_NO_CARE = 300
"""Squares of values within 2^±300 neither overflow nor vanish; nothing in float32 is outside."""


def standardize(series: Array, /) -> tuple[Array, Array]:
    """Centre each series and scale it to unit norm, so that a product of two is their correlation.

    Parameters
    ----------
    series : (n_timepoints, n_series) float32 or float64
        One column a voxel, in any unit. Not modified.

    Returns
    -------
    unit : (n_timepoints, n_series), dtype of `series`, C-contiguous
        Columns with mean 0 and norm 1; all zero where the series does not vary.
    varies : (n_series,) bool
        False where the series is not finite, or constant: its SD is within four units in the last place of its largest
        value, so that what varies may be nothing but rounding.

    Raises
    ------
    NumericsError
        When `series` is not a float32 or float64 matrix.

    Notes
    -----
    Two passes with float64 sums: a one-pass formula loses every digit at a mean of 1e4 and an SD of 1. On a device,
    float32 values below 1.2e-38 count as 0.
    """
    require_matrix("series", series)
    return _on_device(series) if is_device(series) else _on_host(series)


def _on_device(series: Array) -> tuple[Array, Array]:
    xp, (n_timepoints, n_series) = get_namespace(series), series.shape
    series = xp.ascontiguousarray(series)
    unit, varies = xp.empty_like(series), xp.empty(n_series, dtype=bool)
    block, shared_bytes, is_held = column_blocks(n_timepoints, series.itemsize)
    launch(
        "standardize",
        f"standardize_f{8 * series.itemsize}",
        grid=-(-n_series // block[0]),
        block=block,
        args=(series, unit, varies, _rounding(series), *int32(n_timepoints, n_series), np.bool_(is_held)),
        shared_bytes=shared_bytes,
    )
    return unit, varies


def _on_host(series: Array) -> tuple[Array, Array]:
    unit, varies = np.empty_like(series, order="C"), np.empty(series.shape[1], dtype=bool)
    for start in range(0, series.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        unit[:, columns], varies[columns] = _standardize_block(series[:, columns])
    return unit, varies


def _standardize_block(series: Array) -> tuple[Array, Array]:
    """The same for a few columns, in float64."""
    peak = np.maximum(series.max(axis=0), -series.min(axis=0)).astype(np.float64)
    finite = np.isfinite(peak)
    if not finite.all():
        series, peak = np.where(finite, series, 0), np.where(finite, peak, 0)
    # In float64 and by rows, whatever the series' layout: sums then have the same bits.
    centred = np.empty(series.shape, dtype=np.float64)
    centred[...] = series
    exponent = np.maximum(np.frexp(peak)[1], _LEAST_EXPONENT)
    if int(np.abs(exponent).max()) > _NO_CARE:
        # A power of two brings the largest value into [0.5, 1): exact, and no square can overflow or vanish.
        scale = np.ldexp(1.0, -exponent)
        centred, peak = centred * scale, peak * scale
    centred -= centred[0].copy()  # exact for a constant, whose mean would carry the rounding of its sum
    centred -= centred.mean(axis=0)
    norm = np.sqrt(np.einsum("ts,ts->s", centred, centred))
    varies = norm > _rounding(series) * peak
    centred *= varies / np.where(varies, norm, 1)
    return centred, varies


def _rounding(series: Array) -> np.float64:
    """Norm about the mean that rounding alone may leave of a series whose largest value is 1."""
    return np.float64(_ROUNDING * float(np.finfo(series.dtype).eps) * len(series) ** 0.5)
