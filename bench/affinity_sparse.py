"""B2: affinity with 90 % sparsity and diffusion map, from time series, against BrainSpace on the formed matrix."""

import numpy as np

from thalgpu.bench._brainspace import N_COMPONENTS, NOT_INSTALLED, brainspace_seconds, seconds
from thalgpu.bench._result import BenchResult
from thalgpu.bench._series import simulated_series
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import diffusion_map


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """The default recipe: Fisher's z, the largest tenth of each row, normalised angle."""
    n_timepoints, n_voxels, n_targets = (100, 300, 2000) if quick else (300, 2248, 20000)
    repeats = 2 if quick else 5
    seed, target = simulated_series(n_timepoints, n_voxels, n_targets)

    def gradients() -> None:
        diffusion_map(affinity_from_timeseries(seed, target), N_COMPONENTS)

    formed = connectivity(seed, target)
    ours = seconds(gradients, repeats)
    results = []
    for dtype in (np.float64, np.float32):
        matrix = formed.astype(dtype)
        reference = brainspace_seconds(matrix, kernel="normalized_angle", sparsity=0.9, repeats=repeats)
        note = f"median of {repeats}, {threads} threads on both sides; ours includes correlating, BrainSpace's does not"
        results.append(
            BenchResult(
                claim="B2",
                title=f"affinity (normalized_angle, 90 % sparse) + diffusion map, n={n_voxels} m={n_targets}",
                ours_label="from time series, float32",
                ours_seconds=ours,
                ref_label=f"BrainSpace, {np.dtype(dtype)}",
                ref_seconds=reference,
                target=">= 3x",
                note=note if reference is not None else NOT_INSTALLED,
            )
        )
    return results
