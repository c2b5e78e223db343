"""Components of weighted means one by one, for embeddings that no weighted sum can stand for."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.model import Recipe, Solutions, write_gradients
from thalgpu.engine.comparison.triangles import order_of, unpacked
from thalgpu.engine.gradients.checks import checked_affinity, checked_graph
from thalgpu.engine.gradients.graph import epsilon_graph
from thalgpu.errors import UsageError
from thalgpu.kernels.eigen import leading_eigenpairs
from thalgpu.kernels.laplacian import symmetric_operator


def solve_direct(stack: NDArray[np.float32], weights: NDArray[np.float64], recipe: Recipe) -> Solutions:
    """Leading components of weighted mean affinities, each formed and embedded as a subject's affinity is.

    Parameters
    ----------
    stack : (n_subjects, n (n + 1) / 2) float32
        Affinities as packed upper triangles; read once for every set of weights.
    weights : (n_sets, n_subjects) float64
        Each row sums to 1.
    recipe : any: what `thalgpu.engine.gradients.embedding.embed` can do.

    Returns
    -------
    Solutions
        Residuals and errors are 0: of the size of the solver's tolerance, 1e-10. For "pca", `lambdas` are the variances
        of the scores, as an embedding reports them, and `totals` their sum.

    Raises
    ------
    NumericsError
        As `embed`, for the mean of that row.
    UsageError
        Principal components of an epsilon graph.
    """
    if recipe.approach == "pca" and recipe.graph == "epsilon":
        raise UsageError("principal components are not defined on an epsilon graph", remedy="use dm or le")
    n = order_of(stack)
    solutions = Solutions.empty(len(weights), n, recipe.n_components, np.dtype(np.float64))
    solutions.errors[:], solutions.residuals[:] = 0, 0
    for which, row in enumerate(weights):
        total = np.zeros(stack.shape[1])
        for weight, packed in zip(row, stack, strict=True):
            if weight:
                total += weight * packed
        mean = unpacked(total, n, self_loops=True)
        one = solutions[which : which + 1]
        if recipe.approach == "pca":
            _principal(mean, one)
        else:
            _diffusion(mean, recipe, one)
    return solutions


def _diffusion(mean: NDArray[np.float64], recipe: Recipe, solution: Solutions) -> None:
    weights = checked_graph(mean, recipe.n_components)
    if recipe.graph == "epsilon":
        weights = epsilon_graph(weights)[0]
    operator, root_degree = symmetric_operator(weights, alpha=recipe.power, self_loops=recipe.self_loops)
    values, vectors = leading_eigenpairs(operator, recipe.n_components + 1)
    solution.lambdas[0], solution.vectors[0] = values[1:], vectors[:, 1:]
    first = 1.0 if recipe.power == 0 else weights.sum(axis=1, dtype=np.float64) ** -recipe.power
    solution.roots[0] = root_degree / first
    solution.totals[0] = np.trace(operator) - 1
    write_gradients(solution, root_degree[None], recipe)


def _principal(mean: NDArray[np.float64], solution: Solutions) -> None:
    """As `thalgpu.engine.gradients.embedding.principal_components`: scores, and their variances."""
    k = solution.lambdas.shape[1]
    centred = checked_affinity(mean, k).copy()
    centred -= centred.mean(axis=0)
    scatter = centred @ centred.T
    values, vectors = leading_eigenpairs(scatter, k)
    values = np.maximum(values, 0)
    solution.lambdas[0], solution.vectors[0], solution.roots[0] = values / (len(scatter) - 1), vectors, 1
    solution.totals[0] = np.trace(scatter) / (len(scatter) - 1)
    solution.gradients[0] = vectors * np.sqrt(values)
