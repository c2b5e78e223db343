"""Figures of a permutation test: null maxima, effects, and the design."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from thalgpu.engine.report.design_quality import correlations, standardized
from thalgpu.engine.report.figures import DPI, as_png

SIGNIFICANT, PLAIN = "#b2182b", "#8c959f"
_LONGEST_NAME = 28
_MOST_LABELLED = 12


def null_histograms(panels: Sequence[tuple[str, NDArray[np.float64], float | None]]) -> bytes:
    """Histograms of the maxima over permutations, the observed maximum and the 5 % level marked, as PNG.

    Parameters
    ----------
    panels : name, (n_perm,) maxima with the identity first, and the critical value or None, one a measure.
    """
    figure = Figure(figsize=(3.3 * len(panels) + 0.3, 2.6), dpi=DPI, layout="constrained")
    for axis, (name, null, critical) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axis.hist(null, bins=int(np.clip(len(null) // 20, 10, 50)), color="#b6c2cf", linewidth=0)
        axis.axvline(null[0], color=SIGNIFICANT, linewidth=1.8, label=f"observed {number(null[0])}")
        if critical is not None:
            axis.axvline(critical, color="0.15", linewidth=1.2, linestyle="--", label=f"5 % level {number(critical)}")
        axis.set_title(name, fontsize=9, loc="left", pad=19)
        axis.legend(
            frameon=False, fontsize=8, ncols=2, handlelength=1.3, columnspacing=1.2, borderpad=0.0,
            loc="lower left", bbox_to_anchor=(0.0, 1.02), borderaxespad=0.0,
        )  # fmt: skip
        axis.set_xlabel("largest in a permutation", fontsize=8)
        axis.set_ylabel("permutations", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        _plain_frame(axis)
    return as_png(figure)


def number(value: float) -> str:
    """Four digits, without an exponent where a maximum is large."""
    return f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.4g}"


def effect_dots(
    names: Sequence[str],
    values: NDArray[np.float64],
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    significant: NDArray[np.bool_],
    label: str,
) -> bytes:
    """Effects of a few named features with their confidence limits, as PNG; what is significant is filled."""
    figure = Figure(figsize=(6.4, 0.24 * len(names) + 0.9), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(names))[::-1]
    if limits is not None:
        axis.hlines(rows, *limits, color=np.where(significant, SIGNIFICANT, PLAIN), linewidth=1.3)
    axis.scatter(
        values[~significant], rows[~significant], s=26, facecolor="w", edgecolor=PLAIN, linewidth=1.3, zorder=3
    )
    axis.scatter(values[significant], rows[significant], s=26, color=SIGNIFICANT, zorder=3)
    axis.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axis.set_yticks(rows, [plain(name) for name in names], fontsize=8, parse_math=False)
    axis.set_ylim(-0.7, len(names) - 0.3)
    axis.set_xlabel(label, fontsize=9)
    _plain_frame(axis)
    return as_png(figure)


def volcano(
    values: NDArray[np.float64],
    p: NDArray[np.float64],
    significant: NDArray[np.bool_],
    names: Sequence[str],
    label: str,
) -> bytes:
    """Effects of many features against their uncorrected p-values, as PNG; the strongest are named."""
    figure = Figure(figsize=(6.4, 3.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    height = -np.log10(np.maximum(p, 1e-300))
    axis.scatter(values[~significant], height[~significant], s=9, color=PLAIN, alpha=0.6, linewidths=0)
    axis.scatter(values[significant], height[significant], s=14, color=SIGNIFICANT, linewidths=0)
    for feature in _labelled(values, height, significant) if names else ():
        side = 1 if values[feature] < 0 else -1  # names lie towards the middle
        axis.annotate(
            plain(names[feature]), (values[feature], height[feature]), xytext=(4 * side, 2), fontsize=7,
            textcoords="offset points", ha="left" if side > 0 else "right", parse_math=False,
        )  # fmt: skip
    axis.set_xlabel(label, fontsize=9)
    axis.set_ylabel("−log₁₀ p (uncorrected)", fontsize=9)
    _plain_frame(axis)
    return as_png(figure)


def _labelled(values: NDArray[np.float64], height: NDArray[np.float64], significant: NDArray[np.bool_]) -> list[int]:
    """The strongest points whose names do not overlap."""
    chosen: list[int] = []
    wide, tall = 0.3 * np.ptp(values), 0.04 * np.ptp(height)
    for i in np.lexsort((-height, ~significant))[:_MOST_LABELLED]:
        if all(abs(values[i] - values[j]) > wide or abs(height[i] - height[j]) > tall for j in chosen):
            chosen.append(int(i))
    return chosen


def design_matrix(matrix: NDArray[np.float64], columns: Sequence[str]) -> bytes:
    """The design with standardised columns, subjects as rows, beside the columns' correlations, as PNG."""
    unit, varies = standardized(matrix)
    n_columns = len(columns)
    side = float(np.clip(0.42 * n_columns, 1.6, 4.2))
    figure = Figure(figsize=(2 * side + 2.6, side + 1.4), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = left.imshow(
        np.where(varies, unit, np.nan), aspect="auto", cmap="PuOr_r", vmin=-2.5, vmax=2.5, interpolation="nearest"
    )
    left.set_ylabel(f"{len(matrix)} subjects", fontsize=8)
    left.set_yticks([])
    _colour_bar(figure, drawn, left, "SD from the mean")
    found = correlations(matrix)
    drawn = right.imshow(found, cmap="RdBu_r", vmin=-1, vmax=1)
    _colour_bar(figure, drawn, right, "correlation")
    if n_columns <= 10:
        for i, j in np.argwhere(np.isfinite(found) & ~np.eye(n_columns, dtype=bool)):
            colour = "w" if abs(found[i, j]) > 0.6 else "0.2"
            right.text(
                j, i, f"{found[i, j]:.2f}".replace("-", "−"), fontsize=6.5, ha="center", va="center", color=colour
            )
    size = 8 if n_columns <= 16 else 5
    shown = [plain(name) for name in columns]
    right.set_yticks(np.arange(n_columns), shown, fontsize=size, parse_math=False)
    for axis in (left, right):
        axis.set_facecolor("0.88")
        axis.set_xticks(np.arange(n_columns), shown, fontsize=size, rotation=60, ha="right", parse_math=False)
        for corner in axis.xaxis.get_majorticklabels():
            corner.set_rotation_mode("anchor")
    return as_png(figure)


def plain(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name as a figure can show it: short, and without characters that the font lacks."""
    known = _glyphs()
    shown = "".join(letter if ord(letter) in known else "?" for letter in " ".join(name.split()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def _colour_bar(figure: Figure, drawn: ScalarMappable, axis: Axes, label: str) -> None:
    bar = figure.colorbar(drawn, ax=axis, shrink=0.8, aspect=18)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _plain_frame(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
