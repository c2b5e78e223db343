"""By which path eigenvectors are found, from a few permutations before the others, and what that will cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Path, Study, solve_features
from thalgpu.engine.comparison.exact import calibrated
from thalgpu.engine.comparison.labels import residual_weights
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import Pooled
from thalgpu.engine.comparison.spreads import Pilot, first_permutations, run_pilot
from thalgpu.engine.comparison.verification import N_VERIFIED
from thalgpu.errors import UsageError

Floats = NDArray[np.float64]

RANKS = (100, 150, 200, 300)
"""Sizes of the pooled basis that are tried, the smallest first."""

FEW_EXACT = 0.1
"""Share of the pilot's permutations that may need the exact path before a larger basis is tried."""

N_TIMED = 8
"""Permutations of the first comparison on which the exact path is timed."""

_N_OBSERVED = 2
"""How often the observed groups are solved, one worker after the other: for the counts, and for the results."""

_FROM_SCRATCH = "so each mean is embedded from scratch, which is as exact as the exact path"

N_CALIBRATION = 8
"""Permutations of the first comparison on whose groups the error estimates are fitted to the data."""

MOST_EXACT = 0.7
"""Share from which on all permutations take it: the reduced path would hardly save anything."""


@dataclass(frozen=True)
class Choice:
    """The path of a run, and why.

    Attributes
    ----------
    path : "reduced", "exact" or "direct".
    rank : vectors in the pooled basis; 0 on the direct path.
    words : why, for people.
    seconds : what one permutation of all comparisons takes on one core, those that turn exact included.
    seconds_once : what the observed groups and the verification take besides, on one core.
    exact_share : of group means, those that the reduced path will leave to the exact one.
    """

    path: Path
    rank: int
    words: str
    seconds: float
    seconds_once: float = 0.0
    exact_share: float = 0.0

    @property
    def cost(self) -> str:
        """In words."""
        solved = f", {100 * self.exact_share:.0f} % of the groups solved exactly" if self.path == "reduced" else ""
        once = "observed groups and verification" if self.path == "reduced" else "observed groups"
        return (
            f"{1000 * self.seconds:.1f} ms a permutation of all comparisons on one core{solved}; "
            f"{self.seconds_once:.1f} s for {once}"
        )

    def estimate(self, n_perm: int, workers: int) -> float:
        """Seconds that so many permutations take: the verification is one task, which no second worker can share."""
        return self.seconds * n_perm / workers + self.seconds_once


def choose_path(study: Study, pool: Callable[[int], Pooled], wanted: Path | None = None) -> tuple[Study, Choice]:
    """The study with its path, its pooled basis and the null SDs of its statistics.

    Parameters
    ----------
    study : without `pooled` and `spreads`.
    pool : rank → what all means have in common; called for the largest rank that is tried.
    wanted : take this path whatever the errors; where no basis can be had, each mean is embedded from scratch instead.

    Raises
    ------
    UsageError
        The reduced path for a recipe that no basis can serve.
    NumericsError
        Where the groups' gradients do not vary under permutation.
    """
    n_voxels = len(study.template)
    ranks = [rank for rank in RANKS if rank < n_voxels]
    obstacle = _obstacle(study.recipe)
    if obstacle and wanted == "reduced":
        raise UsageError(f"there is no reduced path here: {obstacle}", remedy="leave --path out, or take exact")
    if wanted == "direct" or obstacle or not ranks:
        reason = obstacle or ("" if ranks else f"{n_voxels} voxels need no basis, {_FROM_SCRATCH}")
        return _direct(study, reason, wanted)
    whole = pool(ranks[-1])
    tried: list[tuple[int, float]] = []
    for rank in ranks[-1:] if wanted == "exact" else ranks:
        pooled = calibrated(study.stack, whole.truncated(rank), _calibration_weights(study))
        pilot = run_pilot(replace(study, path="reduced", pooled=pooled))
        tried.append((rank, pilot.share))
        if pilot.share <= FEW_EXACT:
            break
    if wanted == "exact":
        return _exact(pilot, "exact was asked for")
    if pilot.share > MOST_EXACT and wanted is None:
        return _exact(pilot, _shares_in_words(tried, exact=True))
    return _reduced(pilot, ("reduced was asked for; " if wanted else "") + _shares_in_words(tried, exact=False))


def _obstacle(recipe: Recipe) -> str:
    """Why no basis can serve a recipe; nothing where one can."""
    if recipe.graph != "dense":
        return f"the edges of an ε-graph change with the labels, {_FROM_SCRATCH}"
    if recipe.approach == "pca":
        return f"principal components are not those of a sum of the subjects' operators, {_FROM_SCRATCH}"
    return ""


def _direct(study: Study, reason: str, wanted: Path | None) -> tuple[Study, Choice]:
    pilot = run_pilot(replace(study, path="direct", pooled=None))
    asked = f"{wanted} was asked for" if wanted else ""
    words = "; ".join(part for part in (asked, reason) if part)
    return pilot.study, Choice("direct", 0, words, pilot.seconds, _N_OBSERVED * pilot.seconds)


def _reduced(pilot: Pilot, words: str) -> tuple[Study, Choice]:
    """The reduced path, and what its exceptions and its verification cost."""
    study, n_groups = pilot.study, pilot.n_groups
    exact = _exact_seconds(study)
    verified = np.array([min(N_VERIFIED, one.permutations.n_perm) for one in study.comparisons]) @ n_groups
    once = (verified + _N_OBSERVED * n_groups.sum()) * exact + verified * pilot.seconds / n_groups.sum()
    choice = Choice(
        path="reduced",
        rank=study.pooled.rank if study.pooled else 0,
        words=words,
        seconds=pilot.seconds + float(pilot.above @ n_groups) * exact,
        seconds_once=float(once),
        exact_share=pilot.exact_share,
    )
    return study, choice


def _exact(pilot: Pilot, words: str) -> tuple[Study, Choice]:
    """The exact path, with the spreads that the reduced one gave."""
    study = pilot.study
    seconds = _exact_seconds(study) * float(pilot.n_groups.sum())
    rank = study.pooled.rank if study.pooled else 0
    return replace(study, path="exact"), Choice("exact", rank, words, seconds, _N_OBSERVED * seconds)


def _exact_seconds(study: Study) -> float:
    """What the exact path takes for one mean."""
    chosen = first_permutations(study, 0, N_TIMED)
    began = time.perf_counter()
    solve_features(study, 0, chosen, exact=True)
    return (time.perf_counter() - began) / (len(chosen) * len(study.comparisons[0].groups))


def _shares_in_words(tried: list[tuple[int, float]], *, exact: bool) -> str:
    """How many of the pilot's permutations were above the tolerance with each basis, and what becomes of them."""
    *before, (rank, share) = tried
    become = "so all are solved exactly" if exact else "and any such one is solved exactly"
    others = ", ".join(f"{100 * other:.0f} % with {size}" for size, other in before)
    smaller = f" ({others})" if others else ""
    how_many = f"{100 * share:.0f} %" if share else "none"
    above = f"{how_many} of the pilot's permutations have an estimated error above eig_tol"
    return f"{above} with a basis of {rank}, {become}{smaller}"


def _calibration_weights(study: Study) -> Floats:
    """(n_sets, n_subjects) groups of some permutations, on which the error estimates are fitted to the data."""
    weights = study.comparisons[0].weights(first_permutations(study, 0, N_CALIBRATION), len(study.stack))
    return residual_weights(weights, study.covariates).reshape(-1, len(study.stack))
