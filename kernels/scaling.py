"""Powers of two that keep the products of rows inside the range of floating point."""

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace

_ROWS = 64
_NO_CARE = 20
"""Rows whose largest value is within 2^±20 need no scaling: neither their squares nor those of their details vanish."""
_HALF = {"float32": 50, "float64": 500}
"""Binary orders of magnitude whose squares, and sums of many of them, are still in range."""
_MOST = {"float32": 120, "float64": 1000}
"""Largest exponent of a scale, itself in range."""


def product_scale(name: str, x: Array, kernel: str, *, sparse: bool) -> Array | None:
    """Choose what each row is multiplied by before rows are multiplied with one another.

    Parameters
    ----------
    name : what the caller knows the matrix by.
    x : (n_rows, n_columns) float32 or float64
        Not modified.
    kernel : one of `thalgpu.kernels.affinity.KERNELS`.
    sparse : whether only each row's largest entries will be used.

    Returns
    -------
    scale : (n_rows,), dtype of `x`, or None where nothing needs scaling
        Powers of two, so that scaling loses nothing: one a row where an affinity does not depend on the length of its
        rows (cosine, normalized_angle, pearson), the same for all where it does not depend on the unit (eta2).

    Raises
    ------
    NumericsError
        Entries that are not finite; rows too small or too large to be squared, where rescaling would change the
        affinity (gaussian) or rows differ too much (eta2).
    """
    xp = get_namespace(x)
    peaks = _finite_peaks(name, x, sparse=sparse)
    if kernel == "spearman":
        return None
    exponents = xp.where(peaks > 0, xp.frexp(peaks)[1], 0)
    if kernel in ("eta2", "gaussian"):
        shared = 0 if kernel == "gaussian" else int(xp.frexp(peaks.max())[1])
        half = _HALF[x.dtype.name]
        if bool((xp.abs(exponents - shared)[peaks > 0] > half).any()):
            raise NumericsError(
                f"{name} has rows whose largest value is {float(peaks[peaks > 0].min()):.3g} and others with "
                f"{float(peaks.max()):.3g}: their squares leave the range of {x.dtype}",
                remedy="rescale the values or leave those rows out; float64 reaches further",
            )
        exponents = xp.full(len(x), shared)
    if int(xp.abs(exponents).max()) <= _NO_CARE:
        return None
    most = _MOST[x.dtype.name]
    scale: Array = xp.ldexp(xp.ones(len(x), dtype=x.dtype), -xp.clip(exponents, -most, most))
    return scale


def _finite_peaks(name: str, x: Array, *, sparse: bool) -> Array:
    """(n_rows,) largest magnitude of each row; largest positive value where only the largest are used and there is one.

    One pass, a few rows at a time; NaN and infinity show in a row's extremes.
    """
    xp = get_namespace(x)
    peaks: Array = xp.empty(len(x), dtype=x.dtype)
    for start in range(0, len(x), _ROWS):
        block = x[start : start + _ROWS]
        high, low = block.max(axis=1), block.min(axis=1)
        if not bool((xp.isfinite(high) & xp.isfinite(low)).all()):
            raise NumericsError(f"{name} holds NaN or infinity", remedy="leave those rows or columns out")
        either = xp.maximum(high, -low)
        peaks[start : start + _ROWS] = xp.where(high > 0, high, either) if sparse else either
    return peaks
