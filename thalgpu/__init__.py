"""thalgpu: thalamocortical connectivity gradients and permutation inference, on CPUs and GPUs."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Contrast": "thalgpu.engine.inference.model",
    "GradientMaps": "thalgpu.engine.gradients.estimator",
    "Neighbours": "thalgpu.engine.inference.model",
    "compute_affinity": "thalgpu.engine.gradients.affinity",
    "diffusion_map": "thalgpu.engine.gradients.embedding",
    "laplacian_eigenmap": "thalgpu.engine.gradients.embedding",
    "mesh_neighbours": "thalgpu.engine.inference.adjacency",
    "permutation_test": "thalgpu.engine.inference.permutation_test",
    "procrustes": "thalgpu.engine.gradients.alignment",
    "volume_neighbours": "thalgpu.engine.inference.adjacency",
}
__all__ = [
    "Contrast",
    "GradientMaps",
    "Neighbours",
    "__version__",
    "compute_affinity",
    "diffusion_map",
    "laplacian_eigenmap",
    "mesh_neighbours",
    "permutation_test",
    "procrustes",
    "volume_neighbours",
]

if TYPE_CHECKING:
    from thalgpu.engine.gradients.affinity import compute_affinity
    from thalgpu.engine.gradients.alignment import procrustes
    from thalgpu.engine.gradients.embedding import diffusion_map, laplacian_eigenmap
    from thalgpu.engine.gradients.estimator import GradientMaps
    from thalgpu.engine.inference.adjacency import mesh_neighbours, volume_neighbours
    from thalgpu.engine.inference.model import Contrast, Neighbours
    from thalgpu.engine.inference.permutation_test import permutation_test


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import thalgpu` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'thalgpu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
