"""Small p-values from few permutations: a curve fitted to the null distribution, or to its tail.

Knijnenburg et al. 2009, doi:10.1093/bioinformatics/btp211; Winkler et al. 2016, doi:10.1016/j.neuroimage.2016.05.068.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc, ndtr

from thalgpu.engine.inference.corrections import familywise
from thalgpu.kernels.glm import tie_threshold

TAIL_BELOW = 0.10
"""Counted p-values below this are refined by the fitted tail."""

_QUANTILES = np.arange(751, 1000, 10) / 1000
_ACCEPTED_ABOVE = 0.05
_FEWEST_IN_TAIL = 10  # fewer values let any curve pass the test of the fit
_FEATURES_AT_ONCE = 256
_SMALLEST = float(np.finfo(np.float64).tiny)
_NO_SKEW = 1e-5

# Choulakian and Stephens 2001, doi:10.1198/00401700152672573, table 2: upper points of A² when scale and shape are
# estimated. One row a shape, in the sign of the paper: k > 0 has an upper end, k = 0 is the exponential distribution.
_TABLE_P = np.array([0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001])
_TABLE_K = np.array([-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.5])
_TABLE_A2 = np.array(
    [
        [0.496, 0.735, 1.061, 1.321, 1.590, 1.958, 2.243, 2.922],
        [0.468, 0.688, 0.985, 1.221, 1.465, 1.799, 2.058, 2.674],
        [0.445, 0.649, 0.924, 1.140, 1.365, 1.672, 1.909, 2.475],
        [0.426, 0.617, 0.873, 1.074, 1.283, 1.567, 1.788, 2.314],
        [0.410, 0.591, 0.831, 1.020, 1.215, 1.481, 1.687, 2.176],
        [0.397, 0.569, 0.796, 0.974, 1.158, 1.409, 1.603, 2.064],
        [0.386, 0.550, 0.766, 0.935, 1.110, 1.348, 1.532, 1.966],
        [0.376, 0.534, 0.741, 0.903, 1.069, 1.296, 1.471, 1.893],
        [0.356, 0.499, 0.685, 0.830, 0.978, 1.180, 1.336, 1.707],
    ]
)


@dataclass(frozen=True)
class TailFit:
    """Generalised Pareto distributions of what lies above a threshold, one a feature.

    Attributes
    ----------
    accepted : (n_features,) bool, whether any threshold gave a fit that the Anderson–Darling test lets pass.
    threshold, scale, shape : (n_features,) float64; survival above the threshold is (1 − shape·y/scale)^(1/shape).
    weight : (n_features,) float64, share of the null distribution above the threshold.
    """

    accepted: NDArray[np.bool_]
    threshold: NDArray[np.float64]
    scale: NDArray[np.float64]
    shape: NDArray[np.float64]
    weight: NDArray[np.float64]


def gpd_p(observed: NDArray[np.float64], null: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """p-values whose small ones follow a generalised Pareto distribution fitted to the tail of the null distribution.

    Parameters
    ----------
    observed : (n_features,) float64
    null : (n_perm, n_features) or (n_perm,) float64
        What each permutation gave, the identity included: of each feature, or maxima that serve all features.

    Returns
    -------
    p : (n_features,) float64
        Counted where that is `TAIL_BELOW` or more, or where no fit was accepted; never 0.
    refined : (n_features,) bool
        Where p comes from the fitted tail.

    Notes
    -----
    As PALM's `-approx tail`: the identity is one of the sample, so that an accepted fit never ends below what was
    observed. Differs in the Anderson–Darling test of the fit, whose table PALM enters at a shape of 0.5 or more
    whatever the shape is (its authors: 0.5 or less), and in that tails of fewer than 10 values are not fitted.
    """
    counted = _counted(observed, null)
    p, refined = counted.copy(), np.zeros(len(observed), dtype=bool)
    small = np.flatnonzero(counted < TAIL_BELOW)
    shared = null.ndim == 1
    step = max(1, len(small)) if shared else _FEATURES_AT_ONCE
    for first in range(0, len(small), step):
        chosen = small[first : first + step]
        fit = fit_tail(null[:, None] if shared else null[:, chosen])
        excess = observed[chosen] - fit.threshold
        survival = _survival(np.maximum(excess, 0), fit.scale, fit.shape)
        usable = fit.accepted & (excess > 0) & (survival > 0)
        refined[chosen] = usable
        p[chosen] = np.where(usable, np.maximum(fit.weight * survival, _SMALLEST), counted[chosen])
    return p, refined


def gamma_p(observed: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values from the gamma distribution that has the mean, variance and skewness of the null distribution.

    Parameters
    ----------
    observed : (n_features,) float64
    null : (n_perm,) or (n_perm, n_features) float64
        What each permutation gave, the identity included: maxima that serve all features, or of each feature.

    Returns
    -------
    (n_features,) float64, never 0: counted where the null does not vary, 1 where every permutation reaches what was
    observed (outside clusters, where few permutations have any), 1/n_perm beyond the upper end of a distribution that
    has one (negative skewness).

    Notes
    -----
    Pearson's type III. Moments without corrections for the size of the sample.
    """
    counted = _counted(observed, null)
    mean, deviation = null.mean(axis=0), null.std(axis=0)
    varies = deviation > 1e-12 * np.abs(mean)
    safe = np.where(varies, deviation, 1.0)
    skewness = (((null - mean) / safe) ** 3).mean(axis=0)
    skewness, varies = np.broadcast_to(skewness, counted.shape), np.broadcast_to(varies, counted.shape)
    z = (observed - mean) / safe
    p = np.where(np.abs(skewness) < _NO_SKEW, ndtr(-z), _pearson_survival(z, skewness))
    p = np.where(varies & (counted < 1), p, counted)
    return np.maximum(np.where(p > 0, p, np.where(skewness < 0, 1 / len(null), _SMALLEST)), _SMALLEST)


