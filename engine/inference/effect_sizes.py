"""Effect sizes with confidence intervals: Hedges' g of groups, partial r of slopes, partial eta² of F tests."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from thalgpu.engine.inference.regression import Model
from thalgpu.kernels._namespace import to_host

Floats = NDArray[np.float64]

_FAR_T, _FAR_F = 1e3, 1e6
"""Beyond these t and rank · F, the limits are proportional to them: the numerator's error no longer matters."""

_NOTHING = 1e-30
"""Smaller t are 0: SciPy's distribution is NaN there at one degree of freedom."""

_CAP = 9e3
"""SciPy's inverse does not go beyond noncentralities of F of 1e4."""

_SAME = 1e-9
"""Values of a column that differ by less are equal."""

_STEPS, _SETTLED = 12, 1e-9

_DEGREE = 95
"""Of the polynomial that meets δ(t) / sqrt(1 + t²/df): off by 1e-13 at one degree of freedom, the hardest."""


@dataclass(frozen=True, eq=False)
class EffectSizes:
    """One measure of effect, a feature each.

    Attributes
    ----------
    name : "hedges_g", "partial_r" or "partial_eta_squared".
    value, low, high : (n_features,) float64, finite: the estimate and its confidence limits.
    level : of the interval, e.g. 0.95.
    """

    name: Literal["hedges_g", "partial_r", "partial_eta_squared"]
    value: Floats
    low: Floats
    high: Floats
    level: float


def effect_sizes(model: Model, matrix: Floats, level: float = 0.95) -> EffectSizes:
    """The effect size of each feature: of a t contrast Hedges' g or partial r, of an F test partial eta².

    Parameters
    ----------
    model : a contrast of the design.
    matrix : (n_subjects, n_columns) float64, of the design. g, a difference in SDs, is given where all columns that the
        contrast weighs say who belongs to a group: constants, and columns of two values that differ by 1. Of other
        columns it would be SDs a year or a millimetre, which depends on the unit: r does not.
    level : of the confidence interval.

    Notes
    -----
    From the ordinary t or F, one variance for all, also where variance groups differ.
    """
    observed = to_host(model.ordinary)
    if model.contrast.kind == "f":
        return partial_eta_squared(observed, model.rank, model.df, level)
    if _are_of_groups(matrix[:, model.contrast.weights[0] != 0]):
        return hedges_g(observed, model.df, model.split.estimate_scale, level)
    return partial_r(observed, model.df, level)


def hedges_g(t: Floats, df: float, estimate_scale: float, level: float = 0.95) -> EffectSizes:
    """A contrast's estimate in standard deviations of the residuals, without the bias of small samples.

    Parameters
    ----------
    t : (n_features,) float64
    df : degrees of freedom of the residual.
    estimate_scale : sqrt(c'(M'M)⁻¹c): standard error of the contrast's estimate over the residuals' standard deviation.
    level : of the confidence interval.

    Notes
    -----
    d = t · sqrt(c'(M'M)⁻¹c), the estimate over the residual standard deviation; for two groups without covariates
    Cohen's d with the pooled variance. g = J(df) d, J(df) = Γ(df/2) / (sqrt(df/2) Γ((df − 1)/2)): Hedges 1981,
    doi:10.3102/10769986006002107; J(1) = 0. The limits are those noncentralities of t under which the observed t is a
    tail of (1 − level)/2, on the scale of g: Cumming and Finch 2001, doi:10.1177/0013164401614002.
    """
    size = np.abs(t)
    tail = (1 - level) / 2
    least, most = (_noncentral_t(size, df, p) for p in (1 - tail, tail))
    unit = estimate_scale * _small_sample_factor(df)
    low, high = np.where(t < 0, -most, least), np.where(t < 0, -least, most)
    return EffectSizes("hedges_g", t * unit, low * unit, high * unit, level)


def partial_r(t: Floats, df: float, level: float = 0.95) -> EffectSizes:
    """The correlation of a feature with what a contrast tests, after all else in the model.

    Parameters
    ----------
    t : (n_features,) float64
    df : degrees of freedom of the residual.
    level : of the confidence interval.

    Notes
    -----
    r = t / sqrt(t² + df), and atanh r = asinh(t / sqrt(df)), whose standard error is 1 / sqrt(df − 1): df is two less
    than the subjects that nuisance leaves (Fisher 1924, The distribution of the partial correlation coefficient). With
    one degree of freedom the limits are −1 and 1.
    """
    z = np.arcsinh(t / np.sqrt(df))
    reach = float(special.ndtri((1 + level) / 2)) / np.sqrt(df - 1) if df > 1 else np.inf
    return EffectSizes("partial_r", np.tanh(z), np.tanh(z - reach), np.tanh(z + reach), level)


