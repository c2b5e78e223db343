"""What a comparison of group gradients is made of: how groups are embedded, and what comes of it."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import Approach, Graph
from thalgpu.engine.gradients.options import require_between, require_choice, require_whole
from thalgpu.errors import NumericsError
from thalgpu.kernels._compiled import compiled


@dataclass(frozen=True)
class Recipe:
    """How a group's mean affinity is embedded; names and meanings as in `thalgpu.engine.gradients.embedding.embed`."""

    approach: Approach = "dm"
    graph: Graph = "dense"
    n_components: int = 10
    alpha: float = 0.5
    diffusion_time: float = 0.0

    def __post_init__(self) -> None:
        """UsageError for a name that does not exist, or a number out of range."""
        require_choice("approach", self.approach, ("dm", "le", "pca"))
        require_choice("graph", self.graph, ("dense", "epsilon"))
        require_whole("n_components", self.n_components)
        require_between("alpha", self.alpha, 0, 1, ends="[]")
        require_between("diffusion_time", self.diffusion_time, 0, np.inf, ends="[)")

    @property
    def power(self) -> float:
        """α of the operator: Laplacian eigenmaps have none."""
        return self.alpha if self.approach == "dm" else 0.0

    @property
    def self_loops(self) -> bool:
        """Whether the diagonal of an affinity counts."""
        return self.approach == "dm"


@dataclass(frozen=True)
class Solutions:
    """Leading components of many weighted mean affinities.

    Attributes
    ----------
    lambdas : (n_sets, k) float64
        Eigenvalues of the symmetric operator, descending, the trivial one left out.
    gradients : (n_sets, n_voxels, k) float32, or float64 where they are known that well
        Maps as an embedding reports them, scaled for the diffusion time, not aligned; their signs are arbitrary.
    vectors : (n_sets, n_voxels, k), the same dtype
        Orthonormal eigenvectors u of the symmetric operator.
    roots : (n_sets, n_voxels), the same dtype
        M^½ of each mean, with K v = λ M v and u = M^½ v; 1 for principal components.
    totals : (n_sets,) float64
        Sum of all eigenvalues but the trivial one (1): λ / totals is the share that a component explains.
    errors : (n_sets, k) float64
        Estimated angle in radians between each vector and the exact one.
    residuals : (n_sets, k) float64
        ‖N u − λ u‖ / λ of vectors that were checked against the operator N itself; infinity where they were not.
    """

    lambdas: NDArray[np.float64]
    gradients: NDArray[Any]
    vectors: NDArray[Any]
    roots: NDArray[Any]
    totals: NDArray[np.float64]
    errors: NDArray[np.float64]
    residuals: NDArray[np.float64]

    @classmethod
    def empty(cls, n_sets: int, n_voxels: int, n_components: int, dtype: np.dtype[Any]) -> "Solutions":
        """Room for so many, to be filled."""
        lambdas, errors, residuals = np.empty((3, n_sets, n_components))
        gradients, vectors = np.empty((2, n_sets, n_voxels, n_components), dtype)
        return cls(
            lambdas, gradients, vectors, np.empty((n_sets, n_voxels), dtype), np.empty(n_sets), errors, residuals
        )

    def __getitem__(self, sets: slice | NDArray[np.int64]) -> "Solutions":
        """Some of the sets; a slice shares its memory."""
        return Solutions(*(getattr(self, field.name)[sets] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.lambdas)


def scales(lambdas: NDArray[np.float64], recipe: Recipe) -> NDArray[np.float64]:
    """What each map of a recipe is multiplied by, of the shape of `lambdas`.

    λ/(1−λ) of a diffusion map at time 0, λ^t at time t, and 1 of a Laplacian eigenmap. NumericsError where an
    eigenvalue is 1 (a graph in pieces), or negative under a broken power.
    """
    if lambdas.max() >= 1 - CONNECTED:
        raise NumericsError(
            f"a mean affinity has a second eigenvalue of {lambdas.max():.8g}: its graph falls into pieces",
            remedy="lower the sparsity, or use a kernel without zeros",
        )
    if recipe.approach == "le":
        return np.ones_like(lambdas)
    if recipe.diffusion_time == 0:
        return lambdas / (1 - lambdas)
    if lambdas.min() < 0 and recipe.diffusion_time != int(recipe.diffusion_time):
        raise NumericsError(
            f"a component has a negative eigenvalue, which has no power {recipe.diffusion_time}",
            remedy="use a whole diffusion time, or fewer components",
        )
    return np.asarray(lambdas**recipe.diffusion_time)


CONNECTED = 1e-5
"""Distance of an eigenvalue from 1 at which sums in single precision cannot tell it from 1."""


def write_gradients(solutions: Solutions, trivial: NDArray[np.float64], recipe: Recipe) -> None:
    """Fill in the maps of solutions whose vectors and eigenvalues are known.

    Parameters
    ----------
    trivial : (n_sets, n_voxels) float64
        D^½ of each operator, of any norm for "dm" (maps are divided by the unit vector), as it is for "le".
    """
    lengths = np.ones(len(trivial)) if recipe.approach == "le" else np.linalg.norm(trivial, axis=1)
    dtype = solutions.vectors.dtype
    inverse = (lengths[:, None] / trivial).astype(dtype)
    _scale(solutions.vectors, inverse, scales(solutions.lambdas, recipe).astype(dtype), solutions.gradients)


@compiled
def _scale(vectors: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], scaled: NDArray[Any]) -> None:
    for which in range(vectors.shape[0]):
        for row in range(vectors.shape[1]):
            factor = rows[which, row]
            for column in range(vectors.shape[2]):
                scaled[which, row, column] = vectors[which, row, column] * factor * columns[which, column]
