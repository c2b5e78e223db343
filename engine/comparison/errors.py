"""How far vectors are from the exact eigenvectors, as residuals have it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE = 7.0
"""How much more the tail of a group's spectrum spreads than the pooled one's, for each unit of √(Σ w² − 1/S).

From synthetic cohorts of 30 and 84, smooth and rough, with groups of a tenth to two thirds of them and bases of 60 to
300: the least with which the estimate is above the true error in 99 of 100 vectors; the median is 3 times too large."""

MIXED = 0.3
"""How much of the largest possible coupling two vectors have through what they lack outside of the basis. What they
lack points in hardly related directions: on the same cohorts never more than .17 of it, .04 in 99 of 100 pairs."""

LEFT = 0.5
"""Part of a step inside of the pooled basis that it is wrong by: it knows of the pooled operator there, not of the
mean's own."""

SEPARATED = 1e-7
"""Gap, in units of an eigenvalue, below which the basis of two vectors is taken as arbitrary."""


def tail_spread(weights: Floats, last: float, tail: float) -> Floats:
    """(n_sets,) how far eigenvalues outside of the pooled basis lie from their mean.

    Parameters
    ----------
    weights : (n_sets, n_subjects), rows of sum 1.
    last, tail : last pooled eigenvalue in the basis, and mean of those outside of it.

    Notes
    -----
    In the pooled mean no more than last − tail. A group's mean has noise that the pooled one has averaged out: its
    variance grows by Σ w² − 1/S.
    """
    noise = np.sqrt(np.maximum((weights**2).sum(axis=1) - 1 / weights.shape[1], 0))
    spread: Floats = (1 + NOISE * noise) * (last - tail)
    return spread


def reduced_errors(sines: Floats, residuals: Floats, lambdas: Floats, tail: float, spread: Floats) -> Floats:
    """Angles of vectors after one step out of the pooled basis.

    Parameters
    ----------
    sines : (n_sets, m) of the angles of the trial vectors, inside the basis, to those after the step: what they lacked.
    residuals : (n_sets, m) ‖A y − λ B y‖ / λ of the small problems.
    lambdas : (n_sets, m), descending.
    tail : mean of the eigenvalues outside of the basis; the step was one with K − tail M.
    spread : (n_sets,) as of `tail_spread`.

    Returns
    -------
    (n_sets, m)
        The step finds the part outside of the basis but for spread / (λ − tail) of it. Two vectors that lack parts
        outside mix by `MIXED` · sine · sine · spread / gap. What the small problem left over counts in full.
    """
    above = lambdas - tail
    outside = sines * spread[:, None] / above
    mixed = mixing(sines * np.sqrt(MIXED * spread)[:, None], lambdas)
    left_over = residuals * lambdas / np.maximum(lambdas - lambdas[:, -1:], SEPARATED * np.abs(lambdas))
    return np.asarray(np.minimum(np.sqrt(outside**2 + mixed**2 + left_over**2), 1))


def checked_errors(within: Floats, without: Floats, lambdas: Floats, tail: float, spread: Floats) -> Floats:
    """Angles of vectors after the step T R, T = (λ − N₀)⁻¹, from the length of the step.

    Parameters
    ----------
    within, without : (n_sets, m) lengths of its parts inside and outside of the pooled basis.
    lambdas, tail, spread : as of `reduced_errors`.

    Returns
    -------
    (n_sets, m)
        Of the part outside, spread / (λ − tail) is left; of the part inside, `LEFT` of it. Two vectors turn towards
        each other by their coupling through the step, as far as that is wrong, over their gap.
    """
    outside = without * spread[:, None] / (lambdas - tail)
    inside = LEFT * within
    left = np.hypot(outside, inside)
    couplings = np.sqrt(2 * np.hypot(within, without) * left * np.abs(lambdas))
    turned = mixing(couplings, lambdas)
    return np.asarray(np.minimum(np.hypot(left, turned), 1))


def mixing(couplings: Floats, lambdas: Floats) -> Floats:
    """(n_sets, m) angles by which vectors turn towards each other: c_i c_j / |λ_i − λ_j|, root sum of squares over j.

    None between two eigenvalues that agree to rounding: any basis of the two is then as good.
    """
    gaps = np.abs(lambdas[:, :, None] - lambdas[:, None, :])
    apart = gaps > SEPARATED * np.abs(lambdas[:, :, None])
    turns = np.where(apart, couplings[:, :, None] * couplings[:, None, :] / np.where(apart, gaps, 1), 0)
    return np.asarray(np.linalg.norm(np.minimum(turns, 1), axis=2))
