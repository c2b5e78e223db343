"""Checks of stacks of small square matrices, which are solved side by side."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace

_REASONS = {
    1: "did not converge",
    2: "holds NaN or infinity",
    3: "has a metric that is not positive, or vectors that are linearly dependent",
}
"""What the kernels' status of a matrix means; 0 is solved."""


def as_stack(name: str, x: Array, largest: int) -> Array:
    """`x` in one piece; NumericsError unless it is (batch, n, n) of float32 or float64 with 1 <= n <= largest."""
    if x.ndim != 3 or x.shape[1] != x.shape[2] or x.dtype.name not in ("float32", "float64"):
        raise NumericsError(f"{name} must be a float32 or float64 stack of square matrices, not {x.shape} {x.dtype}")
    if not 1 <= x.shape[1] <= largest:
        raise NumericsError(f"{name} have {x.shape[1]} rows; 1 to {largest} can be solved side by side")
    contiguous: Array = get_namespace(x).ascontiguousarray(x)
    return contiguous


def require_finite_stack(name: str, stack: NDArray[np.floating]) -> None:
    """NumericsError that names the first matrix with NaN or infinity."""
    require_solved(name, np.where(np.isfinite(stack).all(axis=(1, 2)), 0, 2))


def require_solved(name: str, status: NDArray[np.integer]) -> None:
    """NumericsError that names the first matrix whose status is not 0."""
    unsolved = np.flatnonzero(status)
    if unsolved.size:
        first = int(unsolved[0])
        raise NumericsError(f"matrix {first} of {len(status)} {name} {_REASONS[int(status[first])]}")
