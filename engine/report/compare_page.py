"""What the page of a comparison of group gradients is filled with."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.report.permute_page import ALPHA, MaximumTest

Path: TypeAlias = Literal["reduced", "exact", "direct"]

MIXING = 0.01
"""Share of a comparison's group solutions with close eigenvalues from which a component is pointed out."""


@dataclass(frozen=True)
class ComponentPage:
    """How the maps of one component differ.

    Attributes
    ----------
    number : 1 for the first.
    tests : the difference itself first, then TFCE where it was asked for.
    p : (n_voxels,) uncorrected.
    null_sd : SD of the difference map over permutations, root mean square over voxels.
    estimated : largest estimated error of a permutation's difference map, in null SDs.
    verified : largest error found in the sample that was computed both ways; None where all was computed exactly.
    close : share of the group solutions whose eigenvalue is next to a neighbour's.
    """

    number: int
    tests: tuple[MaximumTest, ...]
    p: NDArray[np.float64]
    null_sd: float
    estimated: float
    verified: float | None
    close: float

    @property
    def leading(self) -> MaximumTest:
        """The test that says what is significant: TFCE where there is one."""
        return next((test for test in self.tests if test.measure == "tfce"), self.tests[0])

    @property
    def mixes(self) -> bool:
        """Whether it is pointed out for eigenvalues that come close."""
        return self.close >= MIXING


@dataclass(frozen=True)
class NumberPage:
    """One number of every component; arrays are (n_components,), `p_fwe` is corrected over the components.

    `name` is "eigenvalue", "explained", "range" or "subspace", as in `engine.comparison.statistics.SCALARS`;
    `verified` the error in the sample that was computed both ways, root mean square in null SDs, or None.
    """

    name: str
    values: NDArray[np.float64]
    p: NDArray[np.float64]
    p_fwe: NDArray[np.float64]
    verified: NDArray[np.float64] | None = None

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(n_components,) bool: corrected p ≤ .05."""
        return np.asarray(self.p_fwe <= ALPHA)


@dataclass(frozen=True)
class ComparisonPage:
    """One comparison of one embedding.

    Attributes
    ----------
    name, place : e.g. "a - b", and "Left thalamus" or "" where there is only one embedding.
    groups : name and number of subjects of each.
    components, numbers : what differs.
    region : where the voxels are.
    n_perm, exhaustive, permutations : how many were taken, whether these were all, and both in words.
    path : how eigenvectors were found.
    n_exact : permutations that were computed exactly.
    n_verified : permutations that were computed both ways; 0 where all was computed exactly.
    angles : (n_components, n_components) principal angles between the groups of a pair, in degrees: row j − 1 has those
        of the first j components, the largest first; None of all groups.
    peak_columns, peaks : the table of peaks as text, the most important first.
    """

    name: str
    place: str
    groups: tuple[tuple[str, int], ...]
    components: tuple[ComponentPage, ...]
    numbers: tuple[NumberPage, ...]
    region: Region
    n_perm: int
    exhaustive: bool
    permutations: str
    path: Path
    n_exact: int
    n_verified: int = 0
    angles: NDArray[np.float64] | None = None
    peak_columns: tuple[str, ...] = ()
    peaks: tuple[tuple[str, ...], ...] = ()

    @property
    def is_pair(self) -> bool:
        """Whether there is a difference with a sign."""
        return len(self.groups) == 2

    @property
    def n_voxels(self) -> int:
        """Elements of each map."""
        return len(self.region.flat)


@dataclass(frozen=True)
class EmbeddingPage:
    """How the groups of one embedding were solved.

    Attributes
    ----------
    place : "Thalamus", "Left thalamus" or "Right thalamus".
    n_voxels : of it that all subjects cover.
    path, rank : how eigenvectors are found, and the size of the basis of the reduced path.
    why : that path, in words.
    """

    place: str
    n_voxels: int
    path: Path
    rank: int
    why: str


@dataclass(frozen=True)
class ComparePage:
    """All that the page says; text is escaped when it is rendered.

    Attributes
    ----------
    options : permutations, seed and TFCE, as they were resolved.
    recipe, n_align : how groups were embedded, and how many components were rotated together.
    eig_tol : largest estimated error, in null SDs, that the reduced path may leave.
    closeness : distance of neighbouring eigenvalues, as part of them, at which components may mix.
    groups : name and number of subjects of each, all of them.
    covariates, blocks : columns that were regressed from the affinities, and of exchangeability blocks.
    embeddings, comparisons : what was solved and what came out.
    facts : further rows of the table of facts (files, versions).
    remarks : what the user should know.
    """

    version: str
    options: InferenceOptions
    recipe: Recipe
    n_align: int
    eig_tol: float
    closeness: float
    groups: tuple[tuple[str, int], ...]
    covariates: tuple[str, ...]
    blocks: tuple[str, ...]
    embeddings: tuple[EmbeddingPage, ...]
    comparisons: tuple[ComparisonPage, ...]
    facts: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
