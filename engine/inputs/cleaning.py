"""One projection that removes trends, filtered frequencies and confounds together.

Filtering and regressing one after the other puts back what the first step had removed (Lindquist et al. 2019,
doi:10.1002/hbm.24528). Here every unwanted regressor, filters included, is a column of one design matrix, and the
cleaned series is what is orthogonal to all of them over the kept volumes:

    residual = (I − Q Q') y = K K' y,   Q an orthonormal basis of [1, trend, cosines, confounds] over the kept volumes,
                                        K one of its complement; whichever is smaller is used
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from thalgpu.engine.config import CleaningOptions
from thalgpu.errors import InputError

MIN_FREEDOM = 10
"""Least number of degrees of freedom that must be left; correlations over fewer say nothing."""

_BLOCK = 1024
"""Columns projected at a time in float64; fixed, so that results do not depend on memory."""

_NOTHING_LEFT = 1e-6
"""A residual smaller than this fraction of the series' SD is rounding error of its float32 input."""


@dataclass(frozen=True)
class Projection:
    """What is removed from the time series of a run.

    Attributes
    ----------
    kept : (n_volumes,) bool, False for dropped and scrubbed volumes.
    removed : (n_kept, rank) float64, orthonormal columns that span what is removed.
    left : (n_kept, n_kept − rank) float64, orthonormal columns that span what stays.
    """

    kept: NDArray[np.bool_]
    removed: NDArray[np.float64]
    left: NDArray[np.float64]


def make_projection(
    path: Path,
    n_volumes: int,
    tr: float | None,
    options: CleaningOptions,
    *,
    confounds: NDArray[np.float64] | None = None,
    displacement: NDArray[np.float64] | None = None,
    censored: bool = False,
) -> Projection:
    """The projection of a run.

    Parameters
    ----------
    path : the run's file, for messages.
    n_volumes, tr : length of the run and seconds between volumes, which only a filter needs.
    options : filters, scrubbing, dropped volumes and detrending.
    confounds : (n_volumes, n_regressors), or None.
    displacement : (n_volumes,) framewise displacement in mm; required when `options.scrub_fd` is set.
    censored : volumes are already missing at unknown times (XCP-D, which has removed trends as well): only the mean and
        confounds are removed; a filter or scrubbing is an error.

    Notes
    -----
    Filters are discrete cosines (DCT-II) of the volumes that follow the dropped ones: a high-pass removes the functions
    k = 1 … ⌊2 n TR f⌋, a low-pass those above, as in nilearn's and SPM's cosine filters. Scrubbed volumes are rows left
    out: trend and cosines keep the times of the volumes that remain, and a scrubbed volume influences nothing.
    Regressors that depend on others are dropped by a pivoted QR decomposition.

    Raises
    ------
    InputError
        When fewer than `MIN_FREEDOM` degrees of freedom are left, with the numbers in words.
    """
    if censored and (options.high_pass or options.low_pass or options.scrub_fd):
        raise InputError(
            path,
            "volumes have been removed from this scan already, so that filters and scrubbing cannot be right",
            remedy="leave out --high-pass, --low-pass and --scrub-fd; XCP-D has filtered and scrubbed",
        )
    kept = _kept(n_volumes, options, displacement)
    columns = [np.zeros((n_volumes, 0))]
    if not censored:
        columns += [_trend(n_volumes)] if options.detrend else []
        columns += [_cosines(path, n_volumes, tr, options)]
    columns += [] if confounds is None else [confounds]
    basis, rank = _orthonormal(path, np.hstack(columns)[kept])
    freedom = len(basis) - rank
    if freedom < MIN_FREEDOM:
        raise InputError(
            path,
            f"{len(basis)} of {n_volumes} volumes are kept and {rank} regressors removed: "
            f"{freedom} degrees of freedom are left, {MIN_FREEDOM} are needed",
            remedy=_more_freedom(n_volumes, len(basis), options, confounds is not None),
        )
    return Projection(kept, basis[:, :rank], basis[:, rank:])


