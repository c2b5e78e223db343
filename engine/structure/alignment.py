"""Bring shapes with corresponding vertices into one position: generalised Procrustes analysis."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalgpu.errors import NumericsError

ShapeAlignment: TypeAlias = Literal["rigid", "similarity", "none"]

MAX_ITERATIONS = 200
TOLERANCE = 1e-10
"""Change of the mean shape, relative to its size, below which it is final."""


@dataclass(frozen=True)
class AlignedShapes:
    """Shapes in one position.

    Attributes
    ----------
    shapes : (n_subjects, n_vertices, 3) mm.
    mean : (n_vertices, 3) mm, their mean, where the subjects' own coordinates lie on average.
    rotations : (n_subjects, 3, 3), determinant 1.
    scales : (n_subjects,), 1 unless sizes were removed.
    n_iterations : how often the mean was made anew.
    converged : whether the mean had settled by then.

    Notes
    -----
    A shape x of a subject is `scale · (x − centroid) @ rotation + mean centroid`.
    """

    shapes: NDArray[np.float64]
    mean: NDArray[np.float64]
    rotations: NDArray[np.float64]
    scales: NDArray[np.float64]
    n_iterations: int
    converged: bool


def align_shapes(shapes: ArrayLike, method: ShapeAlignment = "rigid") -> AlignedShapes:
    """Generalised Procrustes analysis of meshes whose vertices correspond.

    Parameters
    ----------
    shapes : (n_subjects, n_vertices, 3) mm
        Not modified.
    method : str
        "rigid" removes position and orientation; "similarity" the size too: every shape gets the mean centroid size;
        "none" leaves all as it is, for meshes that lie in a common space.

    Returns
    -------
    AlignedShapes
        Turned as a whole so that the mean lies as the subjects' own coordinates do on average.

    Raises
    ------
    NumericsError
        For another shape, NaN, fewer than three vertices, or a mesh without extent.

    Notes
    -----
    Gower 1975, doi:10.1007/BF02291478: each shape is rotated to the mean of all, and the mean made anew, until it
    settles. Rotations are those of Kabsch 1976, doi:10.1107/S0567739476001873, with determinant 1: a left thalamus
    never becomes a right one. Sizes are removed as in Dryden & Mardia's partial Procrustes analysis. FSL's
    `first_utils` registers to a fixed template instead of to the mean of the sample.
    """
    points = _checked(shapes)
    n_subjects = len(points)
    rotations, scales = np.tile(np.eye(3), (n_subjects, 1, 1)), np.ones(n_subjects)
    if method == "none":
        return AlignedShapes(points, points.mean(axis=0), rotations, scales, 0, True)
    centroids = points.mean(axis=1)
    centred = points - centroids[:, None]
    if method == "similarity":
        sizes = np.sqrt((centred**2).sum(axis=(1, 2)))
        scales = sizes.mean() / sizes
        centred *= scales[:, None, None]
    rotations, n_iterations, converged = _rotate_to_mean(centred)
    aligned = np.einsum("svi,sij->svj", centred, rotations) + centroids.mean(axis=0)
    return AlignedShapes(aligned, aligned.mean(axis=0), rotations, scales, n_iterations, converged)


def rotations_between(sources: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations R, determinant 1, that bring centred points closest to others: least ‖source R − target‖.

    Parameters
    ----------
    sources : (..., n_vertices, 3), centred.
    targets : (..., n_vertices, 3), centred; broadcast.

    Returns
    -------
    (..., 3, 3).
    """
    products = np.einsum("...vi,...vj->...ij", sources, targets)
    left, _, right = np.linalg.svd(products)
    left[..., :, -1] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[..., None]
    rotations: NDArray[np.float64] = left @ right
    return rotations


def _rotate_to_mean(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], int, bool]:
    """A rotation a subject, the number of rounds, and whether the mean had settled."""
    mean = centred[0]
    size = float(np.linalg.norm(mean))
    converged = False
    n_iterations = 0
    while not converged and n_iterations < MAX_ITERATIONS:
        rotations = rotations_between(centred, mean)
        renewed = np.einsum("svi,sij->vj", centred, rotations) / len(centred)
        converged = float(np.linalg.norm(renewed - mean)) <= TOLERANCE * size
        mean = renewed
        n_iterations += 1
    # the mean has the first subject's orientation: no subject's is special, the average of all is
    home = rotations_between(mean, centred.mean(axis=0))
    return rotations @ home, n_iterations, converged


def _checked(shapes: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(shapes, np.float64)
    if points.ndim != 3 or points.shape[2] != 3 or not (len(points) and points.shape[1] >= 3):
        raise NumericsError(f"shapes must be (n_subjects, n_vertices, 3), with 3 or more vertices, not {points.shape}")
    if not np.isfinite(points).all():
        raise NumericsError("shapes hold NaN or Inf")
    if not (np.ptp(points, axis=1).max(axis=1) > 0).all():
        raise NumericsError("a shape whose vertices all lie at one point has no orientation")
    return points
