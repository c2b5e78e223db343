"""What the page of a permutation test is filled with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inputs.model import LEFT, RIGHT, CiftiGrid, Region, SurfaceGrid

Measure: TypeAlias = Literal["stat", "tfce", "cluster_extent", "cluster_mass"]
Unit: TypeAlias = Literal["voxel", "vertex", "feature"]

ALPHA = 0.05
"""Family-wise error rate at which features are called significant on the page."""


@dataclass(frozen=True)
class Mesh:
    """A triangulated surface and where the features lie on it.

    Attributes
    ----------
    coordinates : (n_vertices, 3) mm, right-anterior-superior.
    faces : (n_faces, 3) vertices of each triangle.
    features : (n_vertices,) int: which feature each vertex is; −1 where it was not tested.
    hemisphere : "L" or "R"; "" for a surface that is neither: it is seen from both sides.
    """

    coordinates: NDArray[np.float64]
    faces: NDArray[np.int64]
    features: NDArray[np.int64]
    hemisphere: Literal["L", "R", ""] = ""


def meshes_of(space: Region, surfaces: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> tuple[Mesh, ...]:
    """Meshes of surface maps, for drawing.

    Parameters
    ----------
    space : where the features lie: vertices of a surface grid or of CIFTI's cortex.
    surfaces : coordinates and faces of each hemisphere that has features, left first; or of both.
    """
    grid = space.grid
    present = [side for side in (LEFT, RIGHT) if (space.hemisphere == side).any()]
    if len(surfaces) == 2 and len(present) == 1:
        surfaces = surfaces[:1] if present == [LEFT] else surfaces[1:]
    if isinstance(grid, SurfaceGrid):
        vertex = space.flat - np.where(space.hemisphere == RIGHT, grid.n_left, 0)
    else:
        assert isinstance(grid, CiftiGrid)
        axis: Any = grid.axis
        vertex = np.asarray(axis.vertex)[space.flat]
    meshes = []
    for side, (coordinates, faces) in zip(present, surfaces, strict=True):
        mine = np.flatnonzero(space.hemisphere == side)
        features = np.full(len(coordinates), -1)
        features[vertex[mine]] = mine
        meshes.append(Mesh(coordinates, faces, features, "L" if side == LEFT else "R"))
    return tuple(meshes)


@dataclass(frozen=True)
class MaximumTest:
    """One measure, corrected by its maxima.

    Attributes
    ----------
    measure : what was maximised; "stat" is the statistic itself.
    values : (n_features,) observed; signed.
    p_fwe : (n_features,) corrected within this contrast and part.
    null : (n_perm,) maxima, the identity first.
    interval : 95 % Monte-Carlo interval of the smallest `p_fwe`; None where there is none (every permutation was
        taken, or the p-value comes from a fitted tail).
    p_joint : (n_features,) corrected over all contrasts and parts as well, or None.
    """

    measure: Measure
    values: NDArray[np.float64]
    p_fwe: NDArray[np.float64]
    null: NDArray[np.float64]
    interval: tuple[float, float] | None = None
    p_joint: NDArray[np.float64] | None = None

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(n_features,) bool: family-wise p ≤ .05."""
        return np.asarray(self.p_fwe <= ALPHA)

    @property
    def critical(self) -> float | None:
        """What a feature must exceed to be significant; None where there are too few permutations for that."""
        n_allowed = int(ALPHA * len(self.null) + 1e-9)
        return float(np.sort(self.null)[::-1][n_allowed]) if 0 < n_allowed < len(self.null) else None


@dataclass(frozen=True)
class Effect:
    """Effect sizes, (n_features,) each, with 95 % confidence limits where they are known."""

    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ContrastPage:
    """One contrast on one part of the features.

    Drawn on slices where `region` has voxel indices, on surfaces where there are `meshes`, else plotted by name.

    Attributes
    ----------
    contrast : the hypothesis.
    part : e.g. "component-1"; "" when there is only one.
    statistic : "t", "v", "r" (signed); "f", "g", "rsq".
    df : error degrees of freedom.
    tests : the statistic itself first, then what else was maximised.
    p : (n_features,) uncorrected.
    effect : effect sizes, or None.
    region, meshes, names : where the features are, or what they are called.
    peak_columns, peaks : the table of peaks as text, the most important first.
    """

    contrast: Contrast
    part: str
    statistic: str
    df: float
    tests: tuple[MaximumTest, ...]
    p: NDArray[np.float64]
    effect: Effect | None = None
    region: Region | None = None
    meshes: tuple[Mesh, ...] = ()
    names: tuple[str, ...] = ()
    peak_columns: tuple[str, ...] = ()
    peaks: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class DesignPage:
    """The model, and what a reader should check about it.

    Attributes
    ----------
    design : the model.
    groups : name and number of subjects of each group.
    possible : how many permutations there are, in words.
    exchangeability : who may be exchanged with whom, in words.
    left_out : participant and reason, for everyone whose maps or phenotypes were not used.
    """

    design: Design
    groups: tuple[tuple[str, int], ...] = ()
    possible: str = ""
    exchangeability: str = "all subjects with one another"
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PermutePage:
    """All that the page says; text is escaped when it is rendered.

    Attributes
    ----------
    options : as they were resolved.
    n_perm : permutations that were done, the identity included.
    exhaustive : these were all there are.
    unit : what a feature is.
    n_left_out : features of the input that were not tested (not finite, or without variance).
    facts : further rows of the table of facts (files, versions, time).
    remarks : what the user should know.
    """

    version: str
    options: InferenceOptions
    design: DesignPage
    contrasts: tuple[ContrastPage, ...]
    n_perm: int
    exhaustive: bool = False
    unit: Unit = "voxel"
    n_left_out: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
