"""Remove confounds from time series and standardise what is left, in one go."""

import numpy as np

from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._columns import column_blocks
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_COLUMNS = 512
_ROUNDING = 16.0
_LEAST_EXPONENT = -1000


def residual(series: Array, basis: Array, /) -> tuple[Array, Array]:
    """Project series onto what is orthogonal to a basis, centre them and scale them to unit norm.

    Parameters
    ----------
    series : (n_timepoints, n_series) float32 or float64
        One column a voxel, in any unit. Not modified.
    basis : (n_timepoints, rank) float64, C-contiguous
        Orthonormal columns Q that span what is removed; that is usually a constant, too, and may be nothing.

    Returns
    -------
    unit : (n_timepoints, n_series), dtype of `series`, C-contiguous
        Y - Q (Q' Y), its columns with mean 0 and norm 1; all zero where nothing is left of a series.
    varies : (n_series,) bool
        False where the series is not finite, or nothing is left: an SD within sixteen units in the last place of the
        largest value of the series, which may be nothing but rounding.

    Raises
    ------
    NumericsError
        When `series` is not a float32 or float64 matrix.

    Notes
    -----
    Both products are in float64: in float32 they would lose the signal beside a mean of 1e4. On a device they are
    cuBLAS's, with two float64 matrices of the series' shape in memory, and float32 values below 1.2e-38 count as 0.
    """
    require_matrix("series", series)
    return _on_device(series, basis) if is_device(series) else _on_host(series, basis)


def _on_device(series: Array, basis: Array) -> tuple[Array, Array]:
    xp, (n_timepoints, n_series) = get_namespace(series, basis), series.shape
    series = xp.ascontiguousarray(series)
    wide = xp.where(xp.isfinite(series), series, 0).astype(np.float64)
    fitted = basis @ (basis.T @ wide)
    unit, varies = xp.empty_like(series), xp.empty(n_series, dtype=bool)
    block, shared_bytes, is_held = column_blocks(n_timepoints, fitted.itemsize)
    sizes = int32(n_timepoints, n_series)
    launch(
        "residual",
        f"residual_f{8 * series.itemsize}",
        grid=-(-n_series // block[0]),
        block=block,
        args=(series, fitted, unit, varies, _rounding(series), *sizes, np.bool_(is_held)),
        shared_bytes=shared_bytes,
    )
    return unit, varies


def _on_host(series: Array, basis: Array) -> tuple[Array, Array]:
    unit, varies = np.empty_like(series, order="C"), np.empty(series.shape[1], dtype=bool)
    for start in range(0, series.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        unit[:, columns], varies[columns] = _residual_block(series[:, columns], basis)
    return unit, varies


def _residual_block(series: Array, basis: Array) -> tuple[Array, Array]:
    """The same for a few columns, in float64."""
    finite = np.isfinite(series).all(axis=0)
    wide = np.where(finite, series, 0).astype(np.float64)
    peak = np.abs(wide).max(axis=0)
    # A power of two brings the largest value into [0.5, 1): exact, and no square can overflow or vanish.
    scale = np.ldexp(1.0, -np.maximum(np.frexp(peak)[1], _LEAST_EXPONENT))
    left = wide * scale
    left -= basis @ (basis.T @ left)
    left -= left.mean(axis=0)
    norm = np.sqrt(np.einsum("ts,ts->s", left, left))
    varies = norm > _rounding(series) * (peak * scale)
    left *= varies / np.where(varies, norm, 1)
    return left, varies


def _rounding(series: Array) -> np.float64:
    """Norm that rounding alone may leave of a series whose largest value is 1."""
    return np.float64(_ROUNDING * float(np.finfo(series.dtype).eps) * len(series) ** 0.5)
