"""Statistics on other scales: z of equal p, correlation. Always finite."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.beta_tails import z_of_f, z_of_t
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.regression import Model, statistics_and_df
from thalgpu.errors import UsageError
from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._namespace import Array, get_namespace, like, to_host

Floats = NDArray[np.float64]

_LARGEST = float(np.nextafter(2.0**90, 0))
"""Larger statistics count as this one, 1e27."""
_LEAST_T, _LEAST_F = 2.0**-30, 2.0**-100
"""Smaller ones have the same z / t, and the same z, as these: z is proportional to t near 0, and −∞ at F = 0."""
_BITS = 4
"""Leading bits of a float's fraction that choose a polynomial: sixteen between a power of two and the next."""
_DEGREE = 8


def scaled_statistics(
    model: Model, permutations: NDArray[np.int32], signs: NDArray[np.int8] | None, options: InferenceOptions
) -> Array:
    """What is maximised and enhanced: the statistic of each permutation and feature, its z, or a correlation.

    Parameters
    ----------
    permutations, signs : as of `statistics`.
    options : `pearson` and `statistic_scale` matter.

    Returns
    -------
    (n_perm, n_features) float64, finite, where the model's values live
    """
    found, df = statistics_and_df(model, permutations, signs)
    return to_scale(found, model, options, df)


def to_scale(statistics: Array, model: Model, options: InferenceOptions, df: Array | None = None) -> Array:
    """Bring statistics of a model to the scale that the options ask for.

    Parameters
    ----------
    statistics : (…, n_features) float64; from `statistics`.
    df : degrees of freedom of each, where variance groups differ; else left out.

    Raises
    ------
    UsageError
        Correlations are asked for with variance groups, or on the z scale; z of v or G without `df`.
    """
    if options.pearson:
        if model.groups is not None or options.statistic_scale == "z":
            what = "where variances differ" if model.groups is not None else "on the z scale"
            raise UsageError(f"a correlation has no meaning {what}", remedy="leave out --pearson, or the other")
        return to_r(statistics, model.df) if model.contrast.kind == "t" else to_r_squared(statistics, model)
    if options.statistic_scale == "t":
        return statistics
    if model.groups is not None and df is None:
        raise UsageError("z of v and G needs their degrees of freedom")
    freedom = model.df if df is None else to_host(df)
    host = to_host(statistics)
    z = t_to_z(host, freedom) if model.contrast.kind == "t" else f_to_z(host, model.rank, freedom)
    return like(z, statistics)


def to_r(t: Array, df: float) -> Array:
    """Partial correlation r = t / sqrt(t² + df), signed, where t lives."""
    r: Array = t / get_namespace(t).sqrt(t * t + df)
    return r


def to_r_squared(f: Array, model: Model) -> Array:
    """Partial R² = s F / (s F + df), s tested directions, where F lives."""
    explained = model.rank * f
    share: Array = explained / (explained + model.df)
    return share


def t_to_z(t: Floats, df: float | Floats) -> Floats:
    """z with the one-sided p of t.

    Parameters
    ----------
    t : float64, any shape, finite.
    df : one for all, or one each.

    Returns
    -------
    z : float64, the shape of t; odd in t, increasing, finite.

    Notes
    -----
    From logarithms of p where p itself vanishes, so that it never overflows as PALM's does: t = 60 at 100,000 degrees
    of freedom is z = 59.5. Off by some 1e-13 of itself, 3e-10 at 1e6 degrees of freedom. With one df for all, z / t
    comes from a table of polynomials, sixteen for each doubling of |t|, which is thirty times faster than the
    incomplete beta function.
    """
    t = np.ascontiguousarray(t, dtype=np.float64)
    if np.ndim(df):
        return z_of_t(np.clip(t, -_LARGEST, _LARGEST), np.broadcast_to(np.asarray(df, dtype=np.float64), t.shape))
    size = np.clip(np.abs(t), _LEAST_T, _LARGEST)
    return np.asarray(t.clip(-_LARGEST, _LARGEST) * _looked_up(size, *_t_table(float(df))))


def f_to_z(f: Floats, rank: int, df: float | Floats) -> Floats:
    """z with the p of F: negative where p > 1/2.

    Parameters
    ----------
    f : float64, any shape, finite, not negative; counts as 8e-31 below that.
    rank : degrees of freedom of the numerator.
    df : those of the residual: one for all, or one each.

    Returns
    -------
    z : float64, the shape of F; increasing, finite. See `t_to_z`.
    """
    size = np.clip(np.ascontiguousarray(f, dtype=np.float64), _LEAST_F, _LARGEST)
    if np.ndim(df):
        return z_of_f(size, rank, np.broadcast_to(np.asarray(df, dtype=np.float64), size.shape))
    return _looked_up(size, *_f_table(rank, float(df)))


@lru_cache(maxsize=64)
def _t_table(df: float) -> tuple[Floats, float]:
    return _table(lambda t: z_of_t(t, np.full(t.shape, df)) / t, _LEAST_T), _LEAST_T


@lru_cache(maxsize=64)
def _f_table(rank: int, df: float) -> tuple[Floats, float]:
    return _table(lambda f: z_of_f(f, rank, np.full(f.shape, df)), _LEAST_F), _LEAST_F


def _table(function: Callable[[Floats], Floats], least: float) -> Floats:
    """(n_pieces, degree + 1) coefficients, by powers of a place in −1 … 1, of the polynomials that meet a function at
    the Chebyshev nodes of each piece from `least` to `_LARGEST`; pieces are told apart by a float's leading bits."""
    first, last = (np.array([least, _LARGEST]).view(np.int64) >> (52 - _BITS)).tolist()
    edges = (np.arange(first, last + 2, dtype=np.int64) << (52 - _BITS)).view(np.float64)
    places = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    nodes = 0.5 * (edges[:-1, None] * (1 - places) + edges[1:, None] * (1 + places))
    values = function(nodes.reshape(-1)).reshape(nodes.shape)
    return np.ascontiguousarray(values @ np.linalg.inv(np.vander(places, increasing=True)).T)


def _looked_up(values: Floats, table: Floats, least: float) -> Floats:
    """The function that was tabled, at values between `least` and `_LARGEST`."""
    found = np.empty_like(values)
    first = int(np.array(least).view(np.int64) >> (52 - _BITS))
    _look_up(values.reshape(-1).view(np.int64), table, first, found.reshape(-1))
    return found


@compiled
def _look_up(bits: NDArray[np.int64], table: Floats, first: int, found: Floats) -> None:
    shift = 52 - _BITS
    inside, half = (1 << shift) - 1, 1.0 / (1 << (shift - 1))
    for i in range(bits.size):
        piece = (bits[i] >> shift) - first
        place = (bits[i] & inside) * half - 1.0
        value = table[piece, _DEGREE]
        for power in range(_DEGREE - 1, -1, -1):
            value = value * place + table[piece, power]
        found[i] = value
