"""z with the p of t and F, also where p is too small for a float."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_SMALLEST = 1e-250
"""Below this, p is worked on as its logarithm; the incomplete beta function loses its digits near 1e-290."""

_STEPS, _CONVERGED = 1000, 1e-12
"""Of the continued fraction, which needs a handful where p is that small."""


def z_of_t(t: Floats, df: Floats) -> Floats:
    """z with the p of t, elementwise; accurate to 1e-11 of itself, for |t| to 1e100."""
    size, a = np.abs(t), 0.5 * df
    odds = size * size / df
    middle = special.betainc(0.5, a, odds / (1 + odds))  # P(|T| < |t|), all digits near 0
    z = np.sqrt(2.0) * special.erfinv(np.minimum(middle, 0.5))
    outside = middle > 0.5
    z[outside] = -_quantile(np.log(0.5), a[outside], np.full(outside.sum(), 0.5), odds[outside])
    return np.asarray(np.copysign(z, t))


def z_of_f(f: Floats, rank: float, df: Floats) -> Floats:
    """z with the p of F, elementwise; f > 0."""
    a, b = 0.5 * df, np.full(f.shape, 0.5 * rank)
    odds = rank * f / df
    above = special.betainc(a, b, 1 / (1 + odds)) < 0.5
    z = np.empty(f.shape)
    z[above] = -_quantile(0.0, a[above], b[above], odds[above])
    z[~above] = _quantile(0.0, b[~above], a[~above], 1 / odds[~above])
    return z


def _quantile(log_factor: float, a: Floats, b: Floats, odds: Floats) -> Floats:
    """Normal quantile of p = factor · I_x(a, b), x = 1 / (1 + odds), p <= 1/2."""
    p = np.exp(log_factor) * special.betainc(a, b, 1 / (1 + odds))
    z = special.ndtri(np.maximum(p, _SMALLEST))
    tiny = p < _SMALLEST
    if tiny.any():
        z[tiny] = special.ndtri_exp(log_factor + _log_betainc(a[tiny], b[tiny], odds[tiny]))
    return np.asarray(z)


def _log_betainc(a: Floats, b: Floats, odds: Floats) -> Floats:
    """log I_x(a, b), x = 1 / (1 + odds) far below a / (a + b): its continued fraction, by Lentz's method.

    https://dlmf.nist.gov/8.17#E22
    """
    x = 1 / (1 + odds)
    numerator = np.ones_like(x)
    denominator = 1 / (1 - (a + b) * x / (a + 1))
    fraction = denominator
    for m in range(1, _STEPS):
        before = fraction
        for d in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                  -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):  # fmt: skip
            numerator = 1 + d / numerator
            denominator = 1 / (1 + d * denominator)
            fraction = fraction * numerator * denominator
        if (np.abs(fraction - before) <= _CONVERGED * np.abs(fraction)).all():
            break
    log_x, log_rest = -np.log1p(odds), -np.log1p(1 / odds)
    return np.asarray(a * log_x + b * log_rest - np.log(a) - special.betaln(a, b) + np.log(fraction))
