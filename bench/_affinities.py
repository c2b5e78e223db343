"""Affinities of a cohort without an effect: what `thalgpu gradients` would make of smoothed scans of an ellipsoid."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.bench._maps import ellipsoid
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.outputs.packing import pack_upper
from thalgpu.engine.simulate.random_streams import smooth_fields

_SOURCES, _TIMEPOINTS, _TARGETS = 12, 300, 2_000
_MM, _FWHM = 2.0, 6.0


def smooth_affinities(n_subjects: int, n_voxels: int) -> NDArray[np.float32]:
    """Packed affinities by the default recipe, from series that share their sources and differ by subject.

    Parameters
    ----------
    n_subjects, n_voxels : sizes.

    Returns
    -------
    (n_subjects, n_voxels (n_voxels + 1) / 2) float32

    Notes
    -----
    Voxels of 2 mm mix 12 sources by weights that vary over some 8 mm, and half as much by weights of the subject's own
    that vary over 6 mm. Their noise is smoothed to 6 mm FWHM and somewhat stronger than the signal.
    """
    xyz = np.argwhere(ellipsoid(n_voxels)).astype(np.float64) * _MM
    rng = np.random.default_rng(0)
    shared = smooth_fields(rng, xyz, _SOURCES, length=8.0)
    mixing = np.exp(2 * rng.standard_normal((_SOURCES, _TARGETS), dtype=np.float32))
    mixing /= mixing.sum(axis=0)
    smoother = _smoother(xyz)
    stack = np.empty((n_subjects, n_voxels * (n_voxels + 1) // 2), dtype=np.float32)
    for subject, packed in enumerate(stack):
        rng = np.random.default_rng([0, subject])
        own = shared + np.float32(0.5) * smooth_fields(rng, xyz, _SOURCES, length=6.0)
        sources = rng.standard_normal((_TIMEPOINTS, _SOURCES), dtype=np.float32)
        noise = rng.standard_normal((_TIMEPOINTS, n_voxels), dtype=np.float32) @ smoother
        varied = mixing * np.exp(np.float32(0.3) * rng.standard_normal(mixing.shape, dtype=np.float32))
        target = 2 * sources @ varied + rng.standard_normal((_TIMEPOINTS, _TARGETS), dtype=np.float32)
        packed[:] = pack_upper(affinity_from_timeseries(sources @ own / 2 + 2 * noise, target))
    return stack


def _smoother(xyz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Columns are Gaussian weights of norm 1."""
    squares = (xyz**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * xyz @ xyz.T
    weights = np.exp(-distances * 4 * np.log(2) / _FWHM**2)
    return np.asarray(weights / np.linalg.norm(weights, axis=0), dtype=np.float32)
