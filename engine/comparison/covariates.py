"""What covariates that are regressed from the affinities leave of the groups, and of the test's exchangeability."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Study
from thalgpu.engine.comparison.labels import Comparison, residual_weights
from thalgpu.engine.comparison.pooled import require_positive
from thalgpu.engine.comparison.triangles import unpacked
from thalgpu.errors import NumericsError

Floats = NDArray[np.float64]

LEAST_LEFT = 0.01
"""Part of the squared length of a comparison's weights that covariates must leave."""

FEW = 10
"""Degrees of freedom below which residuals of the subjects depend on each other too much to be exchanged."""

TOO_SMALL, TOO_LARGE = 1.05, 0.8
"""SD of an observed difference, in those of permuted ones, from which on p-values are visibly off."""

_N_SAMPLED = 200
"""Permutations that are looked at together."""


def covariate_remarks(chosen: Sequence[Comparison], covariates: Floats) -> Iterator[str]:
    """What a user should know of covariates before anything is permuted.

    Parameters
    ----------
    chosen : comparisons; the largest has all subjects' groups.
    covariates : (n_subjects, n_covariates), of full rank with a constant.

    Raises
    ------
    NumericsError
        Covariates that leave next to nothing of a comparison.

    Notes
    -----
    A statistic that is linear in the affinities varies in proportion to the length of its weights after regression.
    Those of the observed groups keep more of it than permuted ones where covariates are balanced over the groups, and
    less where they are confounded with them. On average over cohorts the two are equal.
    """
    n_subjects, n_covariates = covariates.shape
    n_groups = max(len(one.groups) for one in chosen)
    left = n_subjects - n_groups - n_covariates
    if left < FEW:
        yield (
            f"{n_subjects} subjects in {n_groups} groups with {n_covariates} covariates leave {left} degrees of "
            "freedom: residual affinities depend on each other, and p-values are approximate; use fewer covariates"
        )
    for one in chosen:
        observed = _squares(one, range(1), covariates)[0]
        if observed < LEAST_LEFT * _squares(one, range(1), None)[0]:
            raise NumericsError(
                f"covariates leave nothing of {one.name}: they tell its groups apart",
                remedy="leave out the covariate that does",
            )
        sampled = range(1, min(_N_SAMPLED + 1, one.permutations.n_perm))
        ratio = float(np.sqrt(observed / _squares(one, sampled, covariates).mean()))
        if ratio > TOO_SMALL or ratio < TOO_LARGE:
            how = "too small: use fewer covariates" if ratio > 1 else "too large: groups share much with covariates"
            yield (
                f"{one.name}: once covariates are regressed, what is observed varies {ratio:.2f} times as much as what "
                f"is permuted, and p-values are {how}"
            )


def check_degrees(study: Study) -> None:
    """Look for voxels without positive degree in any permutation, before the first of them is solved.

    Raises
    ------
    NumericsError
        Residual affinities of some permuted group leave a voxel without weight.
    """
    n_voxels, n_subjects = len(study.template), len(study.stack)
    degrees = np.stack(
        [
            unpacked(packed, n_voxels, self_loops=study.recipe.self_loops).sum(axis=1, dtype=np.float64)
            for packed in study.stack
        ]
    )
    for one in study.comparisons:
        n_perm = one.permutations.n_perm
        for start in range(0, n_perm, _N_SAMPLED):
            weights = one.weights(range(start, min(start + _N_SAMPLED, n_perm)), n_subjects)
            require_positive(residual_weights(weights, study.covariates).reshape(-1, n_subjects) @ degrees)


def _squares(one: Comparison, chosen: range, covariates: Floats | None) -> Floats:
    """(n_chosen,) squared length of what the groups' weights differ by, each group weighted by its share."""
    n_subjects = int(one.members.max()) + 1 if covariates is None else len(covariates)
    weights = residual_weights(one.weights(chosen, n_subjects), covariates)
    mean = np.einsum("pgs,g->ps", weights, one.shares)
    squares: Floats = np.einsum("pgs,g->p", (weights - mean[:, None]) ** 2, one.shares)
    return squares
