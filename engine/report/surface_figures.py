"""Maps on triangulated surfaces, without a 3-D library: no back faces, far faces first, light from the eye."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import TriMesh
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from thalgpu.engine.report.figures import DPI, as_png
from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.slice_figures import colouring, draw_outline

_UNTESTED = 0.72
_AMBIENT = 0.45


@dataclass(frozen=True)
class View:
    """Where the eye is: rows are the picture's right, its up, and the direction towards the eye, in mm space."""

    name: str
    axes: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


_FROM_LEFT = ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0))
_FROM_RIGHT = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
_FROM_ABOVE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_FROM_BELOW = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

VIEWS = {
    "L": (View("left, lateral", _FROM_LEFT), View("left, medial", _FROM_RIGHT)),
    "R": (View("right, medial", _FROM_LEFT), View("right, lateral", _FROM_RIGHT)),
    "": (View("from the left", _FROM_LEFT), View("from the right", _FROM_RIGHT)),
}
POLES = (View("from above", _FROM_ABOVE), View("from below", _FROM_BELOW))


def statistic_surfaces(
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    meshes: Sequence[Mesh],
    label: str,
    *,
    signed: bool,
) -> bytes:
    """A map on one or two surfaces from four sides, what is significant outlined, as PNG.

    Parameters
    ----------
    values, significant : (n_features,); a mesh says which feature each of its vertices is.
    meshes : two hemispheres are seen laterally and medially; one surface also from above and below.
    label : of the colour bar.
    signed : whether the colours diverge about 0.
    """
    seen = [(mesh, view) for mesh in meshes for view in (*VIEWS[mesh.hemisphere], *(POLES if len(meshes) == 1 else ()))]
    figure = Figure(figsize=(2.25 * len(seen) + 0.9, 2.3), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(seen), squeeze=False)[0]
    colours = colouring(values, signed=signed)
    for axis, (mesh, view) in zip(axes, seen, strict=True):
        draw_surface(axis, mesh, view, values, significant, colours)
        axis.set_title(view.name, fontsize=8, pad=2)
    figure.colorbar(colours, ax=list(axes), label=label, shrink=0.8, aspect=16, pad=0.01).ax.tick_params(labelsize=8)
    return as_png(figure)


def draw_surface(
    axis: Axes,
    mesh: Mesh,
    view: View,
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    colours: ScalarMappable,
) -> None:
    """One surface from one side: vertices in the colours of their features, a border around what is significant."""
    seen = mesh.coordinates @ np.array(view.axes).T
    corners = seen[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if _winds_inwards(corners, normals):
        normals = -normals
    front = np.flatnonzero(normals[:, 2] > 0)
    front = front[np.argsort(corners[front, :, 2].mean(axis=1), kind="stable")]
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    pad = 0.02 * (high - low).max()
    axis.set(xlim=(low[0] - pad, high[0] + pad), ylim=(low[1] - pad, high[1] + pad), aspect="equal")
    axis.set_axis_off()
    if not len(front):  # a flat surface from its edge or from behind
        return
    faces = mesh.faces[front]
    painted = TriMesh(Triangulation(seen[:, 0], seen[:, 1], faces))
    painted.set(facecolor=_vertex_colours(mesh, values, colours, _light(mesh.faces, normals, len(seen))))
    painted.set_in_layout(False)  # matplotlib would make a path of every face to learn their extent, set below
    axis.add_collection(painted, autolim=False)
    tested = np.flatnonzero(mesh.features >= 0)
    inside = np.zeros(len(seen), dtype=bool)
    inside[tested] = significant[mesh.features[tested]]
    draw_outline(axis, _border(seen, faces, inside))


def _winds_inwards(corners: NDArray[np.float64], normals: NDArray[np.float64]) -> bool:
    """Whether the faces' order makes normals point inwards: the enclosed volume comes out negative."""
    centred = corners[:, 0] - corners.mean(axis=(0, 1))
    return bool(np.einsum("ij,ij->", centred, normals) < 0)


def _light(faces: NDArray[np.int64], normals: NDArray[np.float64], n_vertices: int) -> NDArray[np.float64]:
    """(n_vertices,) brightness: how much each vertex faces the eye."""
    mean = np.column_stack(
        [np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), minlength=n_vertices) for axis in range(3)]
    )
    length = np.linalg.norm(mean, axis=1)
    towards = np.clip(mean[:, 2] / np.where(length > 0, length, 1.0), 0.0, 1.0)
    return _AMBIENT + (1.0 - _AMBIENT) * np.sqrt(towards)


def _vertex_colours(
    mesh: Mesh, values: NDArray[np.float64], colours: ScalarMappable, light: NDArray[np.float64]
) -> NDArray[np.float64]:
    tested = mesh.features >= 0
    rgba = np.full((len(mesh.features), 4), _UNTESTED)
    rgba[tested] = colours.to_rgba(values[mesh.features[tested]])
    rgba[:, :3] *= light[:, None]
    rgba[:, 3] = 1.0
    return rgba


def _border(seen: NDArray[np.float64], faces: NDArray[np.int64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_segments, 2, 2) lines half-way between vertices inside and outside, where no nearer face hides them."""
    count = inside[faces].sum(axis=1)
    mixed = faces[(count == 1) | (count == 2)]
    if not len(mixed):
        return np.zeros((0, 2, 2))
    # the corner that is alone on its side comes first: the line crosses the two edges that leave it
    alone = np.argmax(inside[mixed] == (inside[mixed].sum(axis=1) == 1)[:, None], axis=1)
    turned = mixed[np.arange(len(mixed))[:, None], (alone[:, None] + np.arange(3)) % 3]
    ends = (seen[turned[:, :1]] + seen[turned[:, 1:]]) / 2.0
    return np.asarray(ends[_visible(ends.mean(axis=1), seen, faces)][:, :, :2])


def _visible(points: NDArray[np.float64], seen: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n_points,) bool: nothing lies much nearer to the eye in the same square of a grid as coarse as the mesh."""
    edge = float(np.median(np.linalg.norm(seen[faces[:, 0]] - seen[faces[:, 1]], axis=1))) or 1.0
    low = seen[:, :2].min(axis=0)
    squares = ((seen[:, :2] - low) / (1.5 * edge)).astype(np.int64)
    nearest = np.full(squares.max(axis=0) + 1, -np.inf)
    np.maximum.at(nearest, tuple(squares.T), seen[:, 2])
    at = ((points[:, :2] - low) / (1.5 * edge)).astype(np.int64)
    return np.asarray(points[:, 2] > nearest[tuple(at.T)] - 4.0 * edge)