def clean(series: NDArray[np.float32], projection: Projection) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Remove a projection from time series.

    Parameters
    ----------
    series : (n_kept, n_series) float32, the kept volumes, all finite.
    projection : from `make_projection` for the same run.

    Returns
    -------
    residual : (n_kept, n_series) float32, mean 0; all zero where nothing but rounding error is left.
    sd : (n_series,) float64, standard deviation of the residual (divisor n_kept); 0 where the residual is.
    """
    removed, left = projection.removed, projection.left
    residual, sd = np.empty_like(series), np.empty(series.shape[1])
    for start in range(0, series.shape[1], _BLOCK):
        columns = slice(start, start + _BLOCK)
        block = series[:, columns].astype(np.float64)
        block -= block.mean(axis=0)
        before = block.std(axis=0)
        if left.shape[1] < removed.shape[1]:
            block = left @ (left.T @ block)
        else:
            block -= removed @ (removed.T @ block)
        after = block.std(axis=0)
        after[after <= _NOTHING_LEFT * before] = 0
        residual[:, columns] = np.where(after > 0, block, 0)
        sd[columns] = after
    return residual, sd


def _kept(n_volumes: int, options: CleaningOptions, displacement: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    kept = np.arange(n_volumes) >= options.drop_first
    if options.scrub_fd is not None:
        if displacement is None:
            raise ValueError("scrub_fd needs the displacement")
        kept &= displacement <= options.scrub_fd
    return kept


def _more_freedom(n_volumes: int, n_kept: int, options: CleaningOptions, confounds: bool) -> str:
    """What to do about too few degrees of freedom: about the cause alone where there is one."""
    enough = MIN_FREEDOM + 1  # besides the mean
    if n_volumes - options.drop_first < enough:
        return f"lower --drop-first {options.drop_first}" if n_volumes >= enough else "leave the scan out"
    if n_kept < enough:
        return "scrub less, or leave the scan out"
    fewer = ["use fewer confounds"] if confounds else []
    fewer += ["use a wider pass band"] if options.high_pass or options.low_pass else []
    fewer += ["scrub less"] if options.scrub_fd is not None else []
    fewer += ["lower --drop-first"] if options.drop_first else []
    return ", or ".join([*fewer, "leave the scan out"])


def _trend(n_volumes: int) -> NDArray[np.float64]:
    return np.linspace(-1, 1, n_volumes)[:, None]


def _cosines(path: Path, n_volumes: int, tr: float | None, options: CleaningOptions) -> NDArray[np.float64]:
    """(n_volumes, n_removed) DCT-II functions outside the pass band, zero over the dropped first volumes."""
    if options.high_pass is None and options.low_pass is None:
        return np.zeros((n_volumes, 0))
    if tr is None:
        raise ValueError("a filter needs the repetition time")
    n = max(n_volumes - options.drop_first, 0)
    removed = np.zeros(n, dtype=bool)
    order = np.arange(n)
    for cut, band in ((options.high_pass, "high"), (options.low_pass, "low")):
        if cut is None:
            continue
        if not 0 < cut < 0.5 / tr:
            raise InputError(
                path,
                f"a {band}-pass of {cut:g} Hz lies outside 0 … {0.5 / tr:.3g} Hz, what a TR of {tr:g} s can show",
                at="TR",
                remedy=f"change --{band}-pass, or --tr if the header is wrong",
            )
        highest = np.floor(2 * n * tr * cut)
        removed |= (order >= 1) & (order <= highest) if band == "high" else order > highest
    times = np.arange(n)[:, None] + 0.5
    cosines = np.zeros((n_volumes, int(removed.sum())))
    cosines[n_volumes - n :] = np.cos(np.pi / n * times * order[removed]) if n else 0
    return cosines


def _orthonormal(path: Path, design: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """(n_kept, n_kept) orthonormal basis whose first `rank` columns span a constant and the design; and that rank."""
    n_kept = len(design)
    if n_kept == 0:
        return np.zeros((0, 0)), 0
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(design).max(axis=0, initial=0)
        centred = design - design.mean(axis=0)
        norms = np.linalg.norm(centred, axis=0)
    if not np.isfinite(norms).all():
        raise InputError(path, "the confounds hold numbers too large to regress on")
    varies = norms > 1e-10 * size
    # Pivoting takes the constant first: it is longer than the others, and orthogonal to them.
    unit = np.hstack([np.full((n_kept, 1), 2 * n_kept**-0.5), centred[:, varies] / norms[varies]])
    basis, r, _ = qr(unit, pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(r)) > 1e-10))
    return basis, rank
