"""What an affinity must be before it can be embedded."""

import numpy as np

from thalgpu.engine.gradients.graph import count_pieces
from thalgpu.errors import NumericsError, UsageError
from thalgpu.kernels._namespace import Array

ROUNDING = {"float32": 1e-5, "float64": 1e-10}
"""Asymmetry, relative to the largest entry, that rounding explains."""


def checked_affinity(affinity: Array, n_components: int) -> Array:
    """The affinity, exactly symmetric; NumericsError where there is no answer to be had from it."""
    if affinity.ndim != 2 or affinity.shape[0] != affinity.shape[1]:
        raise NumericsError(f"an affinity is square, not of shape {affinity.shape}")
    if n_components < 1:
        raise UsageError(f"{n_components} components asked for", remedy="ask for one at least")
    if len(affinity) <= n_components + 1:
        raise NumericsError(
            f"{n_components} components need at least {n_components + 2} voxels, and there are {len(affinity)}",
            remedy="ask for fewer components, or use a larger region",
        )
    low, high = float(affinity.min()), float(affinity.max())
    if not np.isfinite([low, high]).all():
        raise NumericsError("the affinity has entries that are not finite")
    asymmetry = _asymmetry(affinity)
    if asymmetry > ROUNDING.get(str(affinity.dtype), ROUNDING["float64"]) * max(abs(low), abs(high)):
        raise NumericsError(f"the affinity is not symmetric: entries differ by up to {asymmetry:.3g}")
    return affinity if asymmetry == 0 else (affinity + affinity.T) / 2


def _asymmetry(matrix: Array, rows: int = 256) -> float:
    """Largest |a_ij − a_ji|, by strips of the lower triangle: no temporary of the whole size."""
    strips = ((start, start + rows) for start in range(0, len(matrix), rows))
    return max(float(abs(matrix[a:b, :b] - matrix[:b, a:b].T).max()) for a, b in strips)


def checked_graph(affinity: Array, n_components: int) -> Array:
    """As `checked_affinity`, and a connected graph without negative weights."""
    weights = checked_affinity(affinity, n_components)
    if float(weights.min()) < 0:
        raise NumericsError("the affinity has negative entries", remedy="set them to zero (non_negative)")
    if not bool((weights > 0).any(axis=1).all()):
        return weights  # an empty row has its own message where the degrees are formed
    pieces = count_pieces(weights)
    if pieces > 1:
        raise NumericsError(
            f"the affinity graph falls into {pieces} pieces that share no weight, so it has no common gradients",
            remedy="lower the sparsity, or use a kernel without zeros",
        )
    return weights
