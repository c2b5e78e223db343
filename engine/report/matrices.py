"""Region × region matrices: what connects to what, and where that differs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thalgpu.engine.report.figures import PRINT_DPI, as_png
from thalgpu.engine.report.inference_figures import plain

_MOST_NAMED = 40
_MOST_WRITTEN = 14


def region_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    label: str,
) -> bytes:
    """A matrix in colours that diverge about 0, what is significant marked by a black square, as PNG.

    Parameters
    ----------
    rows, columns : names; those of more than 40 are not written.
    values : (n_rows, n_columns); grey where NaN, e.g. on the diagonal or where nothing was tested.
    significant : (n_rows, n_columns) bool.
    label : of the colour bar.
    """
    n_rows, n_columns = values.shape
    cell = float(np.clip(5.2 / max(n_rows, n_columns), 0.05, 0.42))
    figure = Figure(
        figsize=(max(2.2, cell * n_columns) + 2.4, max(1.4, cell * n_rows) + 1.2), dpi=PRINT_DPI, layout="constrained"
    )
    axis = figure.subplots()
    finite = np.isfinite(values)
    limit = float(np.abs(values[finite]).max(initial=0.0)) or 1.0
    axis.set_facecolor("0.88")
    drawn = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
    if max(n_rows, n_columns) <= _MOST_WRITTEN:
        for i, j in np.argwhere(finite):
            ink = "w" if abs(values[i, j]) > 0.6 * limit else "0.15"
            text = f"{values[i, j]:.1f}".replace("-", "−")
            axis.text(j, i, text, fontsize=6.5, ha="center", va="center", color=ink)
    for i, j in np.argwhere(significant):
        for colour, width in (("w", 3.0), ("k", 1.5)):
            axis.plot(
                [j - 0.44, j + 0.44, j + 0.44, j - 0.44, j - 0.44], [i - 0.44, i - 0.44, i + 0.44, i + 0.44, i - 0.44],
                color=colour, linewidth=width,
            )  # fmt: skip
    _names(axis.set_yticks, rows)
    _names(axis.set_xticks, columns)
    for name in axis.get_xticklabels():
        name.set(rotation=55, ha="right", rotation_mode="anchor")
    bar = figure.colorbar(drawn, ax=axis, shrink=0.9, aspect=18, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return as_png(figure)


def _names(set_ticks: object, names: Sequence[str]) -> None:
    assert callable(set_ticks)
    if len(names) > _MOST_NAMED:
        set_ticks([])
    else:
        size = 8 if len(names) <= 20 else 6
        set_ticks(np.arange(len(names)), [plain(name) for name in names], fontsize=size, parse_math=False)
