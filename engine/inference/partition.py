"""Split a design, for one contrast, into what is tested and what is nuisance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast
from thalgpu.errors import NumericsError

_RANK = 1e-12
"""Singular values below this part of the largest are rounding."""

_LEAST_LEFT = 1e-10
"""What must be left of a tested column once the nuisance is taken out of it, as part of its norm."""


@dataclass(frozen=True)
class Partition:
    """A design in two orthogonal parts.

    Attributes
    ----------
    effect : (n_subjects, rank) float64
        Orthonormal basis of the tested space, orthogonal to the nuisance. For a t contrast one column, along which the
        contrast's estimate grows.
    nuisance : (n_subjects, n_nuisance) float64
        Orthonormal basis of what the design explains when the contrast is zero.
    df : degrees of freedom of the residual: subjects less the rank of the design.
    estimate_scale : a t contrast's estimate is this times the product of `effect` with the values; the estimate's
        standard error is this times that of the residuals. NaN for F.
    """

    effect: NDArray[np.float64]
    nuisance: NDArray[np.float64]
    df: int
    estimate_scale: float


def partition(matrix: NDArray[np.float64], contrast: Contrast) -> Partition:
    """Rewrite the model M β as X β_x + Z β_z, in which the contrast is zero exactly when β_x is.

    Parameters
    ----------
    matrix : (n_subjects, n_columns) float64
        The design M.
    contrast : its weights are C, a hypothesis a row.

    Raises
    ------
    NumericsError
        The contrast is zero, a t contrast of several rows, cannot be estimated, or leaves no degrees of freedom.

    Notes
    -----
    X = M C⁺ and Z = M N, where N spans the null space of C (Ridgway's partition; Winkler et al. 2014,
    doi:10.1016/j.neuroimage.2014.01.060, appendix A). Z spans the same space in Beckmann's partition, and his X is
    this one less its projection on Z. With one row, the coefficient of X is the contrast's estimate C β. The columns of
    M are brought to unit norm first, which changes neither space, so that units of measurement do not matter. Rows of
    an F test that depend on others are counted once.
    """
    if contrast.kind == "t" and len(contrast.weights) != 1:
        raise NumericsError(f"contrast {contrast.name!r} has several rows", remedy="test them together by F")
    norms = np.linalg.norm(matrix, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    design, weights = matrix / norms, contrast.weights / norms
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    if not weights.size or not lengths.all():
        raise NumericsError(f"contrast {contrast.name!r} is zero: it tests nothing", remedy="weigh at least one column")
    _, sizes, rows = np.linalg.svd(weights / lengths)
    rank = int((sizes > _RANK * sizes[0]).sum())
    nuisance = orthonormal(design @ rows[rank:].T)
    tested = design @ rows[:rank].T
    left = without(tested, nuisance)
    lost = np.linalg.norm(left, axis=0) <= _LEAST_LEFT * np.linalg.norm(tested, axis=0)
    effect = left[:, :0] if lost.any() else orthonormal(left)
    if effect.shape[1] < rank:
        raise NumericsError(
            f"contrast {contrast.name!r} cannot be estimated from this design",
            remedy="leave out columns that are combinations of others",
        )
    df = len(matrix) - nuisance.shape[1] - rank
    if df < 1:
        raise NumericsError(
            f"{len(matrix)} subjects leave no residual beside the {nuisance.shape[1] + rank} columns of the design",
            remedy="drop columns, or include more subjects",
        )
    if contrast.kind == "f":
        return Partition(effect, nuisance, df, float("nan"))
    # X = M c / |c|² is `tested` (whose sign the decomposition chose) over ±|c|
    sign = 1.0 if float(weights[0] @ rows[0]) > 0 else -1.0
    return Partition(sign * left / np.linalg.norm(left), nuisance, df, float(lengths[0, 0] / np.linalg.norm(left)))


def orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis of the space that some columns span; their sizes do not matter."""
    sizes = np.linalg.norm(columns, axis=0)
    kept = columns[:, sizes > _RANK * sizes.max(initial=0.0)]
    vectors, singular, _ = np.linalg.svd(kept / np.linalg.norm(kept, axis=0), full_matrices=False)
    return np.ascontiguousarray(vectors[:, singular > _RANK * singular.max(initial=0.0)])


def without(columns: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns less their projection on an orthonormal basis; twice, so that rounding leaves nothing of it."""
    for _ in range(2):
        columns = columns - basis @ (basis.T @ columns)
    return columns
