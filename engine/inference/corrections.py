"""p-values from counts and null maxima: uncorrected, family-wise, false discovery, and how sure each is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from thalgpu.kernels.glm import tie_threshold


def uncorrected(counts: NDArray[np.integer], n_perm: int) -> NDArray[np.float64]:
    """Share of the permutations, the identity among them, whose statistic reaches the observed one.

    Parameters
    ----------
    counts : (n_features,) integers, 1 or more
        Permutations that reach what was observed, the identity included.
    n_perm : permutations, the identity included.

    Returns
    -------
    (n_features,) float64, at least 1/n_perm.
    """
    return counts / float(n_perm)


def familywise(observed: NDArray[np.float64], null_maxima: NDArray[np.float64]) -> NDArray[np.float64]:
    """p corrected for all features at once: share of the permutations whose largest statistic reaches the observed one.

    Parameters
    ----------
    observed : (n_features,) float64
        Magnitudes, in the scale of the maxima.
    null_maxima : (n_perm,) float64
        Largest magnitude over the features of each permutation, the identity first.

    Returns
    -------
    (n_features,) float64, at least 1/n_perm when the maxima include the identity's.

    Notes
    -----
    Maxima that fall short by rounding alone count as reached (`kernels.glm.tie_threshold`); PALM compares exactly.
    Nichols and Holmes 2002, doi:10.1002/hbm.1058.
    """
    ascending = np.sort(null_maxima)
    below = np.searchsorted(ascending, tie_threshold(observed), side="left")
    return (len(ascending) - below) / float(len(ascending))


def false_discovery(p: NDArray[np.float64], *, adaptive: bool = False) -> NDArray[np.float64]:
    """Adjusted p: the lowest false discovery rate at which each feature is a discovery.

    Parameters
    ----------
    p : (n_features,) float64
        Uncorrected, above 0.
    adaptive : also estimate how many features have no effect, as PALM's `-fdr` does. Discovers more where effects are
        everywhere, even features whose own p is above the rate; made for independent features.

    Returns
    -------
    (n_features,) float64, at most 1, in the order of p.

    Notes
    -----
    With ascending p_(1) … p_(m): min over l ≥ i of p_(l)·m/l (Benjamini and Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x). Adaptive: max over j ≤ i of min over l ≥ j of the q that solves
    p_(l) = q·l / (m + 1 − j(1 − q)) (Benjamini, Krieger and Yekutieli 2006, definition 7, doi:10.1093/biomet/93.3.491).
    """
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, len(p) + 1)
    best = np.maximum.accumulate((ranks / p[order])[::-1])[::-1]  # max over l ≥ i of l / p_(l), never below i
    steps = (
        np.maximum.accumulate((len(p) + 1 - ranks) / np.maximum(best - ranks, 1e-300)) if adaptive else len(p) / best
    )
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def joint_maxima(null_maxima: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Maxima over several tests of one permutation set: contrasts, components, hemispheres.

    Parameters
    ----------
    null_maxima : each (n_perm,) float64, permutation by permutation from the same set, and in comparable units.

    Returns
    -------
    (n_perm,) float64, which `familywise` turns into p corrected over all of the tests.
    """
    joint: NDArray[np.float64] = np.max(np.stack(null_maxima), axis=0)
    return joint


def monte_carlo_interval(
    exceedances: NDArray[np.integer], n_perm: int, level: float = 0.95, *, exhaustive: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far p could be from what all possible permutations would give.

    Parameters
    ----------
    exceedances : (n_features,) integers, 1 or more
        Permutations that reach what was observed, the identity included.
    n_perm : permutations, the identity included.
    level : of confidence.
    exhaustive : every possible permutation was taken once: nothing is left to chance, and both limits are p.

    Returns
    -------
    low, high : (n_features,) float64

    Notes
    -----
    Exact (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404) for the n_perm − 1 permutations that were drawn: the
    identity was not. p = exceedances / n_perm lies between the limits always.
    """
    counts = np.asarray(exceedances, dtype=np.float64)
    if exhaustive or n_perm == 1:
        p = counts / n_perm
        return p, p.copy()
    reached, missed = counts - 1, n_perm - counts
    outside = (1 - level) / 2
    low, high = np.zeros(len(counts)), np.ones(len(counts))
    some, others = reached > 0, missed > 0
    low[some] = betaincinv(reached[some], missed[some] + 1, outside)
    high[others] = betaincinv(reached[others] + 1, missed[others], 1 - outside)
    return low, high
