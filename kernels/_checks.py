"""Checks that every array operation makes of what it is given."""

from typing import Any

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_ROWS = 64


def as_floats(name: str, x: object, *, n_axes: int = 2, by_rows: bool = True) -> Array:
    """The array that public functions work on: one layout, one byte order and two dtypes, so that equal values give
    equal bits whatever they came in.

    Parameters
    ----------
    name : what the caller knows the array by.
    x : NumPy or CuPy array of float32 or float64 in any byte order and memory layout, or of integers.
    n_axes : how many axes it must have.
    by_rows : False where what comes next makes copies anyway and gives the same bits for every layout.

    Returns
    -------
    The same array where it is C-contiguous (if `by_rows`) and native, a copy where it is not; float64 for integers.

    Raises
    ------
    NumericsError
        Anything but an array (lists, DataFrames, None, generators, …), masked arrays, other dtypes, another number of
        axes, or nothing in it.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise NumericsError(f"{name} is a masked array", remedy="leave the masked entries out and give a plain array")
    if not (isinstance(x, np.ndarray) or is_device(x)):
        remedy = "give its .to_numpy()" if hasattr(x, "to_numpy") else "give a NumPy array"
        raise NumericsError(f"{name} is a {type(x).__name__}, not a NumPy or CuPy array", remedy=remedy)
    if x.dtype.kind not in "iuf" or (x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8)):
        raise NumericsError(f"{name} must be float32 or float64, not {x.dtype}", remedy="convert it with .astype")
    if x.ndim != n_axes:
        raise NumericsError(f"{name} must have {n_axes} axes, not the shape {x.shape}")
    if 0 in x.shape:
        raise NumericsError(f"{name} is empty: {' × '.join(map(str, x.shape))}")
    dtype: np.dtype[Any] = x.dtype.newbyteorder("=") if x.dtype.kind == "f" else np.dtype(np.float64)
    if is_device(x):
        on_device: Array = get_namespace(x).ascontiguousarray(x, dtype=dtype)
        return on_device
    packed = np.asarray(x, dtype=dtype, order="C" if by_rows else "K")
    return packed if packed.flags.aligned else packed.copy()


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
