"""Who touches whom: voxels by faces, edges or corners, vertices by the triangles of a mesh."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from thalgpu.engine.inference.model import Neighbours
from thalgpu.errors import NumericsError

_STEPS_APART = {6: 1, 18: 2, 26: 3}
"""Along how many axes neighbours may differ: voxels share a face, or an edge, or a corner."""


def volume_neighbours(ijk: NDArray[np.integer], connectivity: int) -> Neighbours:
    """Neighbours of voxels, given by where they are on the grid.

    Parameters
    ----------
    ijk : (n_voxels, 3) integers
        Each voxel once, in any order.
    connectivity : 6, 18 or 26
        Voxels touch where they share a face; or an edge; or a corner.

    Returns
    -------
    Of `dimensions` 3, each voxel of size 1.

    Raises
    ------
    NumericsError
        Another connectivity, coordinates of another shape or kind, a voxel given twice.
    """
    if connectivity not in _STEPS_APART:
        raise NumericsError(f"voxels have 6, 18 or 26 neighbours, not {connectivity}")
    ijk = np.asarray(ijk)
    if ijk.ndim != 2 or ijk.shape[1] != 3 or ijk.dtype.kind not in "iu":
        raise NumericsError(f"voxels must be integers of shape (n, 3), not {ijk.dtype} of shape {ijk.shape}")
    n_voxels = len(ijk)
    if n_voxels == 0:
        return _neighbours(_no_edges(), np.ones(0), 3)
    ijk = ijk.astype(np.int64) - ijk.min(axis=0).astype(np.int64) + 1
    shape = ijk.max(axis=0) + 2  # a margin of 1, so that no step leads around a corner of the grid
    if np.prod(shape.astype(np.float64)) > 2.0**62:
        raise NumericsError(f"voxels lie too far apart for one grid: {' × '.join(map(str, shape))}")
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    code = ijk @ strides
    order = np.argsort(code)
    ascending = code[order]
    if np.any(ascending[1:] == ascending[:-1]):
        raise NumericsError("a voxel is given twice")
    edges = []
    for step in _forward_steps(_STEPS_APART[connectivity]):
        target = ascending + step @ strides
        found = np.minimum(np.searchsorted(ascending, target), n_voxels - 1)
        hit = ascending[found] == target
        edges.append(np.stack([order[hit], order[found[hit]]], axis=1))
    return _neighbours(np.concatenate(edges), np.ones(n_voxels), 3)


def mesh_neighbours(
    faces: NDArray[np.integer],
    n_vertices: int,
    coordinates: NDArray[np.floating] | None = None,
    *,
    areas: bool = False,
    keep: NDArray[np.bool_] | NDArray[np.integer] | None = None,
) -> Neighbours:
    """Neighbours of the vertices of a triangle mesh: those that share an edge of a triangle.

    Parameters
    ----------
    faces : (n_faces, 3) integers below `n_vertices`.
    n_vertices : int
    coordinates : (n_vertices, 3) in mm; needed for areas only.
    areas : bool
        Whether a vertex is as large as a third of the triangles around it, in mm², as in PALM; or 1.
    keep : (n_vertices,) bool, or distinct indices of vertices; None for all.
        The mask or the order of the features. Areas are those on the whole mesh.

    Returns
    -------
    Of `dimensions` 2.

    Raises
    ------
    NumericsError
        Faces that are not triangles of existing vertices; areas without coordinates; a mask of another size.
    """
    faces = np.asarray(faces)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise NumericsError(f"faces must be integers of shape (n, 3), not {faces.dtype} of shape {faces.shape}")
    if faces.size and not 0 <= int(faces.min()) <= int(faces.max()) < n_vertices:
        raise NumericsError(f"faces name vertices {faces.min()} to {faces.max()}, the mesh has {n_vertices}")
    sizes = _vertex_areas(faces, n_vertices, coordinates) if areas else np.ones(n_vertices)
    edges = faces[:, [0, 1, 1, 2, 0, 2]].reshape(-1, 2).astype(np.int64)
    whole = _neighbours(edges[edges[:, 0] != edges[:, 1]], sizes, 2)
    return whole if keep is None else subset(whole, keep)


def from_sparse(matrix: Any) -> Neighbours:
    """Neighbours of a symmetric SciPy sparse matrix: features i and j touch where entry (i, j) is not 0.

    Returns
    -------
    Of `dimensions` 3, each feature of size 1; the diagonal is ignored.

    Raises
    ------
    NumericsError
        Not a square sparse matrix, or not symmetric.
    """
    is_sparse: bool = issparse(matrix)  # as a plain bool: the type guard would hide what every format can do
    if not is_sparse:
        raise NumericsError("neighbours must be a SciPy sparse matrix", remedy="one row and column a feature")
    entries = matrix.tocoo()
    if entries.shape[0] != entries.shape[1]:
        raise NumericsError(f"neighbours must be a square matrix, not {entries.shape}")
    present = (entries.data != 0) & (entries.row != entries.col)
    rows, columns = entries.row[present].astype(np.int64), entries.col[present].astype(np.int64)
    one_way, other_way = (np.unique(a * entries.shape[0] + b) for a, b in ((rows, columns), (columns, rows)))
    if not np.array_equal(one_way, other_way):
        raise NumericsError("neighbours must be mutual: the matrix is not symmetric")
    upward = rows < columns
    return _neighbours(np.stack([rows[upward], columns[upward]], axis=1), np.ones(entries.shape[0]), 3)


def subset(neighbours: Neighbours, keep: NDArray[np.bool_] | NDArray[np.integer]) -> Neighbours:
    """Neighbours among some of the features: a mask of them, or their distinct indices in the order wanted."""
    n_features = len(neighbours.sizes)
    keep = np.asarray(keep)
    if keep.dtype == np.bool_:
        if keep.shape != (n_features,):
            raise NumericsError(f"a mask of shape {keep.shape} does not fit {n_features} features")
        keep = np.flatnonzero(keep)
    if keep.ndim != 1 or (
        keep.size and (keep.dtype.kind not in "iu" or not 0 <= keep.min() <= keep.max() < n_features)
    ):
        raise NumericsError(f"features to keep must be a mask, or indices below {n_features}")
    place = np.full(n_features, -1)
    place[keep] = np.arange(keep.size)
    if np.any(place[keep] != np.arange(keep.size)):
        raise NumericsError("a feature is to be kept twice")
    edges = place[_edges(neighbours)]
    return _neighbours(edges[(edges >= 0).all(axis=1)], neighbours.sizes[keep], neighbours.dimensions)


def joined(parts: Sequence[Neighbours]) -> Neighbours:
    """Features of several parts in one row, as components or hemispheres are; none touches one of another part.

    Raises
    ------
    NumericsError
        No part at all, or voxels beside vertices, whose extents are not comparable.
    """
    if not parts:
        raise NumericsError("nothing to join")
    if len({part.dimensions for part in parts}) > 1:
        raise NumericsError("voxels and vertices in one map", remedy="test volumes and surfaces apart")
    starts = np.cumsum([0, *(len(part.sizes) for part in parts)])
    edges = np.concatenate([_edges(part) + start for part, start in zip(parts, starts[:-1], strict=True)])
    return _neighbours(edges, np.concatenate([part.sizes for part in parts]), parts[0].dimensions)


def _no_edges() -> NDArray[np.int64]:
    return np.empty((0, 2), np.int64)


def _forward_steps(axes: int) -> Iterable[NDArray[np.int64]]:
    """One of each two opposite steps to a voxel that differs along 1 to `axes` axes, by 1."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(27, 3)
    return (step for step in steps[14:] if np.abs(step).sum() <= axes)


