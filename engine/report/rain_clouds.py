"""Rain clouds: a measure by group as half a violin, a box, and every participant."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from thalgpu.engine.report.figures import PRINT_DPI, as_png
from thalgpu.engine.report.group_colours import group_styles
from thalgpu.engine.report.inference_figures import plain

_COLUMNS = 3
_FEWEST_FOR_DENSITY = 4
_CLOUD, _BOX, _RAIN = 0.12, 0.0, -0.24
"""Heights above a group's line: of the cloud's base, the box's middle, and the rain's."""


def rain_clouds(panels: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.float64]]]]], label: str) -> bytes:
    """Distributions by group, a panel a measure, as PNG.

    Parameters
    ----------
    panels : title, and for each group its name and (n_in_group,) finite values; groups in the same order everywhere.
    label : of the values' axis, with its unit.
    """
    n_columns = 2 if len(panels) == 4 else min(_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    n_groups = len(panels[0][1])
    width = 5.6 if n_columns == 1 else 3.6 * n_columns
    figure = Figure(figsize=(width, n_rows * (0.62 * n_groups + 0.9)), dpi=PRINT_DPI, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for number, axis in enumerate(axes.flat):
        if number < len(panels):
            _panel(axis, *panels[number], label, names=number % n_columns == 0)
        else:
            axis.set_axis_off()
    return as_png(figure)


def _panel(
    axis: Axes, title: str, groups: Sequence[tuple[str, NDArray[np.float64]]], label: str, *, names: bool
) -> None:
    styles = group_styles([name for name, _ in groups])
    lines = np.arange(len(groups))[::-1]
    for line, (name, values) in zip(lines, groups, strict=True):
        _cloud(axis, line, values, *styles[name])
    shown = [f"{plain(name)}\nn = {len(values)}" for name, values in groups]
    axis.set_yticks(lines, shown if names else [""] * len(groups), fontsize=8, parse_math=False)
    axis.set_ylim(-0.45, len(groups) - 0.3)
    axis.set_xlabel(label, fontsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_title(plain(title), fontsize=9, loc="left", parse_math=False)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)


def _cloud(axis: Axes, line: float, values: NDArray[np.float64], colour: str, marker: str) -> None:
    if not len(values):
        return
    if len(values) >= _FEWEST_FOR_DENSITY and np.ptp(values) > 1e-9 * np.abs(values).max():
        reach = 0.12 * np.ptp(values)
        heights = np.linspace(values.min() - reach, values.max() + reach, 160)
        density = gaussian_kde(values)(heights)
        top = line + _CLOUD + 0.48 * density / density.max()
        axis.fill_between(heights, line + _CLOUD, top, color=colour, alpha=0.55, linewidth=0)
        axis.plot(heights, top, color=colour, linewidth=0.9)
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    within = values[(values >= low - 1.5 * (high - low)) & (values <= high + 1.5 * (high - low))]
    axis.hlines(line + _BOX, within.min(), within.max(), color=colour, linewidth=1.0)
    axis.barh(line + _BOX, high - low, 0.13, left=low, facecolor="w", edgecolor=colour, linewidth=1.2, zorder=3)
    axis.vlines(middle, line + _BOX - 0.065, line + _BOX + 0.065, color=colour, linewidth=2.2, zorder=4)
    jitter = np.random.default_rng(0).uniform(-0.08, 0.08, len(values))
    axis.scatter(values, line + _RAIN + jitter, s=11, color=colour, marker=marker, alpha=0.75, linewidths=0, zorder=3)
