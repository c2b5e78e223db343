"""B1: affinity and diffusion map without sparsity, from time series, against BrainSpace on the formed matrix."""

import numpy as np

from thalgpu.bench._brainspace import N_COMPONENTS, NOT_INSTALLED, brainspace_seconds, seconds
from thalgpu.bench._result import BenchResult
from thalgpu.bench._series import simulated_series
from thalgpu.engine.config import Kernel
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import diffusion_map


def run(*, threads: int, quick: bool) -> list[BenchResult]:
    """Cosine and eta² of raw correlations, which need no connectivity matrix; BrainSpace starts from a formed one."""
    n_timepoints, n_voxels, n_targets = (100, 300, 2000) if quick else (300, 2248, 20000)
    repeats = 2 if quick else 5
    seed, target = simulated_series(n_timepoints, n_voxels, n_targets)

    def ours(kernel: Kernel) -> float:
        def gradients() -> None:
            affinity = affinity_from_timeseries(seed, target, kernel=kernel, sparsity=0.0, fisher_z=False)
            diffusion_map(affinity, N_COMPONENTS)

        return seconds(gradients, repeats)

    formed = connectivity(seed, target, fisher_z=False)
    times = {kernel: ours(kernel) for kernel in ("cosine", "eta2")}
    references = {
        dtype: brainspace_seconds(formed.astype(dtype), kernel="cosine", sparsity=0.0, repeats=repeats)
        for dtype in (np.float64, np.float32)
    }
    size = f"n={n_voxels} m={n_targets} T={n_timepoints}"
    return [
        BenchResult(
            claim="B1",
            title=f"affinity ({kernel}) + diffusion map, {size}",
            ours_label="from time series, float32",
            ours_seconds=times[kernel],
            ref_label=f"BrainSpace (cosine), {np.dtype(dtype)}",
            ref_seconds=reference,
            target=">= 10x",
            note=_note(kernel, dtype, threads, repeats) if reference is not None else NOT_INSTALLED,
        )
        for dtype, reference in references.items()
        for kernel in times
    ]


def _note(kernel: str, dtype: type, threads: int, repeats: int) -> str:
    """What is and is not on either side."""
    parts = [f"median of {repeats}, {threads} threads on both sides; ours includes correlating, BrainSpace's does not"]
    if kernel == "eta2":
        parts.append("BrainSpace has no eta², so its cosine stands beside it")
    if dtype is np.float64:
        parts.append("BrainSpace on the float64 matrix that numpy.corrcoef forms")
    return "; ".join(parts)
