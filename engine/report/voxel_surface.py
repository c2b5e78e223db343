"""A smooth surface around voxels, to draw them in space."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_SHRINK, _GROW = 0.5, -0.53
_ROUNDS = 12
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


def voxel_surface(
    ijk: NDArray[np.int32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], csr_matrix]:
    """Faces between voxels and their outside, smoothed without shrinking (Taubin 1995, doi 10.1145/218380.218473).

    Parameters
    ----------
    ijk : (n_voxels, 3) voxel indices.
    affine : (4, 4) voxel indices to mm.

    Returns
    -------
    coordinates : (n_vertices, 3) mm.
    faces : (n_faces, 3) vertices.
    mean : (n_vertices, n_voxels) sparse: its product with values of the voxels is the mean of those around a vertex.
    """
    quads, owners = _outer_faces(ijk)
    corners, vertex = np.unique(quads.reshape(-1, 3), axis=0, return_inverse=True)
    vertex = vertex.reshape(-1, 4)
    faces = np.concatenate([vertex[:, [0, 1, 2]], vertex[:, [0, 2, 3]]])
    around = csr_matrix((np.ones(vertex.size), (vertex.ravel(), np.repeat(owners, 4))), shape=(len(corners), len(ijk)))
    smooth = _taubin(corners.astype(np.float64) - 0.5, vertex)
    return smooth @ affine[:3, :3].T + affine[:3, 3], faces, _row_means(around)


def _outer_faces(ijk: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_quads, 4, 3) corners of voxels' faces that touch no other voxel, in voxel indices; and whose they are."""
    low = ijk.min(axis=0) - 1
    place = (ijk - low).astype(np.int64)
    inside = np.zeros(place.max(axis=0) + 2, dtype=bool)
    inside[tuple(place.T)] = True
    quads, owners = [], []
    for axis in range(3):
        for ahead in (0, 1):
            neighbour = place.copy()
            neighbour[:, axis] += 2 * ahead - 1
            outer = np.flatnonzero(~inside[tuple(neighbour.T)])
            corners = np.repeat(ijk[outer, None].astype(np.int64), 4, axis=1)
            corners[:, :, axis] += ahead
            corners[:, :, [(axis + 1) % 3, (axis + 2) % 3]] += _CORNERS
            quads.append(corners if ahead else corners[:, ::-1])  # seen from outside, counter-clockwise
            owners.append(outer)
    return np.concatenate(quads), np.concatenate(owners)


def _taubin(vertices: NDArray[np.float64], quads: NDArray[np.int64]) -> NDArray[np.float64]:
    ends = np.concatenate([quads, np.roll(quads, 1, axis=1)], axis=1).ravel()
    starts = np.concatenate([np.roll(quads, 1, axis=1), quads], axis=1).ravel()
    edges = csr_matrix((np.ones(len(ends)), (starts, ends)), shape=(len(vertices),) * 2)
    edges.data[:] = 1.0
    mean = _row_means(edges)
    for _ in range(_ROUNDS):
        for step in (_SHRINK, _GROW):
            vertices = vertices + step * (mean @ vertices - vertices)
    return vertices


def _row_means(weights: csr_matrix) -> csr_matrix:
    total = np.asarray(weights.sum(axis=1)).ravel()
    return csr_matrix(weights.multiply(1.0 / total[:, None]))
