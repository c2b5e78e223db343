"""Triangle meshes: orientation, normals, areas, enclosed volume, and the Laplacian."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from thalgpu.errors import NumericsError

_THINNEST = 1e-6
"""Sine of an angle below which its cotangent is cut off."""


def signed_volume(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> float:
    """Volume that a closed mesh encloses, mm³; negative where the faces' order makes the normals point inwards."""
    a, b, c = (vertices - vertices.mean(axis=0))[faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0


def outward_faces(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """The faces in the order that makes their normals point outwards: counter-clockwise as seen from outside."""
    turned = faces[:, ::-1] if signed_volume(vertices, faces) < 0 else faces
    return np.ascontiguousarray(turned, np.int64)


def outward_normals(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Unit normals of the vertices, pointing outwards whatever the order of the faces.

    Parameters
    ----------
    vertices : (n_vertices, 3).
    faces : (n_faces, 3) vertex numbers; all wound the same way.

    Returns
    -------
    (n_vertices, 3) : the sum of the adjoining triangles' normals, each weighted by its area.

    Raises
    ------
    NumericsError
        When the mesh encloses no volume, or a vertex has no normal.
    """
    volume = signed_volume(vertices, faces)
    extent = float(np.ptp(vertices, axis=0).max())
    if not abs(volume) > 1e-9 * extent**3:
        raise NumericsError("the mesh encloses no volume, so that nothing is outside", remedy="give a closed surface")
    a, b, c = vertices[faces].transpose(1, 0, 2)
    sums = _sum_at_vertices(faces, np.cross(b - a, c - a), len(vertices)) * np.sign(volume)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    if not (length > 0).all():
        raise NumericsError(
            f"vertex {int(np.argmin(length))} of the mesh has no normal", remedy="give a mesh whose triangles have area"
        )
    normals: NDArray[np.float64] = sums / length
    return normals


def vertex_areas(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n_vertices,) mm²: a third of the area of every triangle to each of its corners."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2.0
    return np.bincount(faces.ravel(), np.repeat(area / 3.0, 3), minlength=len(vertices)).astype(np.float64)


def cotangent_laplacian(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> sparse.csc_array:
    """Stiffness matrix K, (n_vertices, n_vertices), symmetric, rows summing to 0; x'Kx is the Dirichlet energy of x.

    Notes
    -----
    Pinkall & Polthier 1993, doi:10.1080/10586458.1993.10504266. The cotangents of needles are cut off, so that no entry
    is infinite.
    """
    n_vertices = len(vertices)
    rows, columns, weights = [], [], []
    for corner in range(3):
        tip, first, second = (faces[:, (corner + step) % 3] for step in range(3))
        u, v = vertices[first] - vertices[tip], vertices[second] - vertices[tip]
        cross = np.linalg.norm(np.cross(u, v), axis=1)
        floor = _THINNEST * np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        floor = np.where(floor > 0, floor, 1.0)  # two corners at one place: no angle, a weight of 0
        rows.append(first)
        columns.append(second)
        weights.append(np.einsum("ij,ij->i", u, v) / np.maximum(cross, floor) / 2.0)
    half = sparse.coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(n_vertices, n_vertices)
    )
    joined = (half + half.T).tocsr()
    degrees = np.asarray(joined.sum(axis=1)).ravel()
    return sparse.csc_array(sparse.diags_array(degrees) - joined)


def mean_edge(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> float:
    """Mean length of the triangles' sides, mm."""
    corners = vertices[faces]
    return float(np.linalg.norm(corners - corners[:, [1, 2, 0]], axis=2).mean())


def _sum_at_vertices(faces: NDArray[np.integer], values: NDArray[np.float64], n_vertices: int) -> NDArray[np.float64]:
    return np.column_stack(
        [np.bincount(faces.ravel(), np.repeat(column, 3), minlength=n_vertices) for column in values.T]
    )
