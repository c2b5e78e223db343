"""The thalamus in space: surfaces and voxels of each hemisphere from four sides."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.report.figures import DPI, as_png
from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.slice_figures import colouring
from thalgpu.engine.report.surface_figures import POLES, VIEWS, draw_surface
from thalgpu.engine.report.voxel_surface import voxel_surface

_SIDES: tuple[tuple[int, Literal["L", "R"]], ...] = ((LEFT, "L"), (RIGHT, "R"))


def thalamus_surfaces(
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    meshes: Sequence[Mesh],
    label: str,
    *,
    signed: bool,
) -> bytes:
    """A map on one or both thalami, a row a hemisphere, from four sides; what is significant outlined, as PNG.

    Parameters
    ----------
    values, significant : (n_features,); a mesh says which feature each of its vertices is.
    meshes : one or two surfaces.
    label : of the colour bar.
    signed : whether the colours diverge about 0.
    """
    figure, axes = _grid(meshes)
    colours = colouring(values, signed=signed)
    for mesh, row in zip(meshes, axes, strict=True):
        _draw_row(row, mesh, values, significant, colours)
    _bar(figure, colours, axes, label)
    return as_png(figure)


def thalamus_voxels(
    maps: NDArray[np.float64],
    names: Sequence[str],
    ijk: NDArray[np.int32],
    affine: NDArray[np.float64],
    hemisphere: NDArray[np.int8],
) -> bytes:
    """Maps of the thalamus' voxels on a smooth surface around them, a row a map and hemisphere, as PNG.

    Parameters
    ----------
    maps : (n_voxels, n_maps); a vertex shows the mean of the voxels that it touches.
    names : of the maps.
    ijk : (n_voxels, 3) voxel indices.
    affine : (4, 4) voxel indices to mm.
    hemisphere : (n_voxels,) LEFT or RIGHT; voxels that are neither make a surface of their own.
    """
    surfaces = [(side, mine, *voxel_surface(ijk[mine], affine)) for side, mine in _parts(hemisphere)]
    meshes = [
        (Mesh(coordinates, faces, np.arange(len(coordinates)), side), mine, mean)
        for side, mine, coordinates, faces, mean in surfaces
    ]
    figure, axes = _grid([mesh for mesh, _, _ in meshes] * maps.shape[1])
    for number, name in enumerate(names):
        limits = np.quantile(maps[:, number], (0.01, 0.99))
        colours = ScalarMappable(Normalize(*limits), "viridis")
        rows = axes[number * len(meshes) : (number + 1) * len(meshes)]
        for (mesh, mine, mean), row in zip(meshes, rows, strict=True):
            _draw_row(row, mesh, mean @ maps[mine, number], np.zeros(len(mesh.features), dtype=bool), colours)
        _bar(figure, colours, rows, name)
    return as_png(figure)


def _grid(meshes: Sequence[Mesh]) -> tuple[Figure, NDArray[np.object_]]:
    """Axes, a row a mesh and a column a view; columns as wide as what they show, so that all is of one scale."""
    spans = np.max([np.ptp(mesh.coordinates, axis=0) for mesh in meshes], axis=0)
    widths = [spans[1], spans[1], spans[0], spans[0]]
    height = max(spans[1], spans[2])
    size = (7.8, 7.2 * height * len(meshes) / sum(widths) + 0.25 * len(meshes))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, figure.subplots(len(meshes), 4, squeeze=False, width_ratios=widths)


def _draw_row(
    row: NDArray[np.object_],
    mesh: Mesh,
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    colours: ScalarMappable,
) -> None:
    """A mesh from all four sides."""
    for axis, view in zip(row, (*VIEWS[mesh.hemisphere], *POLES), strict=True):
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
