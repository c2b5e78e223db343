"""Components of many weighted means by iteration on the means themselves, until the residuals are small.

K_w is formed for a batch of weights by one matrix product with the packed stack. The reduced solution is the start.
Each round solves the problem inside a block of vectors U (Rayleigh–Ritz), takes the residuals R = N U − U Λ of the
symmetric operator N = M_w^-½ K_w M_w^-½, and adds T R to the block, where T is (λ − N₀)⁻¹ of the pooled operator in its
own basis (Davidson 1975, doi:10.1016/0021-9991(75)90065-0).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.errors import exact_errors
from thalgpu.engine.comparison.model import Solutions, write_gradients
from thalgpu.engine.comparison.pooled import Pooled, require_positive
from thalgpu.engine.comparison.reduced import SPARE, solve_reduced
from thalgpu.engine.comparison.triangles import order_of, weighted_slabs
from thalgpu.errors import NumericsError
from thalgpu.kernels.small_eigen import ritz_pairs

TOLERANCE = 1e-5
"""Largest accepted angle, in radians, between a vector and the exact one, as its residual and gaps have it."""
Floats: TypeAlias = NDArray[Any]

MAX_ROUNDS = 12
LEAST_SINGLE = 5e-6
"""Tolerance from which on single precision is enough."""
_MOST, _BYTES = 64, 2**30
"""Means held at once, at most."""
_LEAST_DISTANCE = 0.3
"""As in `thalgpu.kernels.small_eigen`."""


def solve_exact(
    stack: NDArray[np.float32],
    pooled: Pooled,
    weights: NDArray[np.float64],
    start: Solutions | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Solutions:
    """Leading components of weighted mean affinities, iterated until each residual is small.

    Parameters
    ----------
    stack : (n_subjects, n (n + 1) / 2) float32
        Affinities as packed upper triangles; read once for every batch.
    pooled : what `pool` made of the same subjects.
    weights : (n_sets, n_subjects) float64
        Each row sums to 1; entries may be negative.
    start : what `solve_reduced` made of the same weights; it is called where this is left out.
    tolerance : float
        Largest accepted error of a vector, see `Notes`.

    Returns
    -------
    Solutions
        With the residuals of the vectors that are returned, and errors that follow from them.

    Raises
    ------
    NumericsError
        Degrees that are not positive, a second eigenvalue of 1, or residuals that stay too large.

    Notes
    -----
    How residuals and errors are related: `thalgpu.engine.comparison.errors.exact_errors`.
    Products and sums are in float32 where the tolerance allows, in float64 below 5e-6.
    """
    n = order_of(stack)
    start = solve_reduced(pooled, weights) if start is None else start
    dtype = _precision(tolerance)
    size = max(1, min(_MOST, _BYTES // (n * (n + 1) // 2 * dtype.itemsize)))
    solutions = Solutions.empty(len(weights), n, pooled.recipe.n_components)
    for first in range(0, len(weights), size):
        batch = weights[first : first + size]
        slabs = weighted_slabs(stack, batch, self_loops=pooled.recipe.self_loops, dtype=dtype)
        for which, one in enumerate(batch):
            place = slice(first + which, first + which + 1)
            _solve(partial(slabs.times, which), pooled, one, start[place], tolerance, solutions[place])
    return solutions


def _solve(
    times: Callable[[Floats], Floats],
    pooled: Pooled,
    weights: NDArray[np.float64],
    start: Solutions,
    tolerance: float,
    solution: Solutions,
) -> None:
    """One set of weights, into its place; `times` multiplies its mean with vectors, in their dtype."""
    k = pooled.recipe.n_components
    dtype = _precision(tolerance)
    degrees = require_positive(weights @ pooled.degrees)
    first = degrees**-pooled.recipe.power
    constant = first.mean()  # its image is known in double: sums of one sign lose digits
    trial = start.vectors[0] / start.roots[0][:, None]
    images = times(np.column_stack([first - constant, trial]).astype(dtype))
    root = np.sqrt(require_positive(images[:, 0] + constant * degrees) / first)
    trivial = root * first
    unit, scale = (trivial / np.linalg.norm(trivial)).astype(dtype), root.astype(dtype)[:, None]
    pooled_vectors = pooled.basis * np.sqrt(pooled.metric).astype(np.float32)[:, None]
    space, image = _without(unit, trial * scale), _without(unit, images[:, 1:] / scale)
    for round_ in range(MAX_ROUNDS + 1):
        lambdas, turn = _ritz(space, image)
        lambdas, turn = lambdas[: k + SPARE], turn[:, : k + SPARE].astype(dtype)
        space, image = space @ turn, image @ turn
        residual = image[:, :k] - space[:, :k] * lambdas[:k].astype(dtype)
        sizes = np.linalg.norm(residual, axis=0)
        errors = exact_errors(sizes[None], lambdas[None])[0]
        if (errors <= tolerance).all():
            break
        if round_ == MAX_ROUNDS:
            raise NumericsError(f"no convergence: errors of {errors.max():.1e} after {MAX_ROUNDS} rounds")
        step = _without(unit, _towards(residual, lambdas[:k], pooled_vectors, pooled))
        for _ in range(2):
            step -= space @ (space.T @ step)
        step /= np.linalg.norm(step, axis=0)
        space = np.column_stack([space, step])
        image = np.column_stack([image, _without(unit, times(step / scale) / scale)])
    solution.lambdas[0], solution.vectors[0], solution.roots[0] = lambdas[:k], space[:, :k], root
    solution.totals[0] = (weights @ pooled.diagonals / root**2).sum() - 1
    solution.errors[0], solution.residuals[0] = errors, sizes / np.abs(lambdas[:k])
    write_gradients(solution, trivial[None], pooled.recipe)


def _precision(tolerance: float) -> np.dtype[Any]:
    return np.dtype(np.float32 if tolerance >= LEAST_SINGLE else np.float64)


def _ritz(space: Floats, image: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the space holds of the operator: values, descending, and the turn to its Ritz vectors."""
    projected, gram = (space.T @ image).astype(np.float64), (space.T @ space).astype(np.float64)
    values, turn = ritz_pairs(((projected + projected.T) / 2)[None], gram[None])
    return values[0], turn[0]


def _towards(residual: Floats, lambdas: NDArray[np.float64], vectors: NDArray[np.float32], pooled: Pooled) -> Floats:
    """(λ − N₀)⁻¹ R: by eigenvalue in the pooled basis, by their mean outside of it."""
    distance = lambdas - pooled.lambdas[:, None]
    distance = np.copysign(np.maximum(np.abs(distance), _LEAST_DISTANCE * np.abs(lambdas)), distance)
    outside = 1 / (lambdas - pooled.tail)
    inside = (vectors.T @ residual.astype(np.float32)) * (1 / distance - outside).astype(np.float32)
    step: Floats = residual * outside.astype(residual.dtype) + vectors @ inside
    return step


def _without(unit: Floats, vectors: Floats) -> Floats:
    """The vectors, in place, less their part along a unit vector."""
    vectors -= unit[:, None] * (unit @ vectors)
    return vectors
