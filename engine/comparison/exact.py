"""Components of many weighted means by iteration on the means themselves, until the residuals are small.

The reduced solution is the start. Each round solves the problem inside a block of vectors U (Rayleigh–Ritz), takes the
residuals R = N U − U Λ of the symmetric operator N = M_w^-½ K_w M_w^-½, and adds T R to the block, where T is
(λ − N₀)⁻¹ of the pooled operator in its own basis (Davidson 1975, doi:10.1016/0021-9991(75)90065-0). The last T R is
added without a product of its own. Most means need a single round, for which rows of K_w are used up as they are
formed; for those that need more K_w is formed again, and kept.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.errors import checked_errors, tail_spread
from thalgpu.engine.comparison.model import Solutions, write_gradients
from thalgpu.engine.comparison.pooled import Pooled, require_positive
from thalgpu.engine.comparison.reduced import SPARE, solve_reduced
from thalgpu.engine.comparison.rounds import ROUNDING, STORED, corrected, first_round, towards
from thalgpu.engine.comparison.triangles import empty_slabs, fill_slabs, order_of
from thalgpu.errors import NumericsError
from thalgpu.kernels.small_eigen import ritz_pairs

TOLERANCE, FINE = 1e-4, 1e-7
"""Largest accepted angle, in radians, between a vector and the exact one, as its residual and gaps have it. A hundredth
of the SD of a statistic under permutation is some ten times that; the fine one is for means that cost nothing."""
SMALL = 512
"""Rows of means that cost nothing."""
Floats: TypeAlias = NDArray[Any]

MAX_ROUNDS = 200
"""Smooth affinities take a few; where eigenvalues lie in the noise of rough ones, some thirty."""
LEAST_SINGLE = 1e-5
"""Tolerance from which on single precision is enough."""
MARGIN = 1.25
"""What calibrated errors are larger than the largest that was seen: those of one component differ by a fifth."""
_SHIFTS = (0.0, 0.25, 0.5)
"""Places of μ between the mean of the eigenvalues outside of the basis and the largest that are tried."""
_MOST, _BYTES = 64, 2**30
"""Means held at once, at most."""


def solve_exact(
    stack: NDArray[np.float32],
    pooled: Pooled,
    weights: NDArray[np.float64],
    start: Solutions | None = None,
    *,
    tolerance: float | NDArray[np.float64] | None = None,
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
    tolerance : float or (n_components,), optional
        Largest accepted error of a vector, see `Notes`; `TOLERANCE` where it is left out, and `FINE` up to 512 voxels.

    Returns
    -------
    Solutions
        With the residuals of the vectors before the last step: larger than those of the ones returned.

    Raises
    ------
    NumericsError
        Degrees that are not positive, a second eigenvalue of 1, or residuals that stay too large.

    Notes
    -----
    How residuals and errors are related: `thalgpu.engine.comparison.errors.checked_errors`.
    Products and sums are in float32 where the tolerance allows, in float64 below 1e-5.
    """
    n = order_of(stack)
    if tolerance is None:
        tolerance = FINE if n <= SMALL else TOLERANCE
    start = solve_reduced(pooled, weights) if start is None else start
    dtype = _precision(tolerance)
    inside = pooled.basis * np.sqrt(pooled.metric).astype(np.float32)[:, None]
    if dtype == np.float32:
        solutions = first_round(stack, pooled, inside, weights, start)
        left = np.flatnonzero((solutions.errors > tolerance).any(axis=1))
        start = solutions
    else:
        solutions, left = Solutions.empty(len(weights), n, pooled.recipe.n_components, dtype), np.arange(len(weights))
    size = max(1, min(_MOST, _BYTES // (n * (n + 1) // 2 * dtype.itemsize)))
    slabs = empty_slabs(min(size, len(left)), n, dtype)
    for first in range(0, len(left), size):
        batch = left[first : first + size]
        fill_slabs(slabs, stack, weights[batch], self_loops=pooled.recipe.self_loops)
        for which, number in enumerate(batch):
            place = slice(number, number + 1)
            _solve(
                partial(slabs.times, which), pooled, inside, weights[number], start[place], tolerance, solutions[place]
            )
    return solutions


def calibrated(stack: NDArray[np.float32], pooled: Pooled, weights: NDArray[np.float64]) -> Pooled:
    """Fit the reduced path, and its estimated errors, to the exact solutions of some means.

    Parameters
    ----------
    stack, pooled : of the same subjects.
    weights : (n_sets, n_subjects) float64
        A dozen sets or more, like those to come.

    Returns
    -------
    Pooled
        With the μ, in place of the mean of the eigenvalues outside of the basis, that leaves the smallest errors: what
        means differ by lies more in the directions of larger eigenvalues. And with a `caution` of `MARGIN` times the
        largest ratio of a true error to its estimate, 1 at most: never more daring than what was seen, and never more
        cautious than without.

    Notes
    -----
    A vector's error is linear in μ to first order, so a parabola through three of them has the smallest square.
    """
    pooled = replace(pooled, caution=1.0)
    reduced = solve_reduced(pooled, weights)
    exact = solve_exact(stack, pooled, weights, reduced)
    tried = [replace(pooled, tail=pooled.tail + part * (pooled.lambdas[-1] - pooled.tail)) for part in _SHIFTS]
    found = np.array([_angles(solve_reduced(one, weights), exact) for one in tried])
    squares = ((found / np.maximum(found[0], STORED)) ** 2).mean(axis=(1, 2))
    curve, slope, _ = np.polyfit(_SHIFTS, squares, 2)
    best = float(np.clip(-slope / (2 * curve), 0, _SHIFTS[-1])) if curve > 0 else 0.0
    fitted = replace(pooled, tail=float(pooled.tail + best * (pooled.lambdas[-1] - pooled.tail)))
    reduced = solve_reduced(fitted, weights)
    known = reduced.errors > 3 * exact.errors
    ratios = np.where(known, _angles(reduced, exact) / reduced.errors, 0)
    return replace(fitted, caution=min(1.0, MARGIN * float(ratios.max(initial=0.0))) if known.any() else 1.0)


def _angles(reduced: Solutions, exact: Solutions) -> NDArray[np.float64]:
    """(n_sets, n_components) between the vectors of both."""
    signs = np.sign((reduced.vectors * exact.vectors).sum(axis=1))
    return np.asarray(np.linalg.norm(reduced.vectors * signs[:, None] - exact.vectors, axis=1), dtype=np.float64)


def _solve(
    times: Callable[[Floats], Floats],
    pooled: Pooled,
    inside: NDArray[np.float32],
    weights: NDArray[np.float64],
    start: Solutions,
    tolerance: float | NDArray[np.float64],
    solution: Solutions,
) -> None:
    """One set of weights, into its place.

    `times` multiplies the mean with vectors, in their dtype; `inside` are the pooled eigenvectors, orthonormal.
    """
    k, dtype = pooled.recipe.n_components, _precision(tolerance)
    degrees = require_positive(weights @ pooled.degrees)
    first = degrees**-pooled.recipe.power
    constant = first.mean()  # its image is known in double: sums of one sign lose digits
    spare = pooled.basis[:, k + 1 : k + 1 + SPARE]
    trial = np.column_stack([first - constant, start.vectors[0] / start.roots[0][:, None], spare]).astype(dtype)
    images = times(trial)
    root = np.sqrt(require_positive(images[:, 0] + constant * degrees) / first)
    trivial = root * first
    unit, scale = (trivial / np.linalg.norm(trivial)).astype(dtype), root.astype(dtype)[:, None]
    spread = pooled.caution * tail_spread(weights[None], pooled.lambdas[-1], pooled.tail)
    space, image = _without(unit, trial[:, 1:] * scale), _without(unit, images[:, 1:] / scale)
    for _ in range(MAX_ROUNDS):
        lambdas, space, image = _ritz(space, image, k + SPARE)
        residual = image - space * lambdas.astype(dtype)
        steps, within, without = towards(residual[None], lambdas[None], inside, pooled)
        step, errors = steps[0], checked_errors(within, without, lambdas[None], pooled.tail, spread)[0, :k]
        if (errors <= tolerance).all():
            break
        step = _without(unit, step)
        for _ in range(2):
            step -= space @ (space.T @ step)
        step /= np.linalg.norm(step, axis=0)
        space = np.column_stack([space, step])
        image = np.column_stack([image, _without(unit, times(step / scale) / scale)])
    else:
        raise NumericsError(f"no convergence: errors of {errors.max():.1e} after {MAX_ROUNDS} rounds")
    (found,), (turn,) = corrected(lambdas[None], residual[None], step[None])
    solution.lambdas[0], solution.roots[0] = found[:k], root
    solution.vectors[0] = _without(unit, (space + step) @ turn[:, :k].astype(dtype))
    solution.totals[0] = (weights @ pooled.diagonals / root**2).sum() - 1
    solution.errors[0] = np.hypot(errors, STORED + ROUNDING * float(np.finfo(dtype).eps))
    solution.residuals[0] = np.linalg.norm(residual[:, :k], axis=0) / np.abs(lambdas[:k])
    write_gradients(solution, trivial[None], pooled.recipe)


def _precision(tolerance: float | NDArray[np.float64]) -> np.dtype[Any]:
    return np.dtype(np.float32 if np.min(tolerance) >= LEAST_SINGLE else np.float64)


def _ritz(space: Floats, image: Floats, most: int) -> tuple[NDArray[np.float64], Floats, Floats]:
    """What a space holds of the operator: values, descending, Ritz vectors and their images."""
    projected, gram = (space.T @ image).astype(np.float64), (space.T @ space).astype(np.float64)
    values, turn = ritz_pairs(((projected + projected.T) / 2)[None], gram[None])
    leading = turn[0, :, :most].astype(space.dtype)
    return values[0, :most], space @ leading, image @ leading


def _without(unit: Floats, vectors: Floats) -> Floats:
    """The vectors, in place, less their part along a unit vector."""
    vectors -= unit[:, None] * (unit @ vectors)
    return vectors
