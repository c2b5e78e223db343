"""thalgpu: thalamocortical connectivity gradients and permutation inference, on CPUs and GPUs."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "GradientMaps": "thalgpu.engine.gradients.estimator",
    "compute_affinity": "thalgpu.engine.gradients.affinity",
    "diffusion_map": "thalgpu.engine.gradients.embedding",
    "laplacian_eigenmap": "thalgpu.engine.gradients.embedding",
    "permutation_test": "thalgpu.engine.inference.permutation_test",
    "procrustes": "thalgpu.engine.gradients.alignment",
}
__all__ = [
    "GradientMaps",
    "__version__",
    "compute_affinity",
    "diffusion_map",
    "laplacian_eigenmap",
    "permutation_test",
    "procrustes",
]

if TYPE_CHECKING:
    from thalgpu.engine.gradients.affinity import compute_affinity
    from thalgpu.engine.gradients.alignment import procrustes
    from thalgpu.engine.gradients.embedding import diffusion_map, laplacian_eigenmap
    from thalgpu.engine.gradients.estimator import GradientMaps
    from thalgpu.engine.inference.permutation_test import permutation_test


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import thalgpu` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'thalgpu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
