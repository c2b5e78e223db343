"""Figures as PNG bytes, drawn without a display."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import VolumeGrid

DPI = 110
PRINT_DPI = 144
"""Of figures that are to be printed, too."""

_NO_SOFTWARE: Any = {"Software": None}
"""A file that does not say by which version it was drawn."""
_EDGE = 0.1
"""Background around a figure, inches."""
_MARGIN = 2
"""Voxels around the thalamus that a slice shows."""
_TILE = 1.5
"""Width of a slice, inches; then what is left and right, below and above, and between: nothing has to be laid out."""
_SIDES, _ENDS, _BETWEEN = (0.3, 0.75), (0.25, 0.25), 0.08
_PLOT = (0.19, 0.17, 0.77, 0.78)
"""Where a plot's axes stand, in fractions of its figure."""


def gradient_slices(
    values: NDArray[np.float32],
    ijk: NDArray[np.int32],
    covered: NDArray[np.bool_],
    affine: NDArray[np.float64] | None,
    *,
    n_components: int = 3,
    n_slices: int = 6,
) -> bytes:
    """Leading gradients on axial slices through the thalamus, one row a component, as PNG.

    Parameters
    ----------
    values : (n_voxels, n_maps) gradients.
    ijk : (n_voxels, 3) voxel indices.
    covered : (n_voxels,) bool: voxels that are drawn.
    affine : (4, 4) voxel indices to mm, for the slices' labels and for left and right; None labels by index.
    """
    shown = min(n_components, values.shape[1])
    places = ijk[covered]
    levels = _levels(places[:, 2], n_slices)
    low, high = places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN + 1
    n_x, n_y, _ = high - low
    width, height = len(levels) * _TILE, _TILE * n_y / n_x
    room = (width + sum(_SIDES), shown * (height + _BETWEEN) + sum(_ENDS))
    figure = Figure(figsize=room, dpi=DPI)
    flipped = affine is not None and affine[0, 0] < 0
    for row in range(shown):
        volume = np.full(high - low, np.nan)
        volume[tuple((places - low).T)] = values[covered, row]
        planes = [volume[::-1, :, level - low[2]].T if flipped else volume[:, :, level - low[2]].T for level in levels]
        limits = np.quantile(values[covered, row], (0.01, 0.99))
        bottom = _ENDS[0] + (shown - 1 - row) * (height + _BETWEEN)
        axis = figure.add_axes(_fractions(_SIDES[0], bottom, width, height, room))
        drawn = axis.imshow(
            np.hstack(planes), origin="lower", aspect="auto", cmap="viridis", vmin=limits[0], vmax=limits[1]
        )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.vlines(np.arange(1, len(levels)) * n_x - 0.5, -0.5, n_y - 0.5, color="k", linewidth=0.8)
        axis.set_ylabel(f"gradient {row + 1}", fontsize=9)
        bar = figure.add_axes(_fractions(_SIDES[0] + width + 0.1, bottom + 0.1 * height, 0.09, 0.8 * height, room))
        figure.colorbar(drawn, cax=bar).ax.tick_params(labelsize=7)
    for column, level in enumerate(levels):
        centre, top = _SIDES[0] + (column + 0.5) * _TILE, room[1] - _ENDS[1] + _BETWEEN / 2
        figure.text(centre / room[0], top / room[1], _height(level, affine), fontsize=8, ha="center")
    if affine is not None:
        centre = (_SIDES[0] + _TILE / 2) / room[0]
        figure.text(centre, (_ENDS[0] - 0.04) / room[1], "left      right", fontsize=7, ha="center", va="top")
    return drawn_png(figure)


