"""A few regions' measure by group: bars of means with confidence intervals, and every participant."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import t as student_t

from thalgpu.engine.report.figures import PRINT_DPI, as_png
from thalgpu.engine.report.group_colours import group_styles
from thalgpu.engine.report.inference_figures import plain


def region_bars(regions: Sequence[str], groups: Sequence[tuple[str, NDArray[np.float64]]], label: str) -> bytes:
    """Means of each region and group with 95 % confidence intervals (Student's t), as PNG.

    Parameters
    ----------
    regions : names.
    groups : name and (n_in_group, n_regions) finite values of each.
    label : of the values' axis, with its unit.
    """
    figure = Figure(
        figsize=(max(5.0, 0.24 * len(groups) * len(regions) + 2.0), 3.1), dpi=PRINT_DPI, layout="constrained"
    )
    axis = figure.subplots()
    styles = group_styles([name for name, _ in groups])
    highest = max((float(values.max()) for _, values in groups if values.size), default=1.0)
    step = 0.8 / len(groups)
    for number, (name, values) in enumerate(groups):
        if not len(values):
            continue
        colour, marker = styles[name]
        centres = np.arange(len(regions)) + (number - (len(groups) - 1) / 2) * step
        means = values.mean(axis=0)
        axis.bar(centres, means, 0.88 * step, color=colour, alpha=0.35, label=plain(name))
        jitter = np.random.default_rng(0).uniform(-0.3, 0.3, values.shape) * step
        axis.scatter(centres + jitter, values, s=5, color=colour, marker=marker, alpha=0.55, linewidths=0, zorder=2)
        axis.errorbar(centres, means, _half_interval(values), fmt="none", ecolor="0.1", elinewidth=1.3, capsize=2.5)
        axis.scatter(centres, means, s=16, color="0.1", marker="_", zorder=4)
    axis.set_xticks(np.arange(len(regions)), [plain(name) for name in regions], fontsize=8, parse_math=False)
    if len(regions) > 6:
        for text in axis.get_xticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")
    axis.set_ylim(0.0, 1.04 * highest)
    axis.set_ylabel(label, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.legend(frameon=False, fontsize=8, ncols=len(groups), loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return as_png(figure)


def _half_interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_regions,) half of the 95 % confidence interval of a mean; 0 for a single participant."""
    n = len(values)
    if n < 2:
        return np.zeros(values.shape[1])
    return np.asarray(student_t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n))
