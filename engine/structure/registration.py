"""Give a surface the vertices of a template: similarity registration, then a smooth field of displacements."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from thalgpu.engine.structure.alignment import rotations_between
from thalgpu.engine.structure.mesh_geometry import (
    cotangent_laplacian,
    mean_edge,
    outward_normals,
    vertex_areas,
)

STIFFNESS = (256.0, 64.0, 16.0, 4.0, 1.0, 0.25)
"""Weights of the field's smoothness, one stage each, from nearly rigid to supple."""
ROUNDS = 6
"""Pairs of points are found anew so often in every stage."""
MOST_ICP_ROUNDS = 60
_SETTLED_MM = 1e-4
_FREE = 1e-6
"""Directions of a similarity that the surface fixes less than this, relative to the best, are left alone."""
_NORMAL_WEIGHT = 4.0
"""Pairs whose normals are at right angles count as this many mm·√2 farther apart: the far side never attracts."""


@dataclass(frozen=True)
class RegisteredMesh:
    """A template brought onto a surface.

    Attributes
    ----------
    vertices : (n_vertices, 3) mm, those of the template, on the surface.
    posed : (n_vertices, 3) mm, the same without the surface's own position and orientation: where the template lies.
    scale : its centroid size relative to the template's.
    residual_mean, residual_max : distance between the two surfaces in mm, from the template's vertices to the surface
        and from the surface's to the template; the mean of both directions, and the largest of all.
    """

    vertices: NDArray[np.float64]
    posed: NDArray[np.float64]
    scale: float
    residual_mean: float
    residual_max: float