def scree(lambdas: NDArray[np.float64], template: NDArray[np.float64]) -> bytes:
    """Eigenvalues of every subject (thin) and of the template (thick) as PNG.

    Parameters
    ----------
    lambdas : (n_subjects, n_components).
    template : (n_components,), or empty.
    """
    figure = Figure(figsize=(4.2, 2.8), dpi=DPI)
    axis = figure.add_axes(_PLOT)
    numbers = np.arange(1, lambdas.shape[1] + 1)
    axis.plot(numbers, lambdas.T, color="0.6", linewidth=0.7, alpha=0.6)
    if len(template):
        axis.plot(numbers, template, color="#b2182b", marker="o", markersize=4, label="template")
        axis.legend(frameon=False, fontsize=8)
    axis.set(xlabel="component", ylabel="eigenvalue", xticks=numbers)
    return drawn_png(figure)


def template_correlations(correlations: NDArray[np.float64]) -> bytes:
    """Each subject's correlation with the template, a column a component, as PNG.

    Parameters
    ----------
    correlations : (n_subjects, n_components); not finite where there is none.
    """
    figure = Figure(figsize=(4.2, 2.8), dpi=DPI)
    axis = figure.add_axes(_PLOT)
    n_subjects, n_components = correlations.shape
    spread = np.linspace(-0.25, 0.25, n_subjects) if n_subjects > 1 else np.zeros(1)
    for component in range(n_components):
        axis.scatter(component + 1 + spread, correlations[:, component], s=9, color="#2166ac", alpha=0.7, linewidths=0)
    axis.axhline(0, color="0.7", linewidth=0.8)
    axis.set(
        xlabel="component", ylabel="r with the template", xticks=np.arange(1, n_components + 1), ylim=(-1.05, 1.05)
    )
    return drawn_png(figure)


def grid_affine(grid: object) -> NDArray[np.float64] | None:
    """The affine of a volume grid; None for any other."""
    return np.array(grid.affine) if isinstance(grid, VolumeGrid) else None


def _fractions(
    left: float, bottom: float, width: float, height: float, room: tuple[float, float]
) -> tuple[float, float, float, float]:
    """A rectangle in inches as fractions of its figure."""
    return left / room[0], bottom / room[1], width / room[0], height / room[1]


def _levels(heights: NDArray[np.int32], n_slices: int) -> NDArray[np.int64]:
    """Evenly spread slices that the middle 90 % of the voxels lie in."""
    low, high = np.quantile(heights, (0.05, 0.95))
    return np.unique(np.linspace(low, high, n_slices).round().astype(np.int64))


def _height(level: int, affine: NDArray[np.float64] | None) -> str:
    if affine is None:
        return f"k = {level}"
    return f"z = {affine[2, 2] * level + affine[2, 3]:.0f} mm"


def as_png(figure: Figure) -> bytes:
    """The drawn figure as a PNG file; equal figures are equal bytes."""
    if figure.get_layout_engine() is None:  # something may stand beyond its edges
        buffer = io.BytesIO()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", metadata=_NO_SOFTWARE, bbox_inches="tight")
        return buffer.getvalue()
    FigureCanvasAgg(figure)
    _settle(figure)
    return drawn_png(figure)


def drawn_png(figure: Figure) -> bytes:
    """As `as_png`, of a figure whose axes stand where they should: it is drawn once, and nothing is laid out."""
    buffer = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # once: `savefig` with a tight box draws three times
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # matplotlib left this one out
    drawn = _without_margins(pixels, margin=round(_EDGE * figure.dpi))
    imsave(buffer, drawn, format="png", dpi=figure.dpi, metadata=_NO_SOFTWARE)
    return buffer.getvalue()


def _without_margins(pixels: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    """What is drawn, and so much of the background around it."""
    differs = (pixels != pixels[0, 0]).any(axis=2)
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return pixels
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    return np.ascontiguousarray(pixels[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1])


def _settle(figure: Figure) -> None:
    """Lay the figure out once, and round: the solver's last digits depend on addresses in memory."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        axis.set_position(np.round(axis.get_position(original=True).bounds, 6).tolist(), which="original")
