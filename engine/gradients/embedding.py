"""Embeddings of an affinity matrix: diffusion map, Laplacian eigenmap, principal components."""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import Approach, Graph
from thalgpu.engine.gradients.checks import checked_affinity, checked_graph
from thalgpu.engine.gradients.eigengaps import relative_gaps, warn_where_close
from thalgpu.engine.gradients.graph import epsilon_graph
from thalgpu.engine.gradients.options import require_between, require_choice
from thalgpu.engine.gradients.signs import fix_signs
from thalgpu.errors import NumericsError, UsageError
from thalgpu.kernels._namespace import Array, get_namespace, like
from thalgpu.kernels.eigen import leading_eigenpairs
from thalgpu.kernels.laplacian import symmetric_operator

LEAST_POWER = 1e-30
"""Smallest |λ^t| that maps are scaled by: smaller ones would leave float32's range, and the map would be all zero."""


@dataclass(frozen=True)
class Embedding:
    """Leading components of an affinity matrix.

    Attributes
    ----------
    gradients : (n_voxels, n_components), in descending order of what they explain; the dtype of the affinity,
        float64 for integers.
    lambdas : (n_components,) float64 on the host.
    gaps : (n_components,) float64: distance to the nearest other eigenvalue of the solved operator, over its size.
    explained : (n_components,) float64: share of the non-trivial spectrum's sum of squares.
    """

    gradients: Array
    lambdas: NDArray[np.float64]
    gaps: NDArray[np.float64]
    explained: NDArray[np.float64]


def embed(
    affinity: Array,
    *,
    approach: Approach = "dm",
    graph: Graph = "dense",
    n_components: int = 10,
    alpha: float = 0.5,
    diffusion_time: float = 0.0,
) -> Embedding:
    """Embed an affinity matrix by the approach named: "dm", "le" or "pca".

    With graph "epsilon", only congrads' smallest connected graph is embedded (not with "pca"). See `diffusion_map`,
    `laplacian_eigenmap`, `principal_components` and `epsilon_graph` for parameters, results and errors; `alpha` and
    `diffusion_time` belong to "dm". UsageError for a name that does not exist.
    """
    require_choice("approach", approach, get_args(Approach))
    require_choice("graph", graph, get_args(Graph))
    if approach == "pca":
        if graph == "epsilon":
            raise UsageError("principal components are not defined on an epsilon graph", remedy="use dm or le")
        return principal_components(affinity, n_components)
    weights = affinity if graph == "dense" else epsilon_graph(affinity)[0]
    if approach == "le":
        return laplacian_eigenmap(weights, n_components)
    return diffusion_map(weights, n_components, alpha=alpha, diffusion_time=diffusion_time)


def diffusion_map(
    affinity: Array, n_components: int = 10, *, alpha: float = 0.5, diffusion_time: float = 0.0
) -> Embedding:
    """Embed voxels by the diffusion map of their affinity.

    Parameters
    ----------
    affinity : (n_voxels, n_voxels) float32 or float64
        Symmetric, not negative, connected; its diagonal counts. Not modified.
    n_components : int
        How many, at most n_voxels − 2.
    alpha : float
        Anisotropy, 0 <= alpha <= 1.
    diffusion_time : float
        Steps of the random walk; 0 sums over all of them.

    Returns
    -------
    Embedding
        `lambdas` as BrainSpace reports them: λ/(1−λ) at time 0, λ^t otherwise.

    Raises
    ------
    NumericsError
        Affinity not an array of numbers, square, finite, symmetric or connected; negative entries; rows without
        weight; too few voxels; a diffusion time so long that a component's λ^t is below 1e-30.
    UsageError
        n_components, alpha or diffusion_time out of range.

    Warns
    -----
    EigengapWarning
        Where an eigenvalue is closer than 1e-4 of its size to the next: only the subspace is then meaningful.

    Notes
    -----
    Coifman and Lafon 2006, doi:10.1016/j.acha.2006.04.006. With d = Σ A, W = A / (dᵢ^α dⱼ^α) and D = Σ W, the
    eigenvectors u of the symmetric D^-½ W D^-½ give ψ = D^-½ u, divided by the constant first one; the components
    are λ/(1−λ) ψ or λ^t ψ, in descending order of λ, with the sign of `fix_signs`. Solved in float64.
    Differs from BrainSpace in: the symmetric problem is solved exactly and without a random start (BrainSpace gives
    the non-symmetric D⁻¹W to a symmetric solver, which moves λ by some tenths of a percent and the maps with the
    seed); the algebraically largest λ are taken, not the largest in magnitude; a disconnected graph is an error.
    """
    require_between("alpha", alpha, 0, 1, ends="[]")
    require_between("diffusion_time", diffusion_time, 0, math.inf, ends="[)")
    weights = checked_graph(affinity, n_components)
    operator, root_degree = symmetric_operator(weights, alpha=alpha)
    values, vectors = leading_eigenpairs(operator, n_components + 2)
    lambdas = _diffused(values[1:-1], diffusion_time, n_voxels=len(operator))
    first = root_degree / get_namespace(operator).linalg.norm(root_degree)
    maps = vectors[:, 1:-1] / first[:, None]
    return _embedding(weights, maps * like(lambdas, maps), lambdas, values, operator, trivial=1)


