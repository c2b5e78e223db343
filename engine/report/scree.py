"""Eigenvalues by group beside the template's."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thalgpu.engine.report.figures import PRINT_DPI, as_png
from thalgpu.engine.report.group_colours import group_styles
from thalgpu.engine.report.inference_figures import plain


def group_scree(groups: Sequence[tuple[str, NDArray[np.float64]]], template: NDArray[np.float64]) -> bytes:
    """Mean eigenvalues of each group's subjects with the middle 90 % of them, and the template's, as PNG.

    Parameters
    ----------
    groups : name and (n_in_group, n_components) eigenvalues of each.
    template : (n_components,), or empty.
    """
    figure = Figure(figsize=(5.6, 3.1), dpi=PRINT_DPI, layout="constrained")
    axis = figure.subplots()
    styles = group_styles([name for name, _ in groups])
    n_components = groups[0][1].shape[1]
    numbers = np.arange(1, n_components + 1)
    for i, (name, values) in enumerate(groups):
        if not len(values):
            continue
        colour, marker = styles[name]
        beside = numbers + 0.14 * (i - (len(groups) - 1) / 2)  # so that groups do not hide each other
        low, high = np.quantile(values, (0.05, 0.95), axis=0)
        axis.vlines(beside, low, high, color=colour, linewidth=1.6, alpha=0.6)
        axis.plot(
            beside, values.mean(axis=0), color=colour, marker=marker, markersize=4, linewidth=1.1, label=plain(name)
        )
    if len(template):
        axis.plot(numbers, template, color="0.1", linestyle="--", linewidth=1.2, marker="x", markersize=4,
                  label="template")  # fmt: skip
    axis.set(xlabel="component", ylabel="eigenvalue", xticks=numbers)
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.legend(frameon=False, fontsize=8)
    return as_png(figure)