def _vertex_areas(
    faces: NDArray[np.integer], n_vertices: int, coordinates: NDArray[np.floating] | None
) -> NDArray[np.float64]:
    """A third of the area of every triangle to each of its corners."""
    if coordinates is None:
        raise NumericsError("areas of vertices need their coordinates")
    points = np.asarray(coordinates, dtype=np.float64)
    if points.shape != (n_vertices, 3) or not np.isfinite(points).all():
        raise NumericsError(f"coordinates must be finite, of shape ({n_vertices}, 3), not {points.shape}")
    a, b, c = points[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.bincount(faces.ravel(), weights=np.repeat(area / 3, 3), minlength=n_vertices).astype(
        np.float64, copy=False
    )


def _edges(neighbours: Neighbours) -> NDArray[np.int64]:
    """(n_edges, 2) pairs of features, each in both orders."""
    rows = np.repeat(np.arange(len(neighbours.sizes)), np.diff(neighbours.indptr))
    return np.stack([rows, neighbours.indices.astype(np.int64)], axis=1)


def _neighbours(edges: NDArray[np.int64], sizes: NDArray[np.float64], dimensions: Literal[2, 3]) -> Neighbours:
    """Rows of neighbours from pairs in any order and number, either way around."""
    n_features = len(sizes)
    both = np.concatenate([edges, edges[:, ::-1]])
    codes = np.sort(both[:, 0] * n_features + both[:, 1])
    codes = codes[np.append(True, codes[1:] != codes[:-1])[: codes.size]]
    rows, indices = np.divmod(codes, max(n_features, 1))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_features))])
    return Neighbours(indptr.astype(np.int32), indices.astype(np.int32), np.asarray(sizes, np.float64), dimensions)