def partial_eta_squared(f: Floats, rank: int, df: float, level: float = 0.95) -> EffectSizes:
    """The share of what nuisance leaves that the tested variables explain.

    Parameters
    ----------
    f : (n_features,) float64
    rank : tested directions s; 1 for the partial r² of a t contrast, with f = t².
    df : degrees of freedom of the residual.
    level : of the confidence interval.

    Notes
    -----
    η² = s F / (s F + df). The limits are λ / (λ + s + df + 1), where λ are those noncentralities of F under which the
    observed F is a tail of (1 − level)/2, and 0 where none is: Smithson 2001, doi:10.1177/00131640121971392.
    """
    tail = (1 - level) / 2
    low, high = (_noncentral_f(f, rank, df, p) for p in (1 - tail, tail))
    value = rank * f / (rank * f + df)
    around = rank + df + 1
    return EffectSizes("partial_eta_squared", value, low / (low + around), high / (high + around), level)


def _are_of_groups(columns: Floats) -> bool:
    """Whether each is constant, or has two values, 1 apart."""
    least, most = columns.min(axis=0), columns.max(axis=0)
    two = np.isclose(columns, least, rtol=0, atol=_SAME) | np.isclose(columns, most, rtol=0, atol=_SAME)
    apart = most - least
    return bool((two.all(axis=0) & ((apart < _SAME) | (abs(apart - 1) < _SAME))).all())


def _small_sample_factor(df: float) -> float:
    if df <= 1:
        return 0.0
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def _noncentral_t(size: Floats, df: float, p: float) -> Floats:
    """δ for which P(T <= t) = p, t >= 0."""
    ratio = float(np.sqrt(special.chdtri(df, p) / df))
    near = size < _FAR_T
    t = np.where(near, size, 0.0) / np.sqrt(df)
    place = 2 * np.arcsinh(t) / np.arcsinh(_FAR_T / np.sqrt(df)) - 1
    found = np.polynomial.chebyshev.chebval(place, _noncentral_t_polynomial(df, p)) * np.hypot(1.0, t)
    return np.where(near, found, size * ratio)


@lru_cache(maxsize=64)
def _noncentral_t_polynomial(df: float, p: float) -> Floats:
    """Chebyshev coefficients of δ / sqrt(1 + t²/df) over asinh(t/√df), smooth from 0 to `_FAR_T`: Newton's steps at
    each of two thousand features would take longer than a thousand permutations."""
    places = np.polynomial.chebyshev.chebpts1(_DEGREE + 1)
    reduced = np.sinh((places + 1) / 2 * np.arcsinh(_FAR_T / np.sqrt(df)))
    delta = _exact_noncentral_t(reduced * np.sqrt(df), df, p)
    return np.polynomial.chebyshev.chebfit(places, delta / np.hypot(1.0, reduced), _DEGREE)


def _exact_noncentral_t(t: Floats, df: float, p: float) -> Floats:
    start = np.asarray(special.nctdtrinc(df, p, t), dtype=np.float64)
    return _corrected(lambda delta: special.nctdtr(df, delta, t), start, p)


def _noncentral_f(f: Floats, rank: int, df: float, p: float) -> Floats:
    """λ >= 0 for which P(F' <= F) = p; 0 where even λ = 0 leaves less than p below F."""
    far = rank * f * float(special.chdtri(df, p) / df)
    reached = special.fdtr(rank, df, f) > p
    near = reached & (rank * f < _FAR_F)
    usual = np.where(near, f, float(special.fdtri(rank, df, (1 + p) / 2)))
    start = np.asarray(special.ncfdtrinc(rank, df, p, usual), dtype=np.float64)
    start = np.where(near & (start > _CAP), far, start)
    found = _corrected(lambda one: special.ncfdtr(rank, df, np.maximum(one, 0.0), usual), start, p)
    return np.where(reached, np.where(near, np.maximum(found, 0.0), far), 0.0)


def _corrected(distribution: Callable[[Floats], Any], start: Floats, p: float) -> Floats:
    """Newton's method from a first guess of a noncentrality, in which the distribution falls."""
    x = start
    for _ in range(_STEPS):
        width = 1e-4 * (1 + np.abs(x))
        slope = (distribution(x + width) - distribution(x - width)) / (2 * width)
        step = (distribution(x) - p) / np.where(slope < 0, slope, -np.inf)
        x = x - np.clip(step, -1e3 * width, 1e3 * width)
        if (np.abs(step) <= _SETTLED / 1e-4 * width).all():
            break
    return x
