"""Surfaces of label images: marching cubes on a mask, and on the average of many."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thalgpu.engine.structure.mesh_geometry import outward_faces
from thalgpu.errors import NumericsError, UsageError

SMOOTHING_VOXELS = 1.0
"""SD of the Gaussian that takes the steps of voxels off a mask."""
AVERAGE_SPACING_MM = 1.5
"""Voxels of the average mask: a thalamus gets some 1,200 vertices."""
_FEWEST_VOXELS = 27


def mesh_of_mask(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of a mask's largest connected part.

    Parameters
    ----------
    mask : (x, y, z) bool.
    affine : (4, 4) voxel indices to mm.

    Returns
    -------
    vertices : (n_vertices, 3) mm.
    faces : (n_faces, 3), normals outwards.

    Raises
    ------
    NumericsError
        For a mask of fewer than 27 voxels.
    UsageError
        When scikit-image is not installed.

    Notes
    -----
    Lewiner et al. 2003, doi:10.1080/10867651.2003.10487582. The mask is smoothed by a Gaussian of one voxel first, and
    the level taken is the one that as many voxels exceed as the mask has: the volume stays.
    """
    whole = _largest_part(mask)
    n_voxels = int(whole.sum())
    if n_voxels < _FEWEST_VOXELS:
        raise NumericsError(
            f"{n_voxels} connected voxels are no surface", remedy="give a label image that holds the thalamus"
        )
    box = ndimage.find_objects(whole.astype(np.int8))[0]
    pad = int(np.ceil(4 * SMOOTHING_VOXELS)) + 1
    smooth = ndimage.gaussian_filter(np.pad(whole[box].astype(np.float64), pad), SMOOTHING_VOXELS)
    level = float(np.partition(smooth.ravel(), -n_voxels)[-n_voxels])
    start = np.array([axis.start for axis in box]) - pad
    return _surface(smooth, level, start, affine)


def mesh_of_average(
    masks: Sequence[tuple[NDArray[np.bool_], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of the average of many masks, a template that favours no subject and no order of them.

    Parameters
    ----------
    masks : one (mask, affine) a subject, as `mesh_of_mask` takes them.

    Returns
    -------
    vertices, faces : as `mesh_of_mask`; centred where the masks are on average.

    Notes
    -----
    The masks' largest parts are put upon each other by their centroids and averaged on a grid of 1.5 mm; the template
    encloses the mean volume.
    """
    points = [_points_of(mask, affine) for mask, affine in masks]
    reach = max(float(np.abs(own).max()) for own, _, _ in points) + 6 * AVERAGE_SPACING_MM
    half = int(np.ceil(reach / AVERAGE_SPACING_MM))
    density = np.zeros([2 * half + 1] * 3)
    for own, _, voxel_volume in points:
        places = np.rint(own / AVERAGE_SPACING_MM).astype(np.int64) + half
        np.add.at(density, tuple(places.T), voxel_volume / AVERAGE_SPACING_MM**3 / len(points))
    # a voxel of the average is filled by several of the mask, or some are missed by a coarse one: smoothing evens that
    smooth = ndimage.gaussian_filter(density, SMOOTHING_VOXELS)
    n_voxels = max(1, round(float(np.mean([len(own) * volume for own, _, volume in points])) / AVERAGE_SPACING_MM**3))
    level = float(np.partition(smooth.ravel(), -n_voxels)[-n_voxels])
    affine = np.diag([*[AVERAGE_SPACING_MM] * 3, 1.0])
    affine[:3, 3] = np.mean([centroid for _, centroid, _ in points], axis=0)
    return _surface(smooth, level, np.full(3, -half), affine)


def _points_of(
    mask: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """(n_voxels, 3) mm from the centroid, the centroid, and the volume of a voxel."""
    places = np.argwhere(_largest_part(mask)) @ affine[:3, :3].T + affine[:3, 3]
    if len(places) < _FEWEST_VOXELS:
        raise NumericsError(f"{len(places)} connected voxels are no surface")
    centroid = places.mean(axis=0)
    return places - centroid, centroid, float(abs(np.linalg.det(affine[:3, :3])))


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest of the parts whose voxels share faces; the first of equals."""
    parts, n_parts = ndimage.label(mask)
    if n_parts == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(parts.ravel())[1:]
    largest: NDArray[np.bool_] = parts == 1 + int(np.argmax(sizes))
    return largest


def _surface(
    field: NDArray[np.float64], level: float, start: NDArray[np.int64], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices, faces, *_ = _marching_cubes()(field, level)
    places = (vertices.astype(np.float64) + start) @ affine[:3, :3].T + affine[:3, 3]
    return places, outward_faces(places, faces.astype(np.int64))


def _marching_cubes() -> Callable[..., Any]:
    try:
        from skimage.measure import marching_cubes  # an extra: only label images need it
    except ImportError as error:
        raise UsageError(
            "surfaces of label images need scikit-image",
            remedy="pip install 'thalgpu[meshing]', or give meshes with --meshes",
        ) from error
    found: Callable[..., Any] = marching_cubes
    return found
