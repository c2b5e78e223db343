"""Seed-based connectivity: Fisher's z of each seed's series with each target's."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats, require_finite
from thalgpu.kernels.correlation import correlation, fisher_z
from thalgpu.kernels.standardize import standardize

_TARGETS = 2048
"""Targets worked on at a time in float64; fixed, so that bits do not depend on memory."""


def seed_maps(seed_ts: NDArray[np.floating], target_ts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correlate the series of each seed with that of each target, as Fisher's z.

        z = atanh(clip(r, ±(1 − 1e-7))),   r = Pearson's correlation over time

    Parameters
    ----------
    seed_ts : (n_timepoints, n_seeds) float32 or float64
        Cleaned series in any unit, one a seed: the mean of its voxels' series before these are standardised.
    target_ts : (n_timepoints, n_targets) float32 or float64
        Cleaned series of voxels, vertices or parcels.

    Returns
    -------
    z : (n_seeds, n_targets) float64
        0 where a series is constant; never NaN.

    Raises
    ------
    NumericsError
        Not arrays of numbers; series that are not finite, of different lengths, or of fewer than two time points.

    Notes
    -----
    Seed-based correlation after Biswal et al. 1995 (doi:10.1002/mrm.1910340409). A seed's series is the mean of raw
    series, as nilearn's `NiftiLabelsMasker` and FSL's `fslmeants` take it, in which a voxel counts by its amplitude;
    the mean of standardised series, in which all voxels count alike, would be another. All products are in float64, a
    block of targets at a time: unlike voxel-wise connectivity this costs nothing beside reading the scan. nilearn's
    tutorials take products of float32 series, and `np.arctanh` without a limit.
    """
    seed_ts, target_ts = as_floats("seed_ts", seed_ts, by_rows=False), as_floats("target_ts", target_ts, by_rows=False)
    if len(seed_ts) != len(target_ts) or len(seed_ts) < 2:
        raise NumericsError(f"seed_ts has {len(seed_ts)} time points and target_ts {len(target_ts)}; need two or more")
    require_finite("seed_ts", seed_ts)
    require_finite("target_ts", target_ts)
    seeds = _unit(seed_ts)
    z = np.empty((seed_ts.shape[1], target_ts.shape[1]))
    for start in range(0, target_ts.shape[1], _TARGETS):
        block = slice(start, start + _TARGETS)
        z[:, block] = fisher_z(correlation(seeds, _unit(target_ts[:, block])))
    return z


def _unit(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Series of norm 1 in float64, zero where what varies may be rounding in the precision that they came in."""
    varies = standardize(series)[1]
    unit: NDArray[np.float64] = standardize(series.astype(np.float64))[0] * varies
    return unit