def fit_tail(null: NDArray[np.float64]) -> TailFit:
    """Fit above the .751 quantile, then .761, … .991, until the fit passes the Anderson–Darling test at .05.

    Parameters
    ----------
    null : (n_perm, n_features) float64
    """
    n_perm, n_features = null.shape
    ascending = np.sort(null, axis=0)
    accepted = np.zeros(n_features, dtype=bool)
    threshold, scale, shape, weight = np.zeros((4, n_features))
    for quantile in _QUANTILES:
        open_ = np.flatnonzero(~accepted)
        lowest = int(np.ceil(quantile * n_perm - 1e-9)) - 1
        if not len(open_) or n_perm - lowest < _FEWEST_IN_TAIL:
            break
        values = ascending[:, open_]
        starts = (values < values[lowest]).sum(axis=0)  # all values that tie with the quantile belong to the tail
        before = np.take_along_axis(values, np.maximum(starts - 1, 0)[None], axis=0)[0]
        u = (before + values[lowest]) / 2
        fitted = _moments(values[starts.min() :] - u, np.arange(starts.min(), n_perm)[:, None] >= starts)
        good = (starts > 0) & (fitted[2] > _ACCEPTED_ABOVE)
        into = open_[good]
        accepted[into] = True
        threshold[into], weight[into] = u[good], (n_perm - starts[good]) / n_perm
        scale[into], shape[into] = fitted[0][good], fitted[1][good]
    return TailFit(accepted, threshold, scale, shape, weight)


def anderson_darling_p(a2: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """p of the Anderson–Darling statistic of a generalised Pareto distribution with estimated scale and shape.

    Parameters
    ----------
    a2 : (n_features,) float64
    shape : (n_features,) float64
        Taken as 0.5 above that, as the table's authors advise, and as −0.5 below that.

    Returns
    -------
    (n_features,) float64 between .001 and .5, the ends of the table; logarithmic in p between its columns.

    Notes
    -----
    Choulakian and Stephens 2001, doi:10.1198/00401700152672573.
    """
    k = np.clip(shape, _TABLE_K[0], _TABLE_K[-1])
    points = np.stack([np.interp(k, _TABLE_K, column) for column in _TABLE_A2.T], axis=1)
    return np.array(
        [np.exp(np.interp(x, row, np.log(_TABLE_P))) for x, row in zip(a2, points, strict=True)], dtype=np.float64
    )


def _moments(
    excess: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale, shape and p of the fit by the method of moments (Hosking and Wallis 1987, doi:10.2307/1269343).

    excess : (n_rows, n_features) ascending in each column; `inside` marks the rows that belong to the tail.
    """
    n = inside.sum(axis=0)
    mean = np.where(inside, excess, 0).sum(axis=0) / n
    variance = np.where(inside, (excess - mean) ** 2, 0).sum(axis=0) / (n - 1)
    varies = variance > 1e-20 * mean**2
    ratio = mean**2 / np.where(varies, variance, 1.0)
    scale, shape = mean * (ratio + 1) / 2, (ratio - 1) / 2
    survival = _survival(np.where(inside, excess, 0), scale, shape)
    within = np.where(inside, (survival > 0) & (survival < 1), True).all(axis=0)  # else a value beyond the upper end
    fits = varies & within
    survival = np.where(inside & fits, survival, 0.5)
    rank = np.cumsum(inside, axis=0)
    terms = (2 * rank - 1) * np.log1p(-survival) + (2 * (n - rank) + 1) * np.log(survival)
    a2 = -n - np.where(inside, terms, 0).sum(axis=0) / n
    return scale, shape, np.where(fits, anderson_darling_p(a2, shape), 0.0)


def _survival(
    excess: NDArray[np.float64], scale: NDArray[np.float64], shape: NDArray[np.float64]
) -> NDArray[np.float64]:
    """1 − F of a generalised Pareto distribution; 0 from its upper end on."""
    scale = np.where(scale > 0, scale, 1.0)  # nothing was fitted: what comes out is not used
    exponential = np.abs(shape) < 1e-12
    k = np.where(exponential, 1.0, shape)
    inside = np.maximum(1 - k * excess / scale, 0.0)
    with np.errstate(divide="ignore"):
        powers = np.exp(np.log(inside) / k)
    return np.where(exponential, np.exp(-excess / scale), powers)


def _pearson_survival(z: NDArray[np.float64], skewness: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − F of the gamma distribution with mean 0, variance 1 and this skewness (of either sign, not 0)."""
    g = np.where(np.abs(skewness) < _NO_SKEW, 1.0, skewness)
    k = 4 / g**2
    x = np.maximum(k + 2 * z / g, 0.0)  # (z + 2/g) / (g/2): 0 at the end of the distribution
    return np.where(g > 0, gammaincc(k, x), gammainc(k, x))


def _counted(observed: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the null distribution that reaches what was observed, at least 1/n_perm."""
    p = familywise(observed, null) if null.ndim == 1 else (null >= tie_threshold(observed)).mean(axis=0)
    return np.maximum(p, 1 / len(null))
