"""Whether a design has one answer: full column rank, contrasts that it can estimate, and who is to blame where not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast
from thalgpu.engine.inference.words import listed, quoted, repeated
from thalgpu.errors import NumericsError

TOLERANCE = 1e-9
"""A column counts as a combination of others when less than this part of its norm is left over: rounding leaves 1e-15
times the condition number, and plain powers of a calendar year still leave 1e-6."""

_ESTIMABLE = 1e-6
"""The part of a contrast outside the row space; 1e-16 of rounding grows by the inverse of TOLERANCE at most."""

_ROUNDING = 1e-7
"""Coefficients as small as this, or this near to 1, are rounding of 0 or 1 in what is printed."""

_LARGEST = 1e100
"""Squares of larger numbers overflow, and those of its inverse vanish."""

_SHOWN = 3


def check_design(matrix: NDArray[np.float64], columns: Sequence[str]) -> None:
    """Refuse a design matrix whose coefficients are not determined.

    Parameters
    ----------
    matrix : (n_subjects, n_columns) float64.
    columns : their names.

    Raises
    ------
    NumericsError
        For two columns of one name, a value that is not finite, a column of zeros, columns that are combinations of
        others (each named with the combination it equals), and no more subjects than columns.
    """
    n_subjects, n_columns = matrix.shape
    if twice := repeated(columns):
        raise NumericsError(f"two columns of the design are called {listed(twice)}", remedy="rename one of them")
    if bad := _those(columns, _usable(matrix).sum(axis=0) < n_subjects):
        raise NumericsError(
            f"the design holds NaN, infinity or numbers beyond {_LARGEST:g} in {listed(bad)}",
            remedy="correct these values, or leave their subjects out",
        )
    if empty := _those(columns, np.abs(matrix).max(axis=0, initial=0.0) < 1 / _LARGEST):
        raise NumericsError(
            f"the design is 0 for every subject in {listed(empty)}",
            remedy="no subject belongs there: leave the term or its interaction out",
        )
    if n_subjects <= n_columns:
        raise NumericsError(
            f"{n_subjects} subjects cannot determine {n_columns} columns and a residual: {listed(columns)}",
            remedy="drop terms, or include more subjects",
        )
    if found := aliases(matrix, columns):
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise NumericsError(
            f"the design is rank deficient: {'; '.join(found[:_SHOWN])}{more}",
            remedy="leave out one of the columns of each combination",
        )


def aliases(matrix: NDArray[np.float64], columns: Sequence[str]) -> list[str]:
    """Each column that is a linear combination of columns to its left, as an equation such as `site[B] = group[HC]`."""
    norms = np.linalg.norm(matrix, axis=0)
    unit = matrix / np.where(norms > 0, norms, 1.0)
    left_over = np.abs(np.diag(np.linalg.qr(unit, mode="r")))  # of each column, after those to its left
    if left_over.size == len(columns) and left_over.min() > TOLERANCE:
        return []
    kept: list[int] = []
    found = []
    for j, name in enumerate(columns):
        solution = np.linalg.lstsq(unit[:, kept], unit[:, j], rcond=None)[0]
        if np.linalg.norm(unit[:, j] - unit[:, kept] @ solution) > TOLERANCE:
            kept.append(j)
        else:
            solution[np.abs(solution) < _ROUNDING] = 0.0
            found.append(f"{name} = {_combination(solution * norms[j] / norms[kept], [columns[i] for i in kept])}")
    return found


def check_contrasts(matrix: NDArray[np.float64], columns: Sequence[str], contrasts: Sequence[Contrast]) -> None:
    """Refuse contrasts that ask for nothing or for what the design cannot tell.

    Raises
    ------
    NumericsError
        For weights that are not finite or do not match the columns, a row of zeros, and weights outside the row space
        of the design (not estimable), with the contrast's name.
    """
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1.0
    rows = _row_space(matrix / norms)
    for contrast in contrasts:
        weights, name = contrast.weights, f"contrast {quoted(contrast.name)}"
        if weights.ndim != 2 or weights.shape[1] != len(columns) or not _usable(weights).all():
            raise NumericsError(
                f"{name} has weights of shape {weights.shape} or not finite, for {len(columns)} columns",
                remedy="give one finite weight a column of the design",
            )
        scale = np.linalg.norm(weights, axis=1, keepdims=True)
        if not weights.size or scale.min() < 1 / _LARGEST:
            raise NumericsError(f"{name} is zero: it tests nothing", remedy=f"weigh at least one of {listed(columns)}")
        scaled = weights / scale / norms
        scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
        if np.abs(scaled - scaled @ rows.T @ rows).max() > _ESTIMABLE:
            raise NumericsError(
                f"{name} cannot be estimated: the design does not determine {_combination(weights[0], columns)}",
                remedy="test differences that the design can tell apart, or leave the aliased columns out",
            )


def redundant_rows(contrasts: Sequence[Contrast]) -> list[str]:
    """A remark on each F test whose rows depend on each other, as all pairwise differences of groups do."""
    found = []
    for contrast in contrasts:
        rows = contrast.weights / np.linalg.norm(contrast.weights, axis=1, keepdims=True)
        rank = int(np.linalg.matrix_rank(rows, tol=TOLERANCE))
        if rank < len(rows):
            what = f"contrast {quoted(contrast.name)} has {len(rows)} rows that depend on each other"
            found.append(f"{what}: {rank} of them say it all, and {rank} are counted")
    return found


def _usable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values) <= _LARGEST)  # False for NaN as well


def _those(columns: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_chosen in zip(columns, chosen, strict=True) if is_chosen]


def _row_space(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rank, n_columns) orthonormal rows that span what the design can estimate."""
    _, singular, rows = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(rows[singular > singular.max(initial=0.0) * TOLERANCE])


def _combination(weights: NDArray[np.float64], names: Sequence[str]) -> str:
    """A linear combination in words: `group[A] + group[B] - 0.5*age`."""
    terms = [(weight, name) for weight, name in zip(weights, names, strict=True) if weight]
    if not terms:
        return "0"
    shown = [f"{'-' if weight < 0 else '+'} {_times(abs(float(weight)))}{name}" for weight, name in terms]
    return listed([" ".join(shown[:6]), *shown[6:]], 1).removeprefix("+ ")


def _times(weight: float) -> str:
    return "" if abs(weight - 1) < _ROUNDING else f"{weight:.4g}*"
