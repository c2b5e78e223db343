"""A few permutations before the others: how much a statistic varies, and by which path eigenvectors are found."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Path, Study, solve_features
from thalgpu.engine.comparison.exact import calibrated
from thalgpu.engine.comparison.labels import residual_weights
from thalgpu.engine.comparison.pooled import Pooled
from thalgpu.errors import NumericsError

N_PILOT = 40
"""Permutations of each comparison that are looked at first, the identity not among them."""

RANKS = (100, 150, 200, 300)
"""Sizes of the pooled basis that are tried, the smallest first."""

FEW_EXACT = 0.1
"""Share of the pilot's permutations that may need the exact path before a larger basis is tried."""

_ROUNDING = 1e-5
"""Null SD, in units of a gradient's size, that rounding alone can give."""

N_TIMED = 8
"""Permutations that are timed where the exact path is taken."""

N_CALIBRATION = 8
"""Permutations of the first comparison on whose groups the error estimates are fitted to the data."""

MOST_EXACT = 0.7
"""Share from which on all permutations take it: the reduced path would hardly save anything."""

N_VERIFIED = 20
"""Permutations whose reduced answer is held against the exact one at the end."""


@dataclass(frozen=True)
class Choice:
    """The path of a run, and why.

    Attributes
    ----------
    path : "reduced", "exact" or "direct".
    rank : vectors in the pooled basis; 0 on the direct path.
    words : why, for people.
    seconds : what one permutation of all comparisons takes on one core, from the pilot.
    """

    path: Path
    rank: int
    words: str
    seconds: float

    @property
    def cost(self) -> str:
        """In words."""
        return f"{1000 * self.seconds:.1f} ms a permutation of all comparisons on one core"


def choose_path(study: Study, pool: Callable[[int], Pooled], wanted: Path | None = None) -> tuple[Study, Choice]:
    """The study with its path, its pooled basis and the null SDs of its statistics.

    Parameters
    ----------
    study : without `pooled` and `spreads`.
    pool : rank → what all means have in common; called for each rank that is tried.
    wanted : take this path whatever the errors.

    Raises
    ------
    NumericsError
        Where the groups' gradients do not vary under permutation.
    """
    n_voxels = len(study.template)
    ranks = [rank for rank in RANKS if rank < n_voxels]
    if study.recipe.graph != "dense" or study.recipe.approach == "pca":
        return _direct(study, "edges or components of this recipe change with the labels")
    if wanted == "direct" or not ranks:
        return _direct(study, "asked for" if ranks else f"{n_voxels} voxels need no basis")
    whole = pool(ranks[-1])
    shares = []
    for rank in ranks:
        pooled = calibrated(study.stack, whole.truncated(rank), _calibration_weights(study))
        tried, seconds = _with_spreads(replace(study, path="reduced", pooled=pooled))
        share = _share_above(tried)
        shares.append(f"{share:.0%} of the pilot's permutations are above eig_tol with a basis of {rank}")
        last = rank == ranks[-1]
        if wanted == "reduced" or (wanted is None and (share <= FEW_EXACT or (last and share <= MOST_EXACT))):
            return tried, Choice("reduced", rank, "; ".join(shares), seconds)
    return _exact(tried, "asked for" if wanted == "exact" else "; ".join(shares))


def _direct(study: Study, words: str) -> tuple[Study, Choice]:
    tried, seconds = _with_spreads(replace(study, path="direct", pooled=None))
    return tried, Choice("direct", 0, words, seconds)


def _exact(study: Study, words: str) -> tuple[Study, Choice]:
    """The exact path, with the spreads that the reduced one gave."""
    exact = replace(study, path="exact")
    began = time.perf_counter()
    for number in range(len(study.comparisons)):
        solve_features(exact, number, _first(study, number, N_TIMED))
    seconds = (time.perf_counter() - began) / N_TIMED
    return exact, Choice("exact", study.pooled.rank if study.pooled else 0, words, seconds)


def verify(study: Study, number: int, seed: int) -> NDArray[np.float64]:
    """Largest error of the difference maps over a random sample of permutations, in null SDs.

    Returns
    -------
    (n_components,) root mean square over voxels of reduced less exact; zeros where nothing is reduced.
    """
    n_perm = study.comparisons[number].permutations.n_perm
    if study.path != "reduced":
        return np.zeros(study.template.shape[1])
    generator = np.random.Generator(np.random.Philox(key=[seed, number]))
    chosen = sorted(generator.choice(n_perm, size=min(N_VERIFIED, n_perm), replace=False).tolist())
    reduced, exact = (solve_features(study, number, chosen, exact=way).features for way in (False, True))
    worst: NDArray[np.float64] = (_rms(study, reduced - exact) / study.spreads[number]).max(axis=0)
    return worst


def _with_spreads(study: Study) -> tuple[Study, float]:
    """The study with the null SD of every comparison, from its pilot; and the seconds that a permutation took."""
    began = time.perf_counter()
    unlimited = replace(study, eig_tol=np.inf, spreads=(np.ones(study.template.shape[1]),) * len(study.comparisons))
    spreads, number_spreads = [], []
    for number, comparison in enumerate(study.comparisons):
        features = solve_features(unlimited, number, _first(study, number, N_PILOT)).features
        centred = features if comparison.is_pair else features - features.mean(axis=0)
        spread = np.sqrt((_rms(study, centred) ** 2).mean(axis=0))
        if not (spread > _ROUNDING * np.sqrt((study.template**2).mean(axis=0))).all():
            raise NumericsError(
                f"the gradients of {comparison.name} do not vary under permutation",
                remedy="check that the subjects have affinities of their own",
            )
        spreads.append(spread)
        numbers = features[:, study.template.size :]
        centre = 0.0 if comparison.is_pair else numbers.mean(axis=0)
        size = np.sqrt(((numbers - centre) ** 2).mean(axis=0))
        number_spreads.append(np.where(size > 0, size, 1.0))
    found = replace(study, spreads=tuple(spreads), number_spreads=tuple(number_spreads))
    return found, (time.perf_counter() - began) / N_PILOT


def _share_above(study: Study) -> float:
    """Share of the pilot's permutations with an estimated error above the tolerance."""
    above, total = 0, 0
    unlimited = replace(study, eig_tol=np.inf)
    for number in range(len(study.comparisons)):
        errors = solve_features(unlimited, number, _first(study, number, N_PILOT)).errors
        above += int((errors > study.eig_tol * study.spreads[number]).any(axis=1).sum())
        total += len(errors)
    return above / total


def _calibration_weights(study: Study) -> NDArray[np.float64]:
    """(n_sets, n_subjects) groups of some permutations, on which the error estimates are fitted to the data."""
    weights = study.comparisons[0].weights(_first(study, 0, N_CALIBRATION), len(study.stack))
    return residual_weights(weights, study.covariates).reshape(-1, len(study.stack))


def _first(study: Study, number: int, count: int) -> range:
    """The first permutations after the identity."""
    return range(1, min(count + 1, study.comparisons[number].permutations.n_perm))


def _rms(study: Study, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_perm, n_components) root mean square over voxels of each map."""
    n_voxels, n_components = study.template.shape
    maps = features[:, : n_voxels * n_components].reshape(len(features), n_components, n_voxels)
    size: NDArray[np.float64] = np.sqrt((maps**2).mean(axis=2))
    return size
