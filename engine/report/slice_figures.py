"""A statistic's map on slices, and the colours and outlines that maps on surfaces share."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import CiftiGrid, Region, VolumeGrid
from thalgpu.engine.report.figures import DPI, as_png

_OUTSIDE = "#eceff2"
_MARGIN = 1
_TILE_COLUMNS, _TILE_ROWS = 6, 2


def colouring(values: NDArray[np.float64], *, signed: bool, limit: float | None = None) -> ScalarMappable:
    """Colours that colour-blind readers can tell apart: diverging about 0 for signed values, else one hue's.

    They end at `limit`, so that several maps can share them, or else at the largest magnitude.
    """
    limit = limit or float(np.abs(values).max(initial=0.0)) or 1.0
    if signed:
        return ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    return ScalarMappable(Normalize(0.0, limit), "YlOrBr")


def draw_outline(axis: Axes, segments: NDArray[np.float64]) -> None:
    """Black lines with a white rim, to be seen on any colour; segments are (n, 2, 2)."""
    for colour, width in (("w", 2.4), ("k", 1.0)):
        axis.add_collection(LineCollection(list(segments), colors=colour, linewidths=width, capstyle="projecting"))


def voxel_affine(region: Region) -> NDArray[np.float64] | None:
    """Voxel indices to mm, where the region's elements are voxels."""
    if isinstance(region.grid, VolumeGrid):
        return np.array(region.grid.affine)
    affine = getattr(region.grid.axis, "affine", None) if isinstance(region.grid, CiftiGrid) else None
    return None if affine is None else np.array(affine, dtype=np.float64)


def statistic_slices(
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    ijk: NDArray[np.int32],
    affine: NDArray[np.float64],
    label: str,
    *,
    signed: bool,
    limit: float | None = None,
) -> bytes:
    """A map on axial slices through its voxels, what is significant outlined, as PNG. Left is left, anterior is up.

    Parameters
    ----------
    values, significant : (n_voxels,).
    ijk : (n_voxels, 3) voxel indices.
    affine : (4, 4) voxel indices to mm; slices are cut along the voxel axis that is nearest to inferior–superior.
    label : of the colour bar.
    signed : whether the colours diverge about 0.
    limit : where they end; None for the map's largest magnitude.
    """
    places, steps = right_anterior_superior(ijk, affine)
    heights = ijk @ affine[2, :3] + affine[2, 3]
    levels = spread_levels(places[:, 2], significant, _TILE_COLUMNS * _TILE_ROWS)
    n_columns = min(_TILE_COLUMNS, len(levels))
    tiles = mosaic(values, places, levels, n_columns)
    outlined = mosaic(np.where(significant, 1.0, np.nan), places, levels, n_columns) == 1.0
    n_rows = -(-len(levels) // n_columns)
    tile_height, tile_width = tiles.shape[0] / n_rows, tiles.shape[1] / n_columns
    width = 1.42 * n_columns
    height = width * (tiles.shape[0] * steps[1]) / (tiles.shape[1] * steps[0])
    figure = Figure(figsize=(width + 0.9, height + 0.2), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    colours = colouring(values, signed=signed, limit=limit)
    axis.set_facecolor(_OUTSIDE)
    axis.imshow(colours.to_rgba(tiles), aspect=steps[1] / steps[0], interpolation="nearest")
    draw_outline(axis, outline(outlined))
    for number, level in enumerate(levels):
        row, column = divmod(number, n_columns)
        z = heights[places[:, 2] == level].mean()
        axis.text(
            (column + 0.5) * tile_width - 0.5,
            (row + 1) * tile_height - 0.3 * _gap(tile_width),
            f"z = {z:.0f}".replace("-", "−"),
            fontsize=7.5,
            ha="center",
        )
    for edge in np.arange(1, n_columns) * tile_width - 0.5:
        axis.axvline(edge, color="w", linewidth=1.5)
    for edge in np.arange(1, n_rows) * tile_height - 0.5:
        axis.axhline(edge, color="w", linewidth=1.5)
    _without_frame(axis)
    axis.text(0.5, tile_height / 2, "L", fontsize=8, va="center", color="0.35")
    figure.colorbar(colours, ax=axis, label=label, shrink=0.85, aspect=16, pad=0.015).ax.tick_params(labelsize=8)
    return as_png(figure)


def right_anterior_superior(
    ijk: NDArray[np.int32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxel indices along the axes nearest to right, anterior and superior, and the voxels' size along each."""
    orientation = io_orientation(affine)
    axes, directions = orientation[:, 0].astype(int), orientation[:, 1].astype(int)
    places, steps = np.empty(ijk.shape, dtype=np.int64), np.empty(3)
    places[:, axes] = ijk * directions
    steps[axes] = np.linalg.norm(affine[:3, :3], axis=0)
    return places, steps


def spread_levels(heights: NDArray[np.int64], significant: NDArray[np.bool_], n_levels: int) -> NDArray[np.int64]:
    """Slices spread evenly over what is significant and a little around it, or over the middle of everything."""
    low, high = np.quantile(heights, (0.05, 0.95))
    if significant.any():
        low, high = min(low, heights[significant].min()), max(high, heights[significant].max())
    return np.unique(np.linspace(low, high, n_levels).round().astype(np.int64))


def mosaic(
    values: NDArray[np.float64], places: NDArray[np.int64], levels: NDArray[np.int64], n_columns: int
) -> NDArray[np.float64]:
    """Slices side by side, in rows; NaN where there is no voxel."""
    low = places.min(axis=0) - _MARGIN
    volume = np.full(places.max(axis=0) + _MARGIN + 1 - low, np.nan)
    volume[tuple((places - low).T)] = values
    tiles = [volume[:, ::-1, level - low[2]].T for level in levels]
    tiles += [np.full_like(tiles[0], np.nan)] * (-len(tiles) % n_columns)
    gap = np.full((_gap(tiles[0].shape[1]), n_columns * tiles[0].shape[1]), np.nan)
    rows = [np.hstack(tiles[first : first + n_columns]) for first in range(0, len(tiles), n_columns)]
    return np.vstack([piece for row in rows for piece in (row, gap)])


def _gap(tile_width: float) -> int:
    """Rows of pixels below a slice, for its height."""
    return max(2, int(np.ceil(0.13 * tile_width)))


def outline(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_segments, 2, 2) edges of pixels between inside and outside, as x and y."""
    padded = np.pad(inside, 1)
    row, column = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    across = np.stack([np.column_stack([column - 0.5, row - 0.5]), np.column_stack([column + 0.5, row - 0.5])], axis=1)
    row, column = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    along = np.stack([np.column_stack([column - 0.5, row - 0.5]), np.column_stack([column - 0.5, row + 0.5])], axis=1)
    return np.vstack([across, along])


def _without_frame(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
