"""One colour and one marker for every group, the same in all figures of a page."""

from collections.abc import Sequence

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart; its yellow darkened to be seen on white."""

MARKERS = ("o", "s", "^", "D", "v", "P")


def group_styles(groups: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each group, by the groups' order; they repeat after six."""
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(groups)}
