"""Whether enough of a region has a signal, and if not, why: outside the scan, or NaN and Inf in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import InputError


@dataclass(frozen=True)
class Gaps:
    """Elements of a region whose series are not finite in one run.

    Attributes
    ----------
    path : the run's scan.
    n_elements : how many there are.
    volume : the first volume where one is not finite, counted from 1 in the file.
    infinite : some value is infinite, or beyond the largest float32.
    throughout : most of them are so in every volume, as voxels outside a brain mask are.
    """

    path: Path
    n_elements: int
    volume: int
    infinite: bool
    throughout: bool


def find_gaps(
    path: Path, series: NDArray[np.float32], finite: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> Gaps | None:
    """Why elements are not finite.

    Parameters
    ----------
    path : the run's scan.
    series : (n_kept, n_elements) as read.
    finite : (n_elements,) whether a series is finite throughout.
    kept : (n_volumes,) bool, the volumes of the file that `series` holds.
    """
    if finite.all():
        return None
    values = series[:, ~finite]
    held = np.isfinite(values)
    partly = np.asarray(held.any(axis=0))
    throughout = bool(2 * partly.sum() < len(partly))
    first = 0 if throughout else np.flatnonzero(~held[:, partly].all(axis=1))[0]
    volume = int(np.flatnonzero(kept)[first]) + 1
    return Gaps(path, len(partly), volume, bool(np.isinf(values).any()), throughout)


def require_coverage(
    path: Path,
    what: str,
    covered: NDArray[np.bool_],
    min_coverage: float,
    *,
    source: str,
    gaps: Sequence[Gaps | None],
) -> None:
    """InputError unless at least `min_coverage` of the units, and one of them, are covered.

    Parameters
    ----------
    path : the subject's first scan.
    what, source : name of the units and of the region, for the message.
    covered : (n_units,) bool.
    min_coverage : least fraction.
    gaps : of each run; the first with NaN or Inf is named.
    """
    n_covered, n = int(covered.sum()), len(covered)
    if n_covered and n_covered >= min_coverage * n:
        return
    reason = (
        f"only {n_covered} of {n} {what} of {source} have a signal that varies "
        f"({n_covered / n if n else 0:.0%}; {min_coverage:.0%} are needed)"
    )
    remedy = "check field of view and registration, or lower --min-coverage"
    gap = next((gap for gap in gaps if gap is not None), None)
    if gap is not None:
        held = "Inf or numbers too large for float32" if gap.infinite else "NaN"
        path = gap.path
        reason += f": {gap.n_elements} elements hold {held}, first in volume {gap.volume}"
        if gap.infinite:
            remedy = "check scl_slope and scl_inter in its header, or write the scan again"
        elif not gap.throughout:
            remedy = "write the scan again without the volumes that hold NaN, or with these filled"
    raise InputError(path, reason, remedy=remedy)
