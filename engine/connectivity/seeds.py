"""Seeds in halves: which elements of each seed lie in the left and in the right hemisphere."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDES = ((-1, "L"), (1, "R"))
"""Signs of left and right, as a region's hemispheres have them, and what is appended to a seed's name."""


def split_by_side(
    seed: NDArray[np.int32], side: NDArray[np.int8], names: Sequence[str]
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The left and the right half of every seed that has both.

    Parameters
    ----------
    seed : (n_elements,)
        Position in `names` of each element's seed; negative outside all of them.
    side : (n_elements,)
        −1 left, 1 right, 0 on the midline.
    names : (n_seeds,)

    Returns
    -------
    half : (n_elements,) int32
        Position of each element's half among the halves; −1 on the midline, and where a seed lies on one side only.
    halves : names of the halves, "VPLL", "VPLR" …: left before right, in the order of the seeds.
    """
    half = np.full(len(seed), -1, dtype=np.int32)
    halves: list[str] = []
    for number, name in enumerate(names):
        inside = seed == number
        parts = [inside & (side == sign) for sign, _ in SIDES]
        if not all(part.any() for part in parts):
            continue
        for part, (_, letter) in zip(parts, SIDES, strict=True):
            half[part] = len(halves)
            halves.append(f"{name}{letter}")
    return half, tuple(halves)
