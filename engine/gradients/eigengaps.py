"""How far eigenvalues are apart, and the warning where they are too close."""

import inspect
import warnings

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import EigengapWarning

GAP_TOLERANCE = 1e-4
"""Relative eigengap below which the rounding of a float32 affinity (1e-6 of λ) can turn a component by 0.01 rad."""


def relative_gaps(values: NDArray[np.float64], *, n_voxels: int) -> NDArray[np.float64]:
    """Distance of each of some descending eigenvalues to the nearest other, over its size; 0 where it is rounding."""
    steps = -np.diff(values)
    nearest = np.minimum(np.append(np.inf, steps), np.append(steps, np.inf))
    rounding = n_voxels * np.finfo(float).eps * np.abs(values).max()
    sizes = np.maximum(np.abs(values), rounding)
    gaps: NDArray[np.float64] = np.where(np.abs(values) > rounding, nearest / sizes, 0.0)
    return gaps


def warn_where_close(gaps: NDArray[np.float64]) -> None:
    """EigengapWarning, at the line that called this package, naming the components too close to another."""
    close = np.flatnonzero(gaps < GAP_TOLERANCE)
    if close.size:
        warnings.warn(
            f"component {', '.join(str(i + 1) for i in close)}: relative distance to the next eigenvalue is below "
            f"{GAP_TOLERANCE:g}, so only the subspace is meaningful",
            EigengapWarning,
            stacklevel=_frames_inside() + 1,
        )


def _frames_inside() -> int:
    """How many callers up from `warn_where_close`, itself counted, belong to this package."""
    package, count = __name__.partition(".")[0], 0
    frame = inspect.currentframe()
    frame = frame.f_back if frame else None
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, count = frame.f_back, count + 1
    return count
