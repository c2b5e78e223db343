"""Smoothing that stays inside a region, so that no signal of its surroundings leaks in."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

_FWHM_OF_SIGMA = 2 * np.sqrt(2 * np.log(2))
_TRUNCATE = 4.0
"""Standard deviations beyond which a weight (3e-4 of the largest) counts as 0; scipy's and nilearn's choice."""

_VOXELS, _VOLUMES = 4096, 64
"""Voxels whose weights are held at a time, and volumes worked on at a time."""


def smooth(series: NDArray[np.float32], xyz: NDArray[np.float64], fwhm: float) -> NDArray[np.float32]:
    """Smooth series with a Gaussian over the voxels of a region, and over nothing else.

    Parameters
    ----------
    series : (n_timepoints, n_voxels) float32, finite.
    xyz : (n_voxels, 3) coordinates in mm.
    fwhm : full width at half maximum in mm, > 0.

    Returns
    -------
    (n_timepoints, n_voxels) float32
        Σ_j w_ij y_j / Σ_j w_ij, w_ij = exp(−|x_i − x_j|² / 2σ²), σ = fwhm / 2√(2 ln 2), 0 beyond 4 σ.

    Notes
    -----
    A constant image stays constant up to the region's border (normalised convolution); nilearn's `smooth_img` and FSL
    mix in what lies outside. Neighbours are found by distance alone: where left and right thalamus touch at the
    midline, they mix as they would in an ordinary smoothing.
    """
    tree = cKDTree(xyz)
    smoothed = np.empty_like(series)
    for start in range(0, len(xyz), _VOXELS):
        weights = _weights(xyz[start : start + _VOXELS], tree, fwhm / _FWHM_OF_SIGMA)
        for first in range(0, len(series), _VOLUMES):
            volumes = series[first : first + _VOLUMES].T.astype(np.float64)
            smoothed[first : first + _VOLUMES, start : start + _VOXELS] = (weights @ volumes).T
    return smoothed


def _weights(xyz: NDArray[np.float64], tree: cKDTree, sigma: float) -> csr_array:
    """(n_some, n_voxels) sparse weights of some voxels; rows sum to 1."""
    near = cKDTree(xyz).sparse_distance_matrix(tree, _TRUNCATE * sigma, output_type="ndarray")
    weight = np.exp(-(near["v"] ** 2) / (2 * sigma**2))
    weights = csr_array((weight, (near["i"], near["j"])), shape=(len(xyz), tree.n))
    weights.sort_indices()  # a fixed order of summation, hence the same bits on every run
    weights.data /= np.repeat(weights.sum(axis=1), np.diff(weights.indptr))
    return weights
