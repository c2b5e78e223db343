"""BrainSpace's side of B1 and B2: affinity and diffusion map of a connectivity matrix that is formed already."""

import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from thalgpu.kernels._namespace import Array

NOT_INSTALLED = "brainspace not installed (extra [validate])"
N_COMPONENTS = 10


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median wall time, after one call that warms caches and thread pools."""
    function()
    times = []
    for _ in range(repeats):
        started = perf_counter()
        function()
        times.append(perf_counter() - started)
    return median(times)


def brainspace_gradients(connectivity: Array, *, kernel: str, sparsity: float) -> Callable[[], None] | None:
    """A call of BrainSpace's two steps with its defaults and a fixed seed; None where it is not installed."""
    try:
        from brainspace.gradient.embedding import diffusion_mapping
        from brainspace.gradient.kernels import compute_affinity
    except ImportError:
        return None

    def gradients() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a float32 affinity is not symmetric to BrainSpace's 1e-10
            affinity = compute_affinity(connectivity, kernel=kernel, sparsity=sparsity)
            diffusion_mapping(affinity, n_components=N_COMPONENTS, random_state=0)

    return gradients


def brainspace_seconds(connectivity: Array, *, kernel: str, sparsity: float, repeats: int) -> float | None:
    """Median wall time of the same; None where BrainSpace is not installed."""
    gradients = brainspace_gradients(connectivity, kernel=kernel, sparsity=sparsity)
    return None if gradients is None else seconds(gradients, repeats)
