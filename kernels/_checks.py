"""Checks that every array operation makes of what it is given."""

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace

_ROWS = 64


def require_matrix(name: str, x: Array) -> None:
    """NumericsError unless `x` is a float32 or float64 matrix with at least one row and one column."""
    if x.ndim != 2 or x.dtype.name not in ("float32", "float64"):
        raise NumericsError(f"{name} must be a float32 or float64 matrix, not {x.ndim}-D {x.dtype.name}")
    if 0 in x.shape:
        raise NumericsError(f"{name} is empty: {x.shape[0]} × {x.shape[1]}")


def require_finite(name: str, x: Array) -> None:
    """NumericsError when the matrix `x` holds NaN or infinity; looks at a few rows at a time, so needs no memory."""
    xp = get_namespace(x)
    for start in range(0, len(x), _ROWS):
        if not bool(xp.isfinite(x[start : start + _ROWS]).all()):
            raise NumericsError(f"{name} holds NaN or infinity", remedy="leave those rows or columns out")
