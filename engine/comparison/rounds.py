"""A round of iteration for many means at once: Rayleigh–Ritz with what the means make of vectors, and a step."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.errors import checked_errors, tail_spread
from thalgpu.engine.comparison.model import Solutions, write_gradients
from thalgpu.engine.comparison.pooled import Pooled, require_positive
from thalgpu.engine.comparison.products import times_means
from thalgpu.engine.comparison.reduced import each, side_by_side
from thalgpu.kernels.small_eigen import ritz_pairs

Floats: TypeAlias = NDArray[Any]

BATCH = 256
"""Means worked on together, at most; a call is cut into equal, even batches."""
STORED = 1e-7
"""Rounding errors of a vector that is stored in float32."""
ROUNDING = 50
"""Rounding errors of a vector that is iterated, in units of eps."""
_LEAST_DISTANCE = 0.3
"""As in `thalgpu.kernels.small_eigen`."""
_CHUNK = 8
"""Means finished at a time."""


def first_round(
    stack: NDArray[np.float32],
    pooled: Pooled,
    inside: NDArray[np.float32],
    weights: NDArray[np.float64],
    start: Solutions,
) -> Solutions:
    """One product of every mean with its reduced solution, Rayleigh–Ritz, and one step: in single precision.

    Parameters
    ----------
    stack, pooled, weights, start : as of `thalgpu.engine.comparison.exact.solve_exact`.
    inside : (n_voxels, rank) pooled eigenvectors, orthonormal.

    Returns
    -------
    Solutions
        With errors as far as this round brings them, and the residuals of the vectors before the step.
    """
    n_batches = -(-len(weights) // BATCH)
    size = 2 * -(-len(weights) // (2 * n_batches))  # even: pairs of groups stay together
    solutions = Solutions.empty(len(weights), pooled.n_voxels, pooled.recipe.n_components, np.dtype(np.float32))
    for begin in range(0, len(weights), size):
        batch = slice(begin, begin + size)
        degrees = require_positive(weights[batch] @ pooled.degrees)
        first = degrees**-pooled.recipe.power
        constants = first.mean(axis=1, keepdims=True)  # their images are known in double: sums of one sign lose digits
        trial = np.empty((*first.shape, 1 + pooled.recipe.n_components), dtype=np.float32)
        trial[:, :, 0] = first - constants
        np.divide(start.vectors[batch], start.roots[batch][:, :, None], out=trial[:, :, 1:])
        images = times_means(stack, weights[batch], trial, self_loops=pooled.recipe.self_loops)
        for chunk in (slice(low, low + _CHUNK) for low in range(0, len(first), _CHUNK)):
            damped = images[chunk, :, 0] + constants[chunk] * degrees[chunk]
            root = np.sqrt(require_positive(damped) / first[chunk])
            _finish(
                pooled, inside, weights[batch][chunk], trial[chunk], images[chunk], root, root * first[chunk],
                solutions[batch][chunk],
            )  # fmt: skip
    return solutions


def _finish(
    pooled: Pooled,
    inside: NDArray[np.float32],
    weights: NDArray[np.float64],
    trial: NDArray[np.float32],
    images: NDArray[np.float32],
    root: NDArray[np.float64],
    trivial: NDArray[np.float64],
    solutions: Solutions,
) -> None:
    """A few means, into their places: `images` are the products of the means with the trial vectors."""
    k = trial.shape[2] - 1
    columns = np.empty((*root.shape, 1 + 2 * k), dtype=np.float32)
    columns[:, :, 0] = trivial / np.linalg.norm(trivial, axis=1, keepdims=True)
    side_by_side(images, trial, root.astype(np.float32), columns)
    products = (columns.transpose(0, 2, 1) @ columns).astype(np.float64)
    along = products[:, 0, 1:]  # parts along the trivial vector
    products = products[:, 1:, 1:] - along[:, :, None] * along[:, None, :]
    mixed = products[:, k:, :k]
    lambdas, turn = ritz_pairs((mixed + mixed.transpose(0, 2, 1)) / 2, products[:, k:, k:])
    turned = np.zeros((len(root), 1 + 2 * k, 2 * k))
    turned[:, 1 + k :, :k] = turn  # vectors, and their residuals N x − λ x
    turned[:, 1 : 1 + k, k:], turned[:, 1 + k :, k:] = turn, -lambdas[:, None, :] * turn
    turned[:, :1] = -along[:, None, :] @ turned[:, 1:]
    both = columns @ turned.astype(np.float32)
    space, residual = both[:, :, :k], both[:, :, k:]
    step, within, without = towards(residual, lambdas, inside, pooled)
    spread = pooled.caution * tail_spread(weights, pooled.lambdas[-1], pooled.tail)
    errors = checked_errors(within, without, lambdas, pooled.tail, spread)
    unit = columns[:, :, :1]
    step -= unit * (unit.transpose(0, 2, 1) @ step)
    solutions.residuals[:] = np.linalg.norm(residual, axis=1) / np.abs(lambdas)
    solutions.lambdas[:], turn = corrected(lambdas, residual, step)
    np.matmul(space + step, turn.astype(np.float32), out=solutions.vectors)
    solutions.roots[:] = root
    solutions.totals[:] = (weights @ pooled.diagonals / root**2).sum(axis=1) - 1
    solutions.errors[:] = np.hypot(errors, STORED + ROUNDING * float(np.finfo(np.float32).eps))
    write_gradients(solutions, trivial, pooled.recipe)


def towards(
    residual: Floats, lambdas: NDArray[np.float64], inside: NDArray[np.float32], pooled: Pooled
) -> tuple[Floats, NDArray[np.float64], NDArray[np.float64]]:
    """(λ − N₀)⁻¹ R, by eigenvalue in the pooled basis and by their mean outside of it, and how long both parts are.

    Parameters
    ----------
    residual, lambdas : (n_sets, n_voxels, m), (n_sets, m)

    Returns
    -------
    step : (n_sets, n_voxels, m), dtype of the residual.
    within, without : (n_sets, m) float64
    """
    distance = lambdas[:, None, :] - pooled.lambdas[:, None]
    least = _LEAST_DISTANCE * np.abs(lambdas)[:, None, :]
    distance = np.copysign(np.maximum(np.abs(distance), least), distance)
    above = lambdas - pooled.tail
    parts = each(inside.T, residual.astype(np.float32, copy=False))
    step: Floats = each(inside, parts * (1 / distance - 1 / above[:, None, :]).astype(np.float32))
    step = step + residual * (1 / above).astype(residual.dtype)[:, None, :]
    outside = np.einsum("bnk,bnk->bk", residual, residual) - np.einsum("brk,brk->bk", parts, parts)
    within = np.linalg.norm(parts / distance, axis=1)
    return step, within, np.sqrt(np.maximum(outside, 0)) / above


def corrected(
    lambdas: NDArray[np.float64], residual: Floats, step: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rayleigh–Ritz for vectors plus a step T R, with what N makes of the step taken from (λ − N) T R ≈ R."""
    flat = step.transpose(0, 2, 1)
    coupled, square = (flat @ residual).astype(np.float64).transpose(0, 2, 1), (flat @ step).astype(np.float64)
    projected = coupled + lambdas[:, :, None] * (square + np.eye(lambdas.shape[1]))
    metric = (square + square.transpose(0, 2, 1)) / 2 + np.eye(lambdas.shape[1])
    return ritz_pairs((projected + projected.transpose(0, 2, 1)) / 2, metric)