@dataclass(frozen=True)
class _Surface:
    """A surface that points are brought to: its vertices, their normals, and a search tree over both."""

    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    tree: cKDTree

    @classmethod
    def of(cls, vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> "_Surface":
        normals = outward_normals(vertices, faces)
        return cls(vertices, normals, cKDTree(np.hstack([vertices, _NORMAL_WEIGHT * normals])))

    def nearest(self, points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.int64]:
        """(n_points,) : the nearest vertices that face the same way."""
        return np.asarray(self.tree.query(np.hstack([points, _NORMAL_WEIGHT * normals]))[1], np.int64)

    def closest(self, points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_points, 3) : feet on the tangent planes of the nearest vertices."""
        nearest = self.nearest(points, normals)
        normal = self.normals[nearest]
        height = np.einsum("ij,ij->i", points - self.vertices[nearest], normal)
        feet: NDArray[np.float64] = points - height[:, None] * normal
        return feet


def register_template(
    template: NDArray[np.float64],
    template_faces: NDArray[np.integer],
    vertices: NDArray[np.float64],
    faces: NDArray[np.integer],
) -> RegisteredMesh:
    """Deform a template mesh onto a surface, so that subjects' meshes have corresponding vertices.

    Parameters
    ----------
    template, template_faces : (n_vertices, 3) mm and its triangles, closed.
    vertices, faces : the surface, closed; any number of vertices. Roughly oriented as the template (within some 40°).

    Returns
    -------
    RegisteredMesh
        With the distances that are left, which say whether to trust it.

    Raises
    ------
    NumericsError
        For surfaces without volume.

    Notes
    -----
    1. Similarity: centroids and sizes are matched, then iterative closest points (Besl & McKay 1992,
       doi:10.1109/34.121791) in both directions, each time by the small rotation, scaling and translation that takes
       points to the planes of their partners (Chen & Medioni 1992, doi:10.1016/0262-8856(92)90066-C). Pairs that are
       farther apart than most count less (Geman & McClure's weights, the scale from the MAD), so that a local
       difference of shape does not pull the whole.
    2. A field u of displacements that minimises ‖x + u − foot(x + u)‖² + stiffness · u'Ku, K the template's Laplacian;
       stiffness falls in stages, as in Amberg et al. 2007, doi:10.1109/CVPR.2007.383165. Feet are found on tangent
       planes, among vertices whose normals agree.

    Correspondence is thus geometric: along the surface, nothing but smoothness says where a vertex belongs. `posed` is
    therefore made by step 1 alone: a Procrustes analysis of vertices that slid would take their sliding for motion.
    FSL FIRST's correspondence comes from its appearance model, and is the better one where it is available.
    """
    surface = _Surface.of(vertices, faces)
    placed = _similarity(template, template_faces, surface, _area_weights(vertices, faces))
    fitted = _deform(placed, template_faces, surface)
    own = _Surface.of(fitted, template_faces)
    posed = _without_pose(fitted, template, placed)
    scale = float(np.linalg.norm(posed - posed.mean(axis=0)) / np.linalg.norm(template - template.mean(axis=0)))
    forth = np.linalg.norm(surface.closest(fitted, own.normals) - fitted, axis=1)
    back = np.linalg.norm(own.closest(vertices, surface.normals) - vertices, axis=1)
    residual = float((forth.mean() + back.mean()) / 2.0)
    return RegisteredMesh(fitted, posed, scale, residual, float(max(forth.max(), back.max())))


def _similarity(
    template: NDArray[np.float64],
    template_faces: NDArray[np.integer],
    surface: _Surface,
    surface_weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The template, moved, turned and scaled as a whole onto the surface."""
    weights = _area_weights(template, template_faces)
    centre, goal = weights @ template, surface_weights @ surface.vertices
    size = np.sqrt(weights @ ((template - centre) ** 2).sum(axis=1))
    wanted = np.sqrt(surface_weights @ ((surface.vertices - goal) ** 2).sum(axis=1))
    placed: NDArray[np.float64] = (template - centre) * (wanted / size) + goal
    both = np.concatenate([weights, surface_weights])
    for _ in range(MOST_ICP_ROUNDS):
        own = _Surface.of(placed, template_faces)
        forth, back = surface.nearest(placed, own.normals), own.nearest(surface.vertices, surface.normals)
        moved = _towards_planes(
            placed,
            np.vstack([placed, placed[back]]),
            np.vstack([surface.vertices[forth], surface.vertices]),
            np.vstack([surface.normals[forth], surface.normals]),
            both,
        )
        change = float(np.abs(moved - placed).max())
        placed = moved
        if change < _SETTLED_MM:
            break
    return placed


def _towards_planes(
    points: NDArray[np.float64],
    sources: NDArray[np.float64],
    targets: NDArray[np.float64],
    normals: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """`points` after the small similarity that brings sources closest to the planes through their targets.

    What the planes leave free, such as the turning of a ball, stays as it is.
    """
    centre = points.mean(axis=0)
    arms = sources - centre
    gap = np.einsum("ij,ij->i", targets - sources, normals)
    spread = max(1.4826 * float(np.median(np.abs(gap))), _SETTLED_MM)
    roots = np.sqrt(weights)[:, None] / (1.0 + (gap[:, None] / spread) ** 2)
    along = np.einsum("ij,ij->i", arms, normals)
    design = roots * np.column_stack([np.cross(arms, normals), normals, along])
    change, *_ = np.linalg.lstsq(design, roots[:, 0] * gap, rcond=_FREE)
    turned = Rotation.from_rotvec(change[:3]).apply(points - centre)
    moved: NDArray[np.float64] = turned * np.exp(change[6]) + centre + change[3:6]
    return moved


def _without_pose(
    fitted: NDArray[np.float64], template: NDArray[np.float64], placed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`fitted` after the rotation and translation that take `placed` back to the template."""
    home, away = template.mean(axis=0), placed.mean(axis=0)
    rotation = rotations_between(placed - away, template - home)
    posed: NDArray[np.float64] = (fitted - away) @ rotation + home
    return posed


def _deform(placed: NDArray[np.float64], faces: NDArray[np.integer], surface: _Surface) -> NDArray[np.float64]:
    """The template after the smooth field of displacements."""
    # the Laplacian is free of units: a stiffness of 1 evens out what is finer than an edge
    areas = np.maximum(vertex_areas(placed, faces), 1e-9)
    roots = sparse.diags_array(1.0 / np.sqrt(areas))
    laplacian = mean_edge(placed, faces) ** 2 * (roots @ cotangent_laplacian(placed, faces) @ roots)
    root_areas = np.sqrt(areas)[:, None]
    identity = sparse.eye_array(len(placed))
    moved: NDArray[np.float64] = placed
    for stiffness in STIFFNESS:
        solver = splu(sparse.csc_array(identity + stiffness * laplacian))
        for _ in range(ROUNDS):
            pull = surface.closest(moved, outward_normals(moved, faces)) - placed
            moved = placed + solver.solve(root_areas * pull) / root_areas
    return moved


def _area_weights(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    areas = vertex_areas(vertices, faces)
    shares: NDArray[np.float64] = areas / areas.sum()
    return shares
