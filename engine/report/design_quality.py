"""What a reader should check about a design: columns that say the same, subjects that decide alone."""

import numpy as np
from numpy.typing import NDArray

HIGH_INFLATION = 5.0
"""A column is pointed out when its estimate's variance is this many times what it could be."""

LEVERAGES = 3.0
"""A subject is pointed out when its leverage is this many times the mean."""


def correlations(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_columns, n_columns) Pearson correlations; NaN beside a constant column."""
    unit, varies = standardized(matrix)
    found = unit.T @ unit / len(matrix)
    found[~varies] = np.nan
    found[:, ~varies] = np.nan
    return found


def standardized(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Columns with mean 0 and SD 1 (0 where constant), and which of them vary."""
    centred = matrix - matrix.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 1e-9 * np.abs(matrix).max(axis=0, initial=0.0)
    return np.where(varies, centred / np.where(varies, spread, 1.0), 0.0), varies


def variance_inflation(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many times its correlation with the others inflates the variance of each column's estimate.

    VIF = 1 / (1 − R²), R² of the column given all others. Groups may be coded by one column each and no intercept:
    numeric columns are centred first where the design holds the constant (which changes no contrast of groups), and
    R² is about the mean where the other columns hold the constant, else about zero.

    Parameters
    ----------
    matrix : (n_subjects, n_columns) float64.

    Returns
    -------
    (n_columns,) float64: ≥ 1; NaN for the constant, infinite for a column that the others make up.
    """
    _, varies = standardized(matrix)
    columns = matrix.copy()
    if _holds_constant(matrix):
        numeric = varies & np.array([len(np.unique(column)) > 2 for column in matrix.T])
        columns[:, numeric] -= columns[:, numeric].mean(axis=0)
    found = np.full(matrix.shape[1], np.nan)
    for i in np.flatnonzero(varies):
        column, others = columns[:, i], np.delete(columns, i, axis=1)
        total = column - column.mean() if _holds_constant(others) else column
        left = column - _fit(others, column)
        found[i] = np.inf if left @ left <= 1e-12 * (total @ total) else (total @ total) / (left @ left)
    return found


def leverages(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_subjects,) diagonal of the hat matrix: how far each subject's fitted value follows its own."""
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    basis = left[:, singular > 1e-10 * singular.max(initial=0.0)]
    return np.asarray((basis**2).sum(axis=1))


def stands_out(leverage: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n_subjects,) bool: at least three times the mean leverage, or decided by the subject alone."""
    return np.asarray(leverage >= min(LEVERAGES * leverage.mean(), 1.0 - 1e-6))


def _holds_constant(matrix: NDArray[np.float64]) -> bool:
    ones = np.ones(len(matrix))
    return bool(np.abs(ones - _fit(matrix, ones)).max() < 1e-8)


def _fit(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    scales = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(scales > 0, scales, 1.0)
    return np.asarray(scaled @ np.linalg.lstsq(scaled, values, rcond=1e-10)[0])
