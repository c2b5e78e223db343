"""Connectivity: correlation of each seed voxel with each target."""

from thalgpu.errors import NumericsError
from thalgpu.kernels import correlation as kernels
from thalgpu.kernels._checks import as_floats, require_finite
from thalgpu.kernels._namespace import Array, get_namespace
from thalgpu.kernels.standardize import standardize


def connectivity(seed_ts: Array, target_ts: Array, *, fisher_z: bool = True) -> Array:
    """Correlate every seed voxel's series with every target's, as Fisher's z or as r.

    Parameters
    ----------
    seed_ts : (n_timepoints, n_voxels) float32 or float64
        Cleaned time series, in any unit; integers are taken as float64. Not modified.
    target_ts : (n_timepoints, n_targets), same dtype
        Likewise.
    fisher_z : whether r is transformed to atanh(r), with r clipped to ±(1 - 1e-7).

    Returns
    -------
    connectivity : (n_voxels, n_targets), same dtype
        0 where either series is constant; never NaN.

    Raises
    ------
    NumericsError
        Not arrays of numbers; series that are not finite, of different lengths or dtypes, or of fewer than two time
        points.

    Notes
    -----
    The whole matrix is formed: 4 bytes × n_voxels × n_targets in float32. An affinity does not need it; see
    `affinity_from_timeseries`.
    """
    seed_ts, target_ts = as_series(seed_ts, target_ts)
    r = kernels.correlation(standardize(seed_ts)[0], standardize(target_ts)[0])
    return kernels.fisher_z(r) if fisher_z else r


def as_series(seed_ts: Array, target_ts: Array) -> tuple[Array, Array]:
    """Both as `as_floats` has them; NumericsError unless finite, of one dtype and over the same two or more times."""
    get_namespace(seed_ts, target_ts)
    # `standardize` copies what it works on by rows
    seed_ts, target_ts = as_floats("seed_ts", seed_ts, by_rows=False), as_floats("target_ts", target_ts, by_rows=False)
    if len(seed_ts) != len(target_ts) or len(seed_ts) < 2:
        raise NumericsError(f"seed_ts has {len(seed_ts)} time points and target_ts {len(target_ts)}; need two or more")
    if seed_ts.dtype != target_ts.dtype:
        raise NumericsError(f"seed_ts is {seed_ts.dtype} and target_ts {target_ts.dtype}")
    require_finite("seed_ts", seed_ts)
    require_finite("target_ts", target_ts)
    return seed_ts, target_ts
