"""Every group's mean map on the same slices, with what differs outlined."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thalgpu.engine.report.figures import DPI, as_png
from thalgpu.engine.report.inference_figures import plain
from thalgpu.engine.report.slice_figures import draw_outline, mosaic, outline, right_anterior_superior, spread_levels

_SLICES = 6
_OUTSIDE = "#eceff2"


def group_slices(
    groups: Sequence[tuple[str, NDArray[np.float64]]],
    significant: NDArray[np.bool_],
    ijk: NDArray[np.int32],
    affine: NDArray[np.float64],
    label: str,
) -> bytes:
    """Mean maps of groups on axial slices, a row a group, all in the same colours, as PNG. Left is left.

    Parameters
    ----------
    groups : name and (n_voxels,) mean of each.
    significant : (n_voxels,) bool: outlined in every row.
    ijk : (n_voxels, 3) voxel indices.
    affine : (4, 4) voxel indices to mm.
    label : of the colour bar.
    """
    places, steps = right_anterior_superior(ijk, affine)
    heights = ijk @ affine[2, :3] + affine[2, 3]
    levels = spread_levels(places[:, 2], significant, _SLICES)
    rows = [_trimmed(mosaic(values, places, levels, len(levels))) for _, values in groups]
    edges = outline(mosaic(np.where(significant, 1.0, np.nan), places, levels, len(levels)) == 1.0)
    tall, wide = rows[0].shape
    height = 8.4 * (tall * steps[1]) / (wide * steps[0])
    figure = Figure(figsize=(9.6, (height + 0.12) * len(rows) + 0.25), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    colours = ScalarMappable(
        Normalize(*np.quantile(np.stack([values for _, values in groups]), (0.01, 0.99))), "viridis"
    )
    for axis, (name, _), row in zip(axes, groups, rows, strict=True):
        axis.set_facecolor(_OUTSIDE)
        axis.imshow(colours.to_rgba(row), aspect=steps[1] / steps[0], interpolation="nearest")
        draw_outline(axis, edges)
        axis.set_yticks([])
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(plain(name), fontsize=9, parse_math=False)
    centres = (np.arange(len(levels)) + 0.5) * wide / len(levels) - 0.5
    shown = [f"z = {heights[places[:, 2] == level].mean():.0f}".replace("-", "−") for level in levels]
    axes[0].xaxis.tick_top()
    axes[0].set_xticks(centres, shown, fontsize=8)
    axes[0].tick_params(length=0)
    bar = figure.colorbar(colours, ax=axes.tolist(), shrink=0.85, aspect=18, pad=0.015)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return as_png(figure)


def _trimmed(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the room below slices, where others have their heights."""
    return row[: np.flatnonzero(np.isfinite(row).any(axis=1))[-1] + 2]
