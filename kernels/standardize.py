"""Standardise time series: zero mean, unit Euclidean norm."""

from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._namespace import Array, get_namespace

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
    Two passes with float64 sums: a one-pass formula loses every digit at a mean of 1e4 and an SD of 1.
    """
    require_matrix("series", series)
    xp = get_namespace(series)
    unit, varies = xp.empty_like(series, order="C"), xp.empty(series.shape[1], dtype=bool)
    for start in range(0, series.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        unit[:, columns], varies[columns] = _standardize_block(series[:, columns])
    return unit, varies


def _standardize_block(series: Array) -> tuple[Array, Array]:
    """The same for a few columns, in float64."""
    xp = get_namespace(series)
    peak = xp.maximum(series.max(axis=0), -series.min(axis=0)).astype(xp.float64)
    finite = xp.isfinite(peak)
    if not bool(finite.all()):
        series, peak = xp.where(finite, series, 0), xp.where(finite, peak, 0)
    # In float64 and by rows, whatever the series' layout: sums then have the same bits.
    centred = xp.empty(series.shape, dtype=xp.float64)
    centred[...] = series
    exponent = xp.maximum(xp.frexp(peak)[1], _LEAST_EXPONENT)
    if int(xp.abs(exponent).max()) > _NO_CARE:
        # A power of two brings the largest value into [0.5, 1): exact, and no square can overflow or vanish.
        scale = xp.ldexp(1.0, -exponent)
        centred, peak = centred * scale, peak * scale
    centred -= centred[0].copy()  # exact for a constant, whose mean would carry the rounding of its sum
    centred -= centred.mean(axis=0)
    norm = xp.sqrt(xp.einsum("ts,ts->s", centred, centred))
    rounding = _ROUNDING * float(xp.finfo(series.dtype).eps) * len(series) ** 0.5
    varies = norm > rounding * peak
    centred *= varies / xp.where(varies, norm, 1)
    return centred, varies
