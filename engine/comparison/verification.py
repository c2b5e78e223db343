"""Reduced answers beside exact ones, for a random sample of the permutations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Study, solve_features
from thalgpu.engine.comparison.spreads import map_sizes
from thalgpu.engine.comparison.statistics import SCALARS

Floats = NDArray[np.float64]

N_VERIFIED = 20
"""Permutations whose reduced answer is held against the exact one at the end."""


@dataclass(frozen=True, eq=False)
class Verified:
    """Errors of the reduced path in a random sample of permutations, in null SDs.

    Attributes
    ----------
    maps : (n_components,) largest over the sample of the root mean square over voxels.
    numbers : (4, n_components) root mean square over the sample, a row each of `statistics.SCALARS`: single values err
        by more than maps do on the whole, and a p-value depends on what all of them do.
    largest : (4, n_components) the same, the largest of the sample.
    """

    maps: Floats
    numbers: Floats
    largest: Floats


def verify(study: Study, number: int, seed: int) -> Verified:
    """Errors in a random sample of permutations, reduced less exact; zeros where nothing is reduced."""
    shape = len(SCALARS), study.template.shape[1]
    n_perm = study.comparisons[number].permutations.n_perm
    if study.path != "reduced":
        return Verified(np.zeros(shape[1]), np.zeros(shape), np.zeros(shape))
    generator = np.random.Generator(np.random.Philox(key=[seed, number]))
    chosen = sorted(generator.choice(n_perm, size=min(N_VERIFIED, n_perm), replace=False).tolist())
    reduced, exact = (solve_features(study, number, chosen, exact=way).features for way in (False, True))
    errors = reduced - exact
    numbers = np.abs(errors[:, study.template.size :]) / study.number_spreads[number]
    maps: Floats = (map_sizes(study, errors) / study.spreads[number]).max(axis=0)
    return Verified(maps, np.sqrt((numbers**2).mean(axis=0)).reshape(shape), numbers.max(axis=0).reshape(shape))
