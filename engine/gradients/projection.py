"""Connectopic projection: where on the cortex a thalamic gradient is seen."""

from thalgpu.engine.gradients.connectivity import as_series
from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array, get_namespace
from thalgpu.kernels.standardize import standardize

_TARGETS = 4096
"""Targets in a block: fixed, so that results are the same bits wherever they are made."""


def project_to_targets(gradients: Array, seed_ts: Array, target_ts: Array) -> Array:
    """Correlate each target's connectivity fingerprint with each gradient, over the voxels of the seed region.

    A target with a high value is connected to the voxels at the gradient's positive end more than to those at its
    negative end: the gradient's picture on the cortex.

    Parameters
    ----------
    gradients : (n_voxels, n_components) float
        Not modified.
    seed_ts : (n_timepoints, n_voxels) float32 or float64
        Cleaned time series; voxels whose series is constant take no part.
    target_ts : (n_timepoints, n_targets), same dtype
        Likewise.

    Returns
    -------
    (n_targets, n_components), dtype of `gradients`
        Pearson correlations; 0 where the target's series is constant.

    Raises
    ------
    NumericsError
        Series that are not finite or do not fit each other, gradients of another number of voxels, or not finite.

    Notes
    -----
    The fingerprint of target j is cⱼ = Zs' zⱼ: raw r with every voxel, of standardised series. With Z̃s the seed series
    less their mean over voxels (at each time point), and g̃ a centred gradient,

        r(cⱼ, g) = (Z̃s g̃)' zⱼ / (‖g̃‖ √(zⱼ' (Z̃s Z̃s') zⱼ)),

    so only n_timepoints × n_components and n_timepoints × n_timepoints matrices meet the targets; the n_voxels ×
    n_targets connectivity is never formed. Sums are in float64.
    """
    namespace = get_namespace(gradients, seed_ts)
    seed_ts, target_ts = as_series(seed_ts, target_ts)
    gradients = as_floats("gradients", gradients)
    if len(gradients) != seed_ts.shape[1]:
        raise NumericsError(f"gradients of shape {gradients.shape} do not fit {seed_ts.shape[1]} seed series")
    if not bool(namespace.isfinite(gradients).all()):
        raise NumericsError("gradients to project are not finite")
    unit, varies = standardize(seed_ts)
    maps = gradients[varies].astype(namespace.float64)
    seed = unit[:, varies].astype(namespace.float64)
    maps, seed = maps - maps.mean(axis=0), seed - seed.mean(axis=1)[:, None]
    courses, gram = seed @ maps, seed @ seed.T
    map_norms = namespace.linalg.norm(maps, axis=0)

    projected: Array = namespace.zeros((target_ts.shape[1], gradients.shape[1]), dtype=gradients.dtype)
    for start in range(0, len(projected), _TARGETS):
        block = standardize(target_ts[:, start : start + _TARGETS])[0].astype(namespace.float64)
        norms = namespace.sqrt(namespace.maximum((block * (gram @ block)).sum(axis=0), 0.0))
        sizes = norms[:, None] * map_norms
        r = namespace.where(sizes > 0, block.T @ courses, 0.0) / namespace.where(sizes > 0, sizes, 1.0)
        projected[start : start + _TARGETS] = namespace.clip(r, -1.0, 1.0)
    return projected
