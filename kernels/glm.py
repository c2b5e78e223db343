"""General linear models of many permutations at once: the rows of one matrix product, and t and F from its result."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

LEAST_RESIDUAL = 1e-14
"""Share of the total sum of squares below which a residual is nothing but rounding, and counts as this share."""

TIE = 1e-9
"""Statistics that differ by less than this part of themselves are equal: they come from the same sums in another order,
which rounding sets apart by some 1e-13."""

NEAR_ZERO = 1e-12
"""And so are those that differ by less than this: where two sums are equal, what is left of them is 0 or rounding, and
nothing in it tells one permutation from another."""

_TILE = 2048
"""Features worked on at a time, so that what is added up stays in the cache."""

_THREADS = 256
_COUNTED = 64
"""Permutations that a thread counts on a device."""
_MOST_ROWS = 65535
"""Of blocks, in a grid."""


def permuted_rows(basis: Array, permutations: Array, signs: Array | None, /) -> Array:
    """Permute the rows of a design, and flip their signs, for each permutation.

    Parameters
    ----------
    basis : (n_subjects, n_columns) float64
        Columns of the design, or an orthonormal basis of them.
    permutations : (n_perm, n_subjects) int32
        0-based: row i of the permuted design is row `permutations[p, i]` of the design.
    signs : (n_perm, n_subjects) int8, or None
        ±1; row i of the permuted design is multiplied by `signs[p, i]`.

    Returns
    -------
    (n_perm, n_columns, n_subjects) float64
        W[p, :, i] = signs[p, i] · basis[permutations[p, i], :], so that W[p] @ values are the products of the permuted
        columns with the values. A row of PALM's `permidx`, less 1, is such a permutation.
    """
    _require("permutations", permutations, (None, len(basis)), np.int32)
    if signs is not None:
        _require("signs", signs, permutations.shape, np.int8)
    return (_permuted_on_device if is_device(permutations) else _permuted_on_host)(basis, permutations, signs)


def t_statistics(projections: Array, total: Array, df: float, /) -> Array:
    """Student's t of each permutation and feature, from products with an orthonormal basis of the design.

    Parameters
    ----------
    projections : (n_perm, 1 + n_nuisance, n_features) float64
        Products of the values with the tested direction, then with the nuisance directions.
    total : (n_features,) float64
        Sums of squares of the values; 0 where there is nothing to be explained.
    df : float
        Degrees of freedom of the residual.

    Returns
    -------
    (n_perm, n_features) float64
        a / sqrt((total − Σ b² − a²) / df); always finite: the residual counts as 1e-14 of the total at least, and the
        statistic is 0 where the total is 0.
    """
    _require_projections(projections, total, 1)
    return (_t_on_device if is_device(projections) else _t_on_host)(projections, total, df)


def f_statistics(projections: Array, total: Array, df: float, rank: int, /) -> Array:
    """F of each permutation and feature, from products with an orthonormal basis of the design.

    Parameters
    ----------
    projections : (n_perm, rank + n_nuisance, n_features) float64
        Products of the values with the tested directions, then with the nuisance directions.
    total : (n_features,) float64
        Sums of squares of the values; 0 where there is nothing to be explained.
    df : float
        Degrees of freedom of the residual.
    rank : int
        Tested directions.

    Returns
    -------
    (n_perm, n_features) float64
        (Σ a² / rank) / ((total − Σ b² − Σ a²) / df); finite as `t_statistics` is.
    """
    _require_projections(projections, total, rank)
    return (_f_on_device if is_device(projections) else _f_on_host)(projections, total, df, rank)


def count_exceedances(statistics: Array, thresholds: Array, /) -> Array:
    """Count the permutations whose statistic reaches a threshold.

    Parameters
    ----------
    statistics : (n_perm, n_features) float64
    thresholds : (n_features,) float64

    Returns
    -------
    (n_features,) int32
        Rows of `statistics` that are not less than the threshold.
    """
    _require("statistics", statistics, (None, None), np.float64)
    _require("thresholds", thresholds, (statistics.shape[1],), np.float64)
    return (_count_on_device if is_device(statistics) else _count_on_host)(statistics, thresholds)


def tie_threshold(observed: Array, /) -> Array:
    """What a statistic must reach to count as large as the observed one: a little less, so that ties up to rounding are
    ties.

    Parameters
    ----------
    observed : (n_features,) float64

    Returns
    -------
    (n_features,) float64
        observed − 1e-9 · |observed| − 1e-12.
    """
    threshold: Array = observed - (TIE * get_namespace(observed).abs(observed) + NEAR_ZERO)
    return threshold


def _permuted_on_host(basis: Array, permutations: Array, signs: Array | None) -> Array:
    rows = np.empty((len(permutations), basis.shape[1], len(basis)))
    for column, values in enumerate(basis.T):
        np.take(values, permutations, out=rows[:, column])
    if signs is not None:
        rows *= signs[:, None, :]
    return rows


def _t_on_host(projections: Array, total: Array, df: float) -> Array:
    statistics = np.empty((projections.shape[0], projections.shape[2]))
    _t_of_rows(np.ascontiguousarray(projections), total, float(df), statistics)
    return statistics


def _f_on_host(projections: Array, total: Array, df: float, rank: int) -> Array:
    statistics = np.empty((projections.shape[0], projections.shape[2]))
    _f_of_rows(np.ascontiguousarray(projections), total, float(df), rank, statistics)
    return statistics


def _count_on_host(statistics: Array, thresholds: Array) -> Array:
    counts = np.zeros(thresholds.shape, dtype=np.int32)
    _count_rows(statistics, thresholds, counts)
    return counts


def _permuted_on_device(basis: Array, permutations: Array, signs: Array | None) -> Array:
    given = (basis, permutations) if signs is None else (basis, permutations, signs)
    xp, (n_perm, n_subjects), n_columns = get_namespace(*given), permutations.shape, basis.shape[1]
    rows: Array = xp.empty((n_perm, n_columns, n_subjects))
    flips = xp.empty(0, dtype=np.int8) if signs is None else xp.ascontiguousarray(signs)
    args = (xp.ascontiguousarray(basis), xp.ascontiguousarray(permutations), flips, rows)
    sizes = (*int32(n_perm, n_subjects, n_columns), np.bool_(signs is not None))
    grid = -(-n_perm * n_subjects // _THREADS)
    launch("glm", "permuted_rows_f64", grid=grid, block=_THREADS, args=(*args, *sizes))
    return rows


def _t_on_device(projections: Array, total: Array, df: float) -> Array:
    return _statistics_on_device("t_statistics_f64", projections, total, df)


def _f_on_device(projections: Array, total: Array, df: float, rank: int) -> Array:
    return _statistics_on_device("f_statistics_f64", projections, total, df, *int32(rank))


def _statistics_on_device(kernel: str, projections: Array, total: Array, df: float, *rank: np.int32) -> Array:
    xp, (n_perm, _, n_features) = get_namespace(projections, total), projections.shape
    statistics: Array = xp.empty((n_perm, n_features))
    args = (xp.ascontiguousarray(projections), total, statistics, np.float64(df), *int32(*projections.shape), *rank)
    launch("glm", kernel, grid=(-(-n_features // _THREADS), min(n_perm, _MOST_ROWS)), block=_THREADS, args=args)
    return statistics


def _count_on_device(statistics: Array, thresholds: Array) -> Array:
    xp, (n_perm, n_features) = get_namespace(statistics, thresholds), statistics.shape
    counts: Array = xp.zeros(n_features, dtype=np.int32)
    grid = (-(-n_features // _THREADS), min(-(-n_perm // _COUNTED), _MOST_ROWS))
    args = (xp.ascontiguousarray(statistics), thresholds, counts, *int32(n_perm, n_features))
    launch("glm", "count_exceedances_f64", grid=grid, block=_THREADS, args=args)
    return counts


@compiled
def _t_of_rows(
    projections: NDArray[np.float64], total: NDArray[np.float64], df: float, statistics: NDArray[np.float64]
) -> None:
    n_perm, n_rows, n_features = projections.shape
    for start in range(0, n_features, _TILE):
        tile = slice(start, min(start + _TILE, n_features))
        all_of_it = total[tile]
        for p in range(n_perm):
            left, effect = statistics[p, tile], projections[p, 0, tile]
            for v in range(left.size):
                left[v] = all_of_it[v]
            for row in range(1, n_rows):
                nuisance = projections[p, row, tile]
                for v in range(left.size):
                    left[v] -= nuisance[v] * nuisance[v]
            for v in range(left.size):
                least = LEAST_RESIDUAL * all_of_it[v]
                residual = left[v] - effect[v] * effect[v]
                residual = residual if residual > least else least
                left[v] = effect[v] * np.sqrt(df / residual) if residual > 0.0 else 0.0


@compiled
def _f_of_rows(
    projections: NDArray[np.float64],
    total: NDArray[np.float64],
    df: float,
    rank: int,
    statistics: NDArray[np.float64],
) -> None:
    n_perm, n_rows, n_features = projections.shape
    explained = np.empty(_TILE)
    for start in range(0, n_features, _TILE):
        tile = slice(start, min(start + _TILE, n_features))
        all_of_it = total[tile]
        for p in range(n_perm):
            left = statistics[p, tile]
            for v in range(left.size):
                left[v], explained[v] = all_of_it[v], 0.0
            for row in range(rank):
                effect = projections[p, row, tile]
                for v in range(left.size):
                    explained[v] += effect[v] * effect[v]
            for row in range(rank, n_rows):
                nuisance = projections[p, row, tile]
                for v in range(left.size):
                    left[v] -= nuisance[v] * nuisance[v]
            for v in range(left.size):
                least = LEAST_RESIDUAL * all_of_it[v]
                residual = left[v] - explained[v]
                residual = residual if residual > least else least
                left[v] = (explained[v] * df) / (residual * rank) if residual > 0.0 else 0.0


@compiled
def _count_rows(statistics: NDArray[np.float64], thresholds: NDArray[np.float64], counts: NDArray[np.int32]) -> None:
    for start in range(0, counts.size, _TILE):
        tile = slice(start, min(start + _TILE, counts.size))
        reached, least = counts[tile], thresholds[tile]
        for p in range(statistics.shape[0]):
            row = statistics[p, tile]
            for v in range(row.size):
                reached[v] += row[v] >= least[v]


def _require_projections(projections: Array, total: Array, rank: int) -> None:
    _require("projections", projections, (None, None, None), np.float64)
    _require("total", total, (projections.shape[2],), np.float64)
    if not 1 <= rank <= projections.shape[1]:
        raise NumericsError(f"{rank} tested directions do not fit into {projections.shape[1]} projections")


def _require(name: str, x: Array, shape: tuple[int | None, ...], dtype: type) -> None:
    """NumericsError unless the array has this shape (None for any length) and dtype."""
    fits = x.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, x.shape, strict=False))
    if not fits or x.dtype != dtype:
        lengths = " × ".join("any" if want is None else str(want) for want in shape)
        raise NumericsError(f"{name} must be {lengths} {np.dtype(dtype).name}, not {x.shape} {x.dtype}")
