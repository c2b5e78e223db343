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
    """Largest errors of the reduced path over a random sample of permutations, in null SDs.

    Attributes
    ----------
    maps : (n_components,) root mean square over voxels.
    numbers : (4, n_components), a row each of `statistics.SCALARS`.
    """

    maps: Floats
    numbers: Floats


def verify(study: Study, number: int, seed: int) -> Verified:
    """Largest errors over a random sample of permutations, reduced less exact; zeros where nothing is reduced."""
    n_components = study.template.shape[1]
    n_perm = study.comparisons[number].permutations.n_perm
    if study.path != "reduced":
        return Verified(np.zeros(n_components), np.zeros((len(SCALARS), n_components)))
    generator = np.random.Generator(np.random.Philox(key=[seed, number]))
    chosen = sorted(generator.choice(n_perm, size=min(N_VERIFIED, n_perm), replace=False).tolist())
    reduced, exact = (solve_features(study, number, chosen, exact=way).features for way in (False, True))
    errors = reduced - exact
    numbers = np.abs(errors[:, study.template.size :]) / study.number_spreads[number]
    maps: Floats = (map_sizes(study, errors) / study.spreads[number]).max(axis=0)
    return Verified(maps, numbers.max(axis=0).reshape(len(SCALARS), n_components))
