"""The thalamus in space: surfaces and voxels of each hemisphere from four sides."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.report.figures import DPI, as_png
from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.slice_figures import colouring
from thalgpu.engine.report.surface_figures import POLES, VIEWS, View, draw_surface
from thalgpu.engine.report.voxel_surface import voxel_surface

_Row: TypeAlias = Sequence[tuple[Mesh, View]]

_WIDE, _WIDEST = 8.2, 10.4
"""Inches."""

_SIDES: tuple[tuple[int, Literal["L", "R"]], ...] = ((LEFT, "L"), (RIGHT, "R"))


def thalamus_surfaces(
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    meshes: Sequence[Mesh],
    label: str,
    *,
    signed: bool,
    limit: float | None = None,
) -> bytes:
    """A map on one or both thalami, a row a hemisphere, from four sides; what is significant outlined, as PNG.

    Parameters
    ----------
    values, significant : (n_features,); a mesh says which feature each of its vertices is.
    meshes : one or two surfaces.
    label : of the colour bar.
    signed : whether the colours diverge about 0.
    limit : where they end; None for the map's largest magnitude.
    """
    rows = [[(mesh, view) for view in (*VIEWS[mesh.hemisphere], *POLES)] for mesh in meshes]
    figure, axes = _grid(rows, _WIDE)
    colours = colouring(values, signed=signed, limit=limit)
    for row, places in zip(rows, axes, strict=True):
        _draw_row(places, row, values, significant, colours)
    _bar(figure, colours, axes, label)
    return as_png(figure)


def thalamus_voxels(
    maps: NDArray[np.float64],
    names: Sequence[str],
    ijk: NDArray[np.int32],
    affine: NDArray[np.float64],
    hemisphere: NDArray[np.int8],
) -> bytes:
    """Maps of the thalamus' voxels on a smooth surface around them, a row a map, as PNG.

    Both thalami are seen laterally and medially one by one, and together from above and below.

    Parameters
    ----------
    maps : (n_voxels, n_maps); a vertex shows the mean of the voxels that it touches.
    names : of the maps.
    ijk : (n_voxels, 3) voxel indices.
    affine : (4, 4) voxel indices to mm.
    hemisphere : (n_voxels,) LEFT or RIGHT; voxels that are neither make a surface of their own.
    """
    meshes, means, n_vertices = [], [], 0
    for side, mine in _parts(hemisphere):
        coordinates, faces, mean = voxel_surface(ijk[mine], affine)
        meshes.append(Mesh(coordinates, faces, np.arange(len(coordinates)) + n_vertices, side))
        means.append(mean @ maps[mine])
        n_vertices += len(coordinates)
    values, nothing = np.concatenate(means), np.zeros(n_vertices, dtype=bool)
    together = _together(meshes)
    row = [(mesh, view) for mesh in meshes for view in VIEWS[mesh.hemisphere]] + [(together, view) for view in POLES]
    figure, axes = _grid([row] * len(names), _WIDEST if len(meshes) > 1 else _WIDE)
    for number, (name, places) in enumerate(zip(names, axes, strict=True)):
        limits = np.quantile(maps[:, number], (0.01, 0.99))
        colours = ScalarMappable(Normalize(*limits), "viridis")
        _draw_row(places, row, values[:, number], nothing, colours)
        _bar(figure, colours, places, name)
    return as_png(figure)


def _together(meshes: Sequence[Mesh]) -> Mesh:
    """Surfaces as one."""
    starts = np.cumsum([0, *(len(mesh.coordinates) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.coordinates for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.features for mesh in meshes]),
        meshes[0].hemisphere if len(meshes) == 1 else "",
    )


def _grid(rows: Sequence[_Row], inches: float) -> tuple[Figure, NDArray[np.object_]]:
    """Axes, one a view; columns as wide as what they show, so that all is of one scale."""
    spans = np.array(
        [[np.ptp(mesh.coordinates @ np.array(view.axes[:2]).T, axis=0) for mesh, view in row] for row in rows]
    )
    widths, height = spans[:, :, 0].max(axis=0), spans[:, :, 1].max()
    size = (inches, ((inches - 0.8) * height / widths.sum() + 0.3) * len(rows))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, figure.subplots(*spans.shape[:2], squeeze=False, width_ratios=widths)


def _draw_row(
    places: NDArray[np.object_],
    row: _Row,
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    colours: ScalarMappable,
) -> None:
    for axis, (mesh, view) in zip(places, row, strict=True):
        draw_surface(axis, mesh, view, values, significant, colours)
        side = {"L": "left, ", "R": "right, "}.get(mesh.hemisphere, "") if view in POLES else ""
        axis.set_title(side + view.name, fontsize=8, pad=2)


def _parts(hemisphere: NDArray[np.int8]) -> Iterator[tuple[Literal["L", "R", ""], NDArray[np.bool_]]]:
    for code, side in _SIDES:
        if (hemisphere == code).any():
            yield side, hemisphere == code
    neither = ~np.isin(hemisphere, (LEFT, RIGHT))
    if neither.any():
        yield "", neither


def _bar(figure: Figure, colours: ScalarMappable, axes: NDArray[np.object_], label: str) -> None:
    bar = figure.colorbar(colours, ax=axes.ravel().tolist(), shrink=0.8, aspect=16, pad=0.01)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
