"""Surfaces of label images: marching cubes on a mask, and on the average of many."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from thalgpu.engine.structure.mesh_geometry import outward_faces
from thalgpu.errors import NumericsError, UsageError

SMOOTHING_VOXELS = 1.0
"""SD of the Gaussian that takes the steps of voxels off a mask."""
AVERAGE_SPACING_MM = 1.5
"""Voxels of the average mask: a thalamus gets some 1,200 vertices."""
_FEWEST_VOXELS = 27


def mesh_of_mask(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of a mask's largest connected part, its holes filled.

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
    voxels = voxels_of_mask(mask)
    start = voxels.min(axis=0) - (int(np.ceil(4 * SMOOTHING_VOXELS)) + 1)
    field = np.zeros(voxels.max(axis=0) - 2 * start + voxels.min(axis=0) + 1)
    field[tuple((voxels - start).T)] = 1.0
    smooth = ndimage.gaussian_filter(field, SMOOTHING_VOXELS)
    level = float(np.partition(smooth.ravel(), -len(voxels))[-len(voxels)])
    return _surface(smooth, level, start, affine)


def mesh_of_average(
    places: Sequence[NDArray[np.float64]], voxel_volumes: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of the average of many masks, a template that favours no subject and no order of them.

    Parameters
    ----------
    places : (n_voxels, 3) mm of each subject's voxels, as `voxels_of_mask` finds them.
    voxel_volumes : mm³ of a voxel of each.

    Returns
    -------
    vertices, faces : as `mesh_of_mask`; centred where the masks are on average.

    Notes
    -----
    The masks are put upon each other by their centroids and averaged on a grid of 1.5 mm; the template encloses the
    mean volume.
    """
    centroids = [own.mean(axis=0) for own in places]
    reach = max(float(np.abs(own - centre).max()) for own, centre in zip(places, centroids, strict=True))
    half = int(np.ceil(reach / AVERAGE_SPACING_MM)) + 6
    density = np.zeros([2 * half + 1] * 3)
    for own, centre, volume in zip(places, centroids, voxel_volumes, strict=True):
        at = np.rint((own - centre) / AVERAGE_SPACING_MM).astype(np.int64) + half
        np.add.at(density, tuple(at.T), volume / AVERAGE_SPACING_MM**3 / len(places))
    # a voxel of the average is filled by several of the mask, or some are missed by a coarse one: smoothing evens that
    smooth = ndimage.gaussian_filter(density, SMOOTHING_VOXELS)
    volume = float(np.mean([len(own) * one for own, one in zip(places, voxel_volumes, strict=True)]))
    n_voxels = max(1, round(volume / AVERAGE_SPACING_MM**3))
    level = float(np.partition(smooth.ravel(), -n_voxels)[-n_voxels])
    affine = np.diag([*[AVERAGE_SPACING_MM] * 3, 1.0])
    affine[:3, 3] = np.mean(centroids, axis=0)
    return _surface(smooth, level, np.full(3, -half), affine)


def voxels_of_mask(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n_voxels, 3) indices of the largest part whose voxels share faces, its holes filled; NumericsError below 27."""
    marked = np.argwhere(mask)
    found = marked
    if len(marked):
        start, stop = marked.min(axis=0), marked.max(axis=0) + 1
        parts, _ = ndimage.label(mask[tuple(map(slice, start, stop))])
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))  # the first of equally large ones
        found = np.argwhere(ndimage.binary_fill_holes(parts == largest)) + start
    if len(found) < _FEWEST_VOXELS:
        raise NumericsError(
            f"{len(found)} connected voxels are no surface", remedy="give a label image that holds the thalamus"
        )
    return found


def _surface(
    field: NDArray[np.float64], level: float, start: NDArray[np.int64], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices, triangles, *_ = _marching_cubes()(field, level, allow_degenerate=False)
    vertices, faces = _largest_piece(vertices.astype(np.float64), triangles.astype(np.int64))
    places = (vertices + start) @ affine[:3, :3].T + affine[:3, 3]
    return places, outward_faces(places, faces)


def _largest_piece(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The connected part of a mesh with the most triangles: a smoothed mask may hold a void, or let go of a spur."""
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    edges = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(vertices),) * 2)
    piece = connected_components(edges, directed=False)[1]
    kept = piece == np.bincount(piece[faces[:, 0]]).argmax()
    number = np.cumsum(kept) - 1
    return vertices[kept], number[faces[kept[faces[:, 0]]]]


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
