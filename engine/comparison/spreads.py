"""How much the statistics of a comparison vary under permutation, from a few permutations before the others."""

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import Study, solve_features
from thalgpu.engine.comparison.labels import Comparison
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.errors import NumericsError

Floats = NDArray[np.float64]

N_PILOT = 40
"""Permutations of each comparison that are looked at first, the identity not among them."""

_ROUNDING = 1e-5
"""Null SD, in units of a gradient's size, that rounding alone can give."""


@dataclass(frozen=True, eq=False)
class Pilot:
    """A study with the null SDs of its statistics, from the first permutations of each comparison.

    `seconds` is what a permutation of all comparisons took by the study's own path, `above` the share of each
    comparison's permutations whose estimated error is above the tolerance.
    """

    study: Study
    seconds: float
    above: Floats

    @property
    def n_groups(self) -> Floats:
        """(n_comparisons,) groups of each: what a permutation of it costs."""
        return np.array([len(one.groups) for one in self.study.comparisons], dtype=np.float64)

    @property
    def share(self) -> float:
        """Of all permutations, those above the tolerance."""
        return float(self.above.mean())

    @property
    def exact_share(self) -> float:
        """The same of all group means."""
        return float(self.above @ self.n_groups / self.n_groups.sum())


def run_pilot(study: Study) -> Pilot:
    """The first permutations of every comparison by the study's own path, without exceptions."""
    began = time.perf_counter()
    n_components, n_comparisons = study.template.shape[1], len(study.comparisons)
    ones = np.ones(n_components), np.ones(len(SCALARS) * n_components)
    unlimited = replace(
        study, eig_tol=np.inf, spreads=ones[:1] * n_comparisons, number_spreads=ones[1:] * n_comparisons
    )
    spreads, number_spreads, centres, errors = [], [], [], []
    for number, comparison in enumerate(study.comparisons):
        batch = solve_features(unlimited, number, first_permutations(study, number, N_PILOT))
        spread = _map_spread(study, comparison, batch.features)
        centre, size = _number_spread(study, comparison, batch.features)
        spreads.append(spread)
        centres.append(centre)
        number_spreads.append(size)
        errors.append(batch.errors)
    found = replace(study, spreads=tuple(spreads), number_spreads=tuple(number_spreads), number_centres=tuple(centres))
    seconds = (time.perf_counter() - began) / N_PILOT
    above = [(each > found.allowed(number)).any(axis=1).mean() for number, each in enumerate(errors)]
    return Pilot(found, seconds, np.array(above))


def _map_spread(study: Study, comparison: Comparison, features: Floats) -> Floats:
    """(n_components,) null SD of a comparison's maps, root mean square over voxels."""
    centred = features if comparison.is_pair else features - features.mean(axis=0)
    spread: Floats = np.sqrt((map_sizes(study, centred) ** 2).mean(axis=0))
    if not (spread > _ROUNDING * np.sqrt((study.template**2).mean(axis=0))).all():
        raise NumericsError(
            f"the gradients of {comparison.name} do not vary under permutation",
            remedy="check that the subjects have affinities of their own",
        )
    return spread


def _number_spread(study: Study, comparison: Comparison, features: Floats) -> tuple[Floats, Floats]:
    """(4 n_components,) null mean of numbers that have no sign, 0 of the others; and null SD of all around it."""
    numbers = features[:, study.template.size :]
    centre = numbers.mean(axis=0)
    if comparison.is_pair:
        centre[: -study.template.shape[1]] = 0.0  # all but the subspace
    size = np.sqrt(((numbers - centre) ** 2).mean(axis=0))
    return centre, np.where(size > 0, size, 1.0)


def first_permutations(study: Study, number: int, count: int) -> range:
    """The first permutations after the identity."""
    return range(1, min(count + 1, study.comparisons[number].permutations.n_perm))


def map_sizes(study: Study, features: Floats) -> Floats:
    """(n_perm, n_components) root mean square over voxels of each map."""
    n_voxels, n_components = study.template.shape
    maps = features[:, : n_voxels * n_components].reshape(len(features), n_components, n_voxels)
    size: Floats = np.sqrt((maps**2).mean(axis=2))
    return size
