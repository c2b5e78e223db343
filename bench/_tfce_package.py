"""The `tfce` package's side of B5: its permuted model a permutation, and its TFCE on batches of maps."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from thalgpu.bench._maps import CONTRAST, Cohort

NOT_INSTALLED = "tfce not installed (extra [validate])"
BATCHES = (100, 250, 1000)
"""Maps that are enhanced at once."""

Loop = Callable[[int], NDArray[np.floating]]


def permuted_tfce(cohort: Cohort, n_perm: int, n_jobs: int) -> Loop | None:
    """A loop that returns the largest magnitude of each map, given the maps of a batch; None where not installed."""
    try:
        from tfce import tfce
        from tfce.glm import PermutedGLM
    except ImportError:
        return None
    model = PermutedGLM(np.ascontiguousarray(cohort.values.T), cohort.matrix, CONTRAST)
    rng = np.random.default_rng(1)
    permutations = [rng.permutation(len(cohort.values)) for _ in range(n_perm)]
    adjacency = cohort.neighbours.indptr, cohort.neighbours.indices

    def loop(batch: int) -> NDArray[np.floating]:
        largest = []
        for start in range(0, n_perm, batch):
            maps = np.stack([model.fit(permutation) for permutation in permutations[start : start + batch]], axis=1)
            largest.append(np.abs(tfce(maps, adjacency=adjacency, n_jobs=n_jobs)).max(axis=0))
        return np.concatenate(largest)

    return loop


def own_maps(cohort: Cohort) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """t and TFCE of the subjects as they are."""
    from tfce import tfce
    from tfce.glm import PermutedGLM

    t = PermutedGLM(np.ascontiguousarray(cohort.values.T), cohort.matrix, CONTRAST).fit()
    return t, tfce(t, adjacency=(cohort.neighbours.indptr, cohort.neighbours.indices))
