"""Embeddings of an affinity matrix: diffusion map, Laplacian eigenmap, principal components."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._namespace import Array


@dataclass(frozen=True)
class Embedding:
    """Leading components of an affinity matrix.

    Attributes
    ----------
    gradients : (n_voxels, n_components), in descending order of what they explain; the dtype of the affinity.
    lambdas : (n_components,) float64 on the host.
    gaps : (n_components,) float64: distance to the nearest other eigenvalue of the solved operator, relative to its size.
    explained : (n_components,) float64: share of the non-trivial spectrum's sum of squares.
    """

    gradients: Array
    lambdas: NDArray[np.float64]
    gaps: NDArray[np.float64]
    explained: NDArray[np.float64]
