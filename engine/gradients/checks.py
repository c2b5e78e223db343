"""What an affinity must be before it can be embedded."""

import numpy as np

from thalgpu.engine.gradients.graph import count_pieces
from thalgpu.engine.gradients.options import require_whole
from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array

ROUNDING = {"float32": 1e-5, "float64": 1e-10}
"""Asymmetry, relative to the largest entry, that rounding explains."""
LARGEST_ENTRY = {"float32": (1e-30, 1e30), "float64": (1e-100, 1e100)}
"""Range of the largest entry in which sums, products and the components themselves neither vanish nor overflow."""


def checked_affinity(affinity: Array, n_components: int) -> Array:
    """The affinity, exactly symmetric, as `as_floats` has it; NumericsError where there is no answer to be had."""
    return _checked(affinity, n_components)[0]


def checked_graph(affinity: Array, n_components: int) -> Array:
    """As `checked_affinity`, and a connected graph without negative weights."""
    weights, smallest = _checked(affinity, n_components)
    if smallest < 0:
        raise NumericsError("the affinity has negative entries", remedy="set them to zero (non_negative)")
    pieces = 1 if smallest > 0 else count_pieces(weights)
    if pieces > 1 and bool((weights > 0).any(axis=1).all()):  # empty rows have their message where degrees are formed
        raise NumericsError(
            f"the affinity graph falls into {pieces} pieces that share no weight, so it has no common gradients",
            remedy="lower the sparsity, or use a kernel without zeros",
        )
    return weights


def _checked(affinity: Array, n_components: int) -> tuple[Array, float]:
    """The affinity, exactly symmetric, and its smallest entry."""
    require_whole("n_components", n_components)
    affinity = as_floats("affinity", affinity)
    if affinity.shape[0] != affinity.shape[1]:
        raise NumericsError(f"an affinity is square, not of shape {affinity.shape}")
    if len(affinity) <= n_components + 1:
        raise NumericsError(
            f"{n_components} components need at least {n_components + 2} voxels, and there are {len(affinity)}",
            remedy="ask for fewer components, or use a larger region",
        )
    low, high = float(affinity.min()), float(affinity.max())
    if not np.isfinite([low, high]).all():
        raise NumericsError("the affinity has entries that are not finite")
    largest, (least, most) = max(abs(low), abs(high)), LARGEST_ENTRY[affinity.dtype.name]
    if largest > 0 and not least <= largest <= most:
        raise NumericsError(
            f"the affinity's largest entry is {largest:.3g}, outside {least:g} to {most:g}", remedy="rescale it"
        )
    asymmetry = _asymmetry(affinity)
    if asymmetry > ROUNDING[affinity.dtype.name] * largest:
        raise NumericsError(f"the affinity is not symmetric: entries differ by up to {asymmetry:.3g}")
    return affinity if asymmetry == 0 else (affinity + affinity.T) / 2, low


def _asymmetry(matrix: Array, size: int = 256) -> float:
    """Largest |a_ij − a_ji|, by tiles that stay in the cache; a comparison is enough where they are equal."""
    largest = 0.0
    for row in range(0, len(matrix), size):
        for column in range(0, row + 1, size):
            below = matrix[row : row + size, column : column + size]
            above = matrix[column : column + size, row : row + size].T
            if not bool((below == above).all()):
                largest = max(largest, float(abs(below - above).max()))
    return largest