def laplacian_eigenmap(affinity: Array, n_components: int = 10) -> Embedding:
    """Embed voxels by the eigenvectors of the normalised graph Laplacian of their affinity.

    Parameters
    ----------
    affinity : (n_voxels, n_voxels) float32 or float64
        Symmetric, not negative, connected; its diagonal is ignored. Not modified.
    n_components : int
        How many, at most n_voxels − 2.

    Returns
    -------
    Embedding
        `lambdas` ascending from the smallest that is not zero, as BrainSpace and congrads report them; gradients with
        y' D y = 1. `gaps` and `explained` belong to the solved operator, whose eigenvalues are 1 − λ.

    Raises
    ------
    NumericsError
        As `diffusion_map`.

    Warns
    -----
    EigengapWarning
        As `diffusion_map`.

    Notes
    -----
    Belkin and Niyogi 2003, doi:10.1162/089976603321780317: (D − W) y = λ D y, where W is the affinity without its
    diagonal and D = Σ W; the constant y is dropped. Solved as the largest eigenvalues of D^-½ W D^-½ in float64.
    Differs from BrainSpace in: no shift-invert, no random start; a disconnected graph is an error.
    """
    weights = checked_graph(affinity, n_components)
    operator, root_degree = symmetric_operator(weights, self_loops=False)
    values, vectors = leading_eigenpairs(operator, n_components + 2)
    maps = vectors[:, 1:-1] / root_degree[:, None]
    return _embedding(weights, maps, 1 - values[1:-1], values, operator, trivial=1)


def principal_components(affinity: Array, n_components: int = 10) -> Embedding:
    """Embed voxels by the principal components of the rows of their affinity.

    Parameters
    ----------
    affinity : (n_voxels, n_voxels) float32 or float64
        Symmetric; may be negative. Not modified.
    n_components : int
        How many, at most n_voxels − 2.

    Returns
    -------
    Embedding
        Gradients are scores (left singular vector × singular value of the affinity with its column means removed);
        `lambdas` are the variances of the scores, s²/(n_voxels − 1), as BrainSpace reports them.

    Raises
    ------
    NumericsError
        Affinity not square, finite or symmetric; too few voxels; no variance between rows.

    Warns
    -----
    EigengapWarning
        As `diffusion_map`.

    Notes
    -----
    With X = A − 1·mean(A), the eigenpairs (s², u) of X X' are solved for in float64. Differs from BrainSpace in: exact
    (scikit-learn's PCA there turns to a randomised solver above 500 voxels).
    """
    weights = checked_affinity(affinity, n_components)
    namespace = get_namespace(weights)
    centred = weights.astype(namespace.float64)
    centred -= centred.mean(axis=0)
    scatter = centred @ centred.T
    if float(namespace.trace(scatter)) <= 0:
        raise NumericsError("the rows of the affinity are all equal, so there are no principal components")
    values, vectors = leading_eigenpairs(scatter, n_components + 1)
    leading = np.maximum(values[:-1], 0.0)
    scores = vectors[:, :-1] * like(np.sqrt(leading), vectors)
    return _embedding(weights, scores, leading / (len(scatter) - 1), values, scatter, trivial=0)


def _diffused(values: NDArray[np.float64], time: float, *, n_voxels: int) -> NDArray[np.float64]:
    """λ/(1−λ), the sum over all times, at time 0; λ^t otherwise."""
    if time == 0:
        if 1 - values[0] <= n_voxels * np.finfo(float).eps:
            raise NumericsError("the affinity graph is connected by rounding errors only: a second eigenvalue is 1")
        return values / (1 - values)
    if values[-1] < 0 and time != int(time):
        raise NumericsError(
            f"component {int((values >= 0).sum()) + 1} has a negative eigenvalue, which has no power {time}",
            remedy="use a whole diffusion time, or fewer components",
        )
    logs = time * np.log(np.maximum(np.abs(values), np.finfo(float).tiny))
    if logs.min() < math.log(LEAST_POWER):
        first = int(np.argmax(logs < math.log(LEAST_POWER)))
        raise NumericsError(
            f"after diffusion time {time:g}, component {first + 1} (λ = {values[first]:.3g}) has less than "
            f"{LEAST_POWER:g} of its size left",
            remedy="choose a shorter diffusion time" + (", or fewer components" if first else ""),
        )
    return values**time


def _embedding(
    weights: Array,
    maps: Array,
    lambdas: NDArray[np.float64],
    values: NDArray[np.float64],
    operator: Array,
    *,
    trivial: int,
) -> Embedding:
    """Put signs on the maps and describe the spectrum they come from: `trivial` leading ones dropped, one spare."""
    namespace = get_namespace(operator)
    kept = values[trivial:-1]
    gaps = relative_gaps(values, n_voxels=len(operator))[trivial:-1]
    warn_where_close(gaps)
    total = float(namespace.vdot(operator, operator)) - float((values[:trivial] ** 2).sum())
    gradients = fix_signs(maps).astype(weights.dtype)
    if not bool(namespace.isfinite(gradients).all()):
        raise NumericsError(f"gradients leave the range of {weights.dtype}: some voxels have next to no weight")
    return Embedding(gradients=gradients, lambdas=lambdas, gaps=gaps, explained=kept**2 / total)
