"""Affinity of rows from their Gram matrix."""

import math

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device
from thalgpu.kernels.gram import mirror

KERNELS = ("normalized_angle", "cosine", "pearson", "spearman", "gaussian", "eta2")
CENTRED = ("pearson", "spearman", "gaussian", "eta2")
_ROWS = 64
_TILE, _TILE_ROWS = 32, 8
_ROUNDING = 8.0
_SMALLEST = 2.0**26
"""Squared norms below so many times the smallest normal number have lost digits, and their inverse may overflow."""


def affinity_from_gram(
    gram: Array, means: Array, n_targets: int, kernel: str, /, *, non_negative: bool = True, gamma: float | None = None
) -> Array:
    """Turn the products of all pairs of rows into their affinities, written over the Gram matrix.

    Parameters
    ----------
    gram : (n, n) float32 or float64
        Symmetric; nothing above the diagonal is read. Products of the rows for "cosine" and "normalized_angle";
        products of the rows after each one's mean has been taken off for the kernels in `CENTRED` (for "spearman", of
        the rows' ranks). Overwritten.
    means : (n,) float64
        Mean of each row; read only by the kernels in `CENTRED`.
    n_targets : length p of a row.
    kernel : one of `KERNELS`.
    non_negative : whether negative affinities are set to zero.
    gamma : inverse width of "gaussian"; 1 / n_targets by default.

    Returns
    -------
    affinity : (n, n), the same array
        Exactly symmetric, 1 on the diagonal. Rows and columns of a row that has no direction are zero: all zero, or,
        for "pearson" and "spearman", constant. BrainSpace gives 0.5 or NaN there.

    Raises
    ------
    NumericsError
        Unknown kernel, gamma not positive, products that overflow, or products too small to divide by.

    Notes
    -----
    With g the Gram matrix, q its diagonal and μ the means:

    - cosine g_ij / √(q_i q_j); pearson and spearman are the same of centred rows
    - normalized_angle 1 - acos(cosine) / π
    - gaussian exp(-γ d²), d² = q_i + q_j - 2 g_ij + p (μ_i - μ_j)²
    - eta2, the share of a pair's variation about its grand mean that is not within the pair
      (doi:10.1016/j.neuroimage.2008.01.066): (½ (q_i + q_j) + g_ij) / (q_i + q_j + ½ p (μ_i - μ_j)²).
      Equal to 1 - SS_within / SS_total, but free of its cancellation, since q and g are of centred rows.
    """
    xp = get_namespace(gram)
    _require_usable(kernel, gamma)
    q = xp.diagonal(gram).copy()
    if not bool(xp.isfinite(q).all()):
        raise NumericsError("connectivity values are too large: their products overflow", remedy="rescale them")
    root = math.sqrt(n_targets)
    offset = ((means - means.mean()) * root).astype(gram.dtype) if kernel in CENTRED else q
    present = _has_direction(q, means * root, kernel)
    if kernel not in ("gaussian", "eta2") and bool((present & (q < _SMALLEST * xp.finfo(q.dtype).tiny)).any()):
        raise NumericsError("connectivity values are too small: their products vanish", remedy="rescale them")
    gamma = 1 / n_targets if gamma is None else gamma
    (_on_device if is_device(gram) else _on_host)(gram, q, offset, present, kernel, non_negative, gamma)
    return gram


def _on_host(
    gram: Array, q: Array, offset: Array, present: Array, kernel: str, non_negative: bool, gamma: float
) -> None:
    xp = get_namespace(gram)
    for start in range(0, len(gram), _ROWS):
        rows = slice(start, start + _ROWS)
        block = gram[rows, : start + _ROWS]
        if kernel == "eta2":
            _eta2(block, q, offset, rows)
        elif kernel == "gaussian":
            _gaussian(block, q, offset, rows, gamma)
        else:
            _cosine(block, xp.where(present, q, 1), rows, angle=kernel == "normalized_angle")
        if non_negative:
            xp.maximum(block, 0, out=block)
    gram[~present], gram[:, ~present] = 0, 0
    gram[xp.arange(len(gram)), xp.arange(len(gram))] = present
    mirror(gram)


def _on_device(
    gram: Array, q: Array, offset: Array, present: Array, kernel: str, non_negative: bool, gamma: float
) -> None:
    """One pass over the lower triangle, which writes both."""
    xp = get_namespace(gram)
    name = kernel if kernel in ("eta2", "gaussian", "normalized_angle") else "cosine"
    of_rows = (q, offset) if kernel in ("eta2", "gaussian") else (1 / xp.sqrt(xp.where(present, q, 1)),)
    args = (gram, *of_rows, present, *int32(len(gram)), np.bool_(non_negative))
    width = (gram.dtype.type(gamma),) if kernel == "gaussian" else ()
    tiles = (-(-len(gram) // _TILE),) * 2
    launch("affinity", f"{name}_f{8 * gram.itemsize}", grid=tiles, block=(_TILE, _TILE_ROWS), args=(*args, *width))


def _require_usable(kernel: str, gamma: float | None) -> None:
    if kernel not in KERNELS:
        raise NumericsError(f"unknown kernel {kernel!r}", remedy=f"choose one of {', '.join(KERNELS)}")
    if gamma is not None and not 0 < gamma < math.inf:
        raise NumericsError(f"gamma {gamma} is not a positive number")


def _has_direction(q: Array, offset: Array, kernel: str) -> Array:
    """(n,) bool: rows that differ from zero; for correlations, from a constant, by more than its rounding."""
    if kernel in ("pearson", "spearman"):
        rounding: float = _ROUNDING * float(get_namespace(q).finfo(q.dtype).eps)
        return q > (rounding * offset) ** 2
    return (q > 0) | (offset != 0) if kernel in CENTRED else q > 0


def _cosine(block: Array, q: Array, rows: slice, *, angle: bool) -> None:
    """Normalise some rows of products, up to the diagonal, in place."""
    xp = get_namespace(block)
    scale = 1 / xp.sqrt(q)
    block *= scale[rows, None]
    block *= scale[: block.shape[1]]
    xp.clip(block, -1, 1, out=block)
    if angle:
        xp.arccos(block, out=block)
        block *= -1 / math.pi
        block += 1


def _gaussian(block: Array, q: Array, offset: Array, rows: slice, gamma: float) -> None:
    xp = get_namespace(block)
    block *= -2
    columns = slice(block.shape[1])
    block += q[rows, None] + q[columns]
    block += (offset[rows, None] - offset[columns]) ** 2
    xp.maximum(block, 0, out=block)
    block *= -gamma
    xp.exp(block, out=block)


def _eta2(block: Array, q: Array, offset: Array, rows: slice) -> None:
    columns = slice(block.shape[1])
    both = q[rows, None] + q[columns]
    block += both / 2
    both += (offset[rows, None] - offset[columns]) ** 2 / 2
    if not bool(both.all()):
        block[both == 0], both[both == 0] = 1, 1
    block /= both
