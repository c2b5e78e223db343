"""Time series to measure with: smooth low-rank structure, as thalamus and cortex share, and noise."""

import numpy as np
from numpy.typing import NDArray

_N_SOURCES = 30


def simulated_series(
    n_timepoints: int, n_voxels: int, n_targets: int, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Seed and target series that mix the same sources: smoothly over space in the seed, and as much noise as signal.

    Returns
    -------
    seed : (n_timepoints, n_voxels) float32
    target : (n_timepoints, n_targets) float32
    """
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((n_timepoints, _N_SOURCES))
    distance = ((rng.random((n_voxels, 1, 3)) - rng.random((1, _N_SOURCES, 3))) ** 2).sum(axis=2)
    weights = (np.exp(-distance / 0.08), 0.3 * rng.standard_normal((n_targets, _N_SOURCES)))
    seed_ts, target_ts = (
        (sources @ weight.T + rng.standard_normal((n_timepoints, len(weight)))).astype(np.float32) for weight in weights
    )
    return seed_ts, target_ts
