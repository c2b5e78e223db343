"""The permutation test of B4 and B5: a group contrast of random maps of a blob as large as the thalamus."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import Neighbours
from thalgpu.errors import NumericsError

CONTRAST = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
"""Of the columns of `Cohort.matrix`: the second group, less the first."""


@dataclass(frozen=True)
class Cohort:
    """Maps of two groups.

    Attributes
    ----------
    values : (n_subjects, n_voxels) float64
    matrix : (n_subjects, 5) float64: intercept, group, three nuisance variables.
    mask : (nx, ny, nz) bool: an ellipsoid; its voxels in C order are the columns of `values`.
    neighbours : of voxels that share a face.
    """

    values: NDArray[np.float64]
    matrix: NDArray[np.float64]
    mask: NDArray[np.bool_]
    neighbours: Neighbours


def simulated_cohort(n_subjects: int, n_voxels: int, n_maps: int = 1) -> Cohort:
    """Normal values without an effect; `n_maps` maps a subject side by side."""
    rng = np.random.default_rng(0)
    mask = ellipsoid(n_voxels)
    group = np.arange(n_subjects) % 2
    return Cohort(
        values=rng.standard_normal((n_subjects, n_maps * n_voxels)),
        matrix=np.column_stack([np.ones(n_subjects), group, rng.standard_normal((n_subjects, 3))]),
        mask=mask,
        neighbours=volume_neighbours(np.argwhere(mask), 6),
    )


def ellipsoid(n_voxels: int) -> NDArray[np.bool_]:
    """A blob of so many voxels, in a cube twice as wide as theirs would be."""
    width = 2 * int(np.ceil(n_voxels ** (1 / 3)))
    place = np.moveaxis(np.indices((width, width, width)), 0, -1) - (width - 1) / 2
    distance = np.linalg.norm(place / [1.0, 1.6, 1.2], axis=-1)
    mask = np.zeros(distance.size, dtype=bool)
    mask[np.argsort(distance, axis=None, kind="stable")[:n_voxels]] = True
    return mask.reshape(distance.shape)


def best_seconds(function: Callable[[], object], repeats: int) -> float:
    """Least wall time of several calls, after one that compiles, imports and starts what the others find ready."""
    return best_seconds_of([function], repeats)[0]


def best_seconds_of(
    functions: Sequence[Callable[[], object]], repeats: int, clock: Callable[[], float] = perf_counter
) -> list[float]:
    """The same of several functions by turns, so that a machine that is busy for a while is so for all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(1 + repeats):
        for taken, function in zip(times, functions, strict=True):
            started = clock()
            function()
            taken.append(clock() - started)
    return [min(taken[1:]) for taken in times]


def agreement(what: str, ours: NDArray[np.floating], theirs: NDArray[np.floating], tolerance: float) -> str:
    """How far two maps differ, as part of the largest value, in words; NumericsError if that is too far to compare."""
    apart = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if not apart <= tolerance:
        raise NumericsError(f"{what}: the two sides differ by {apart:.2g} of the maximum, more than {tolerance:g}")
    return f"{what} within {apart:.1e} of the maximum"
