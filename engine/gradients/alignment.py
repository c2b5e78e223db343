"""Bring gradients into a common orientation: Procrustes, generalised Procrustes, and the two hemispheres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.gradients.options import require_whole
from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array, get_namespace, like, to_host

MAX_ITERATIONS = 10
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Alignment:
    """Gradients in the orientation of others.

    Attributes
    ----------
    aligned : (n_voxels, n_components), dtype of the source, float64 for integers; `source @ rotation`.
    rotation : (n_components, n_components) float64 on the host, orthogonal.
    """

    aligned: Array
    rotation: NDArray[np.float64]


@dataclass(frozen=True)
class GroupAlignment:
    """Gradients of several subjects in one orientation.

    Attributes
    ----------
    reference : (n_voxels, n_components) float64: the mean of what is aligned.
    subjects : one `Alignment` a subject, in order.
    n_iterations : how often the reference was made anew.
    """

    reference: Array
    subjects: tuple[Alignment, ...]
    n_iterations: int


def procrustes(source: Array, target: Array, *, n_align: int | None = None, covered: Array | None = None) -> Alignment:
    """Rotate and reflect gradients onto others.

    Parameters
    ----------
    source : (n_voxels, n_components) float
        Not modified.
    target : (n_voxels, n_components) float
        Not modified.
    n_align : int, optional
        Only the first so many components are rotated among themselves; all when left out or larger than n_components.
        The others are left as they are but for their sign, which is turned to a positive product with the target's.
    covered : (n_voxels,) bool, optional
        Rows that the rotation is estimated from: those with a signal in both. Every row is then rotated; rows of
        zeros stay zeros.

    Returns
    -------
    Alignment

    Raises
    ------
    NumericsError
        Not arrays of numbers, shapes that differ, values that are not finite, or a `covered` that is not boolean, of
        another length, or nowhere true.
    UsageError
        n_align is not a whole number above 0.

    Notes
    -----
    Schönemann 1966, doi:10.1007/BF02289451. U Σ V' = svd((target' source)'), rotation T = U V': the orthogonal T that
    minimises ‖source T − target‖. Nothing is centred or scaled, as is BrainSpace's default. Sums are in float64. More
    components make T easier to determine but let lower gradients leak into the first: report `n_align`.
    """
    namespace = get_namespace(source, target)
    source, target = as_floats("source", source), as_floats("target", target)
    if source.shape != target.shape:
        raise NumericsError(f"gradients of shape {source.shape} cannot be aligned to those of shape {target.shape}")
    if n_align is not None:
        require_whole("n_align", n_align)
    wide, goal = source.astype(namespace.float64), target.astype(namespace.float64)
    rows = slice(None) if covered is None else _checked_rows(covered, len(source))
    product = to_host(wide[rows].T @ goal[rows])
    if not np.isfinite(product).all():
        raise NumericsError("gradients to align are not finite")
    rotation = _rotation(product, n_align)
    return Alignment((wide @ like(rotation, wide)).astype(source.dtype), rotation)


def _checked_rows(covered: Array, n_voxels: int) -> Array:
    """The mask of rows; NumericsError where it is something else, such as a list of indices."""
    shape, dtype = getattr(covered, "shape", None), getattr(covered, "dtype", type(covered).__name__)
    if shape != (n_voxels,) or dtype != np.dtype(bool) or isinstance(covered, np.ma.MaskedArray):
        raise NumericsError(f"covered must be an array of {n_voxels} booleans, not {dtype} of shape {shape}")
    if not bool(covered.any()):
        raise NumericsError("covered holds for no voxel, so there is nothing to align by")
    return covered


def _rotation(product: NDArray[np.float64], n_align: int | None) -> NDArray[np.float64]:
    """The orthogonal matrix for source' target: free in its leading block, ±1 on the rest of its diagonal."""
    rotation = np.diag(np.where(np.diagonal(product) < 0, -1.0, 1.0))
    left, _, right = np.linalg.svd(product[:n_align, :n_align])
    rotation[:n_align, :n_align] = left @ right
    return rotation


def generalised_procrustes(
    gradients: Sequence[Array], reference: Array | None = None, *, n_align: int | None = None
) -> GroupAlignment:
    """Align the gradients of several subjects to their own mean, again and again.

    Parameters
    ----------
    gradients : sequence of (n_voxels, n_components) float
        Every subject over the same voxels. Not modified.
    reference : (n_voxels, n_components) float, optional
        What the first round aligns to. When left out, the mean of all after alignment to the first subject, as in
        BrainSpace: the result then depends on who comes first; a pooled template makes it independent of order.
    n_align : int, optional
        As in `procrustes`.

    Returns
    -------
    GroupAlignment

    Raises
    ------
    NumericsError
        No subjects, shapes that differ, or values that are not finite.

    Notes
    -----
    Gower 1975, doi:10.1007/BF02291478. At most 10 rounds; they end when ‖reference − new reference‖² changes by less
    than 1e-5 from one round to the next. Differs from BrainSpace in: the subjects are aligned to the reference that is
    returned, not to the one before it.
    """
    gradients = [as_floats("gradients", one) for one in gradients]
    reference, n_iterations = generalised_reference(gradients, reference, n_align=n_align)
    subjects = tuple(procrustes(one, reference, n_align=n_align) for one in gradients)
    return GroupAlignment(reference, subjects, n_iterations)


def generalised_reference(
    gradients: Sequence[Array], reference: Array | None = None, *, n_align: int | None = None
) -> tuple[Array, int]:
    """The reference of `generalised_procrustes` and its number of rounds, without everybody's aligned gradients."""
    if not gradients:
        raise NumericsError("there are no gradients to align")
    if reference is None:
        reference = _mean_aligned(gradients, gradients[0], n_align)
    reference = as_floats("reference", reference)
    moved = np.inf
    for n_iterations in range(1, MAX_ITERATIONS + 1):  # noqa: B007 -- how many there were is part of the result
        renewed = _mean_aligned(gradients, reference, n_align)
        before, moved = moved, float(((renewed - reference) ** 2).sum())
        reference = renewed
        if abs(before - moved) < TOLERANCE:
            break
    return reference, n_iterations


def _mean_aligned(gradients: Sequence[Array], reference: Array, n_align: int | None) -> Array:
    """(n_voxels, n_components) float64 mean of all after alignment, added up in order."""
    namespace = get_namespace(reference)
    total = namespace.zeros(reference.shape, dtype=namespace.float64)
    for one in gradients:
        total += procrustes(one, reference, n_align=n_align).aligned
    mean: Array = total / len(gradients)
    return mean


def mirror_correspondence(xyz_left: NDArray[np.float64], xyz_right: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the left voxel nearest to the mirror image of each right voxel.

    Parameters
    ----------
    xyz_left : (n_left, 3) float64
        Coordinates in mm, x from left to right with the midplane at 0.
    xyz_right : (n_right, 3) float64
        Likewise.

    Returns
    -------
    (n_right,) int64
        Row of `xyz_left` for each row of `xyz_right`, so that `left_gradients[rows]` can be the target of a right
        template.
    """
    from scipy.spatial import cKDTree  # a tenth of a second, for which no worker need wait

    mirrored = np.asarray(xyz_right, dtype=np.float64) * (-1.0, 1.0, 1.0)
    return np.asarray(cKDTree(xyz_left).query(mirrored)[1], dtype=np.int64)
