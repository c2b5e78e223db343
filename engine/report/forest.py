"""Effects of a whole study in one figure: every arm's, with confidence limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from thalgpu.engine.report.figures import PRINT_DPI, as_png
from thalgpu.engine.report.inference_figures import PLAIN, SIGNIFICANT, plain

_LONGEST_NAME = 48


@dataclass(frozen=True)
class ForestLine:
    """One effect: size, 95 % limits or None, and whether it is significant."""

    effect: float
    low: float | None
    high: float | None
    significant: bool


Arms = Sequence[tuple[str, Sequence[tuple[str, ForestLine | None]]]]
"""Title of each arm, and its parts with their effects; None where a part has none."""


def forest(panels: Sequence[tuple[str, Arms]], label: str) -> bytes:
    """Effects with their confidence limits, a panel a contrast side by side, as PNG; what is significant is filled.

    Parameters
    ----------
    panels : contrast and arms; every panel has the same arms and parts.
    label : of the effects' axis.
    """
    n_lines = sum(1 + len(lines) for _, lines in panels[0][1])
    figure = Figure(figsize=(2.5 + 2.5 * len(panels), 0.23 * n_lines + 1.0), dpi=PRINT_DPI, layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (contrast, arms) in zip(axes, panels, strict=True):
        for at, line in zip(_places(arms), (line for _, lines in arms for _, line in lines), strict=True):
            if line is not None:
                _draw(axis, at, line)
        axis.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        axis.set_title(plain(contrast), fontsize=9, loc="left", parse_math=False)
        axis.set_xlabel(label, fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=8)
    names = [name for arm, lines in panels[0][1] for name in (arm, *(part for part, _ in lines))]
    axes[0].set_yticks(
        -np.arange(n_lines), [plain(name, _LONGEST_NAME) for name in names], fontsize=8, parse_math=False
    )
    headers = set(np.cumsum([0, *(1 + len(lines) for _, lines in panels[0][1])]).tolist())
    for number, text in enumerate(axes[0].get_yticklabels()):
        text.set_fontweight("bold" if number in headers else "normal")
    axes[0].set_ylim(0.3 - n_lines, 0.7)
    return as_png(figure)


def _places(arms: Arms) -> Iterator[int]:
    """Height of every line: below its arm's title."""
    at = 0
    for _, lines in arms:
        yield from range(at - 1, at - 1 - len(lines), -1)
        at -= 1 + len(lines)


def _draw(axis: Axes, at: int, line: ForestLine) -> None:
    colour = SIGNIFICANT if line.significant else PLAIN
    if line.low is not None and line.high is not None:
        axis.hlines(at, line.low, line.high, color=colour, linewidth=1.4)
    face = colour if line.significant else "w"
    axis.scatter([line.effect], [at], s=24, facecolor=face, edgecolor=colour, linewidth=1.3, zorder=3)
