"""Components of many weighted means from the pooled basis and one step out of it: no n × n matrix is formed.

For one set of weights, d = Σ w_s d_s and f = d^-α. A = Q' K_w Q and B ≈ Q' M_w Q are sums over subjects, and
A y = λ B y gives a trial space X = Q y. K_w X = F_w y with F_w = Σ w_s K_s Q is exact. So is the part of K_w f inside
of the basis, F_w c with c = Q' M₀ f; outside of it f changes little, and meets eigenvalues around their mean there, μ.
Hence the metric M_w = K_w f / f.

With C = K_w − μ M_w, the problem (X' C M_w⁻¹ C X) z = λ (X' C X) z is Rayleigh–Ritz for M_w⁻¹ C X in the inner product
of C: half a step of the power method more accurate than X in that of M_w. The vectors returned, M_w⁻¹ C X z, are a
whole step out of the basis: what X lacks there is found but for the spread of the eigenvalues around μ.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.errors import reduced_errors, tail_spread
from thalgpu.engine.comparison.factored import Factored, factored
from thalgpu.engine.comparison.model import Solutions, write_gradients
from thalgpu.engine.comparison.pooled import Pooled, require_positive
from thalgpu.kernels._compiled import compiled
from thalgpu.kernels.small_eigen import ritz_pairs, small_eigen

Floats = NDArray[np.float64]

BATCH = 256
"""Sets of weights worked on together, at most; a call is cut into equal, even batches."""
SPARE = 5
"""Components beyond those wanted."""
_TOLERANCE = 1e-4
"""Residual of the small problems: what they leave over is little beside what a basis lacks, and is in the estimate."""
_PANEL = 4800
"""Entries of one F_w that are formed and used up at a time: those of a batch fit the cache."""
_CHUNK = 8
"""Sets of weights finished at a time."""


@dataclass(frozen=True)
class Block:
    """Approximate components of a chunk of means, spare ones included, in the coordinates of the symmetric operator.

    Attributes
    ----------
    lambdas : (n_sets, m) float64, descending.
    columns, turn : (n_sets, n_voxels, 1 + 2 m) float32 and (n_sets, 1 + 2 m, m) float64, whose product are orthonormal
        vectors.
    trivial : (n_sets, n_voxels) float64: D^½ of the operator, the trivial vector.
    root : (n_sets, n_voxels) float64: M_w^½.
    errors : (n_sets, m) float64, estimated angles to the exact vectors.
    totals : (n_sets,) float64.
    """

    lambdas: NDArray[np.float64]
    columns: NDArray[np.float32]
    turn: NDArray[np.float64]
    trivial: NDArray[np.float64]
    root: NDArray[np.float64]
    errors: NDArray[np.float64]
    totals: NDArray[np.float64]


def solve_reduced(pooled: Pooled, weights: NDArray[np.float64]) -> Solutions:
    """Leading components of weighted mean affinities, from the pooled basis and one step out of it.

    Parameters
    ----------
    pooled : what `pool` made of the subjects.
    weights : (n_sets, n_subjects) float64
        Each row sums to 1; entries may be negative.

    Returns
    -------
    Solutions
        Residuals are infinite: nothing is checked against the means themselves.

    Raises
    ------
    NumericsError
        Degrees that are not positive, or a second eigenvalue of 1.

    Notes
    -----
    The same rows in the same order give the same bits. Products round by the shape of a batch and the place in it:
    a row among others agrees to rounding, some 1e-6 of the maps.
    """
    k = pooled.recipe.n_components
    solutions = Solutions.empty(len(weights), pooled.n_voxels, k, np.dtype(np.float32))
    n_batches = max(1, -(-len(weights) // BATCH))
    size = 2 * -(-len(weights) // (2 * n_batches))  # even: pairs of groups stay together
    for start in range(0, len(weights), size):
        for offset, block in reduced_blocks(pooled, weights[start : start + size]):
            part = solutions[start + offset : start + offset + len(block.lambdas)]
            part.lambdas[:] = block.lambdas[:, :k]
            np.matmul(block.columns, block.turn[:, :, :k].astype(np.float32), out=part.vectors)
            part.roots[:] = block.root
            part.totals[:], part.errors[:], part.residuals[:] = block.totals, block.errors[:, :k], np.inf
            write_gradients(part, block.trivial, pooled.recipe)
    return solutions


def reduced_blocks(pooled: Pooled, weights: NDArray[np.float64]) -> Iterator[tuple[int, Block]]:
    """One batch of at most `BATCH` sets of weights: place of the first of a chunk, and its components, one by one."""
    plan = factored(weights, np.dtype(np.float32))
    degrees = require_positive(weights @ pooled.degrees)
    first = degrees**-pooled.recipe.power
    n_wanted = pooled.recipe.n_components + 1
    _, small, residuals = small_eigen(
        _projected(plan, pooled.projections),
        _projected(plan, pooled.metrics),
        n_wanted,
        min(n_wanted + SPARE, pooled.rank),
        tolerance=_TOLERANCE,
    )
    small[:, :, 0] = (first * pooled.metric).astype(np.float32) @ pooled.basis  # the trivial vector is known better
    images = _images(plan, pooled, small)
    diagonals = weights @ pooled.diagonals
    spread = pooled.caution * tail_spread(weights, pooled.lambdas[-1], pooled.tail)
    for start in range(0, len(weights), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield (
            start,
            _stepped(
                pooled, images[part], small[part], first[part], diagonals[part], residuals[part, 1:], spread[part]
            ),
        )


def _projected(weights: Factored, stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_sets, rank, rank) weighted sums of small matrices."""
    rank = stack.shape[1]
    return weights.sums(stack.reshape(-1, rank * rank)).reshape(-1, rank, rank)


def _images(weights: Factored, pooled: Pooled, small: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_sets, n_voxels, n_block): F_w times the vectors of each set of weights, a panel of voxels at a time."""
    n_voxels, rank = pooled.basis.shape
    step = max(1, _PANEL // rank)
    rows = pooled.images.reshape(-1, n_voxels * rank)
    images = np.empty((weights.n_sets, n_voxels, small.shape[2]), dtype=np.float32)
    for start in range(0, n_voxels, step):
        panel = slice(start, min(start + step, n_voxels))
        sums = weights.sums(rows[:, panel.start * rank : panel.stop * rank])
        np.matmul(sums.reshape(weights.n_sets, -1, rank), small, out=images[:, panel])
    return images


def _stepped(
    pooled: Pooled,
    images: NDArray[np.float32],
    small: NDArray[np.float32],
    first: NDArray[np.float64],
    diagonals: NDArray[np.float64],
    residuals: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> Block:
    """The step out of the basis, and Rayleigh–Ritz in the inner product of C."""
    tail, trial = pooled.tail, each(pooled.basis, small)
    outside = first - trial[:, :, 0]  # the part of f that the basis does not hold
    root = np.sqrt(require_positive(images[:, :, 0] + tail * pooled.metric * outside) / first)
    trivial = root * first
    m = images.shape[2] - 1
    columns = np.empty((*root.shape, 2 * m + 1), dtype=np.float32)
    columns[:, :, 0] = trivial / np.linalg.norm(trivial, axis=1, keepdims=True)
    side_by_side(images, trial, root.astype(np.float32), columns)
    lambdas, turn, sines = stepped_pairs(columns, tail)
    return Block(
        lambdas=lambdas,
        columns=columns,
        turn=turn,
        trivial=trivial,
        root=root,
        errors=reduced_errors(sines, residuals, lambdas, tail, spread),
        totals=(diagonals / root**2).sum(axis=1) - 1,
    )


def stepped_pairs(columns: NDArray[np.float32], tail: float) -> tuple[Floats, Floats, Floats]:
    """Rayleigh–Ritz in the inner product of C, and the step M^-½ C X z, in the coordinates of the symmetric operator.

    Parameters
    ----------
    columns : (n_sets, n_voxels, 1 + 2 m)
        The trivial vector, of norm 1; the images N x of m trial vectors; the trial vectors x.
    tail : μ, so that C = K − μ M.

    Returns
    -------
    lambdas : (n_sets, m), descending.
    turn : (n_sets, 1 + 2 m, m): `columns @ turn` are orthonormal.
    sines : (n_sets, m) of the angles between the trial vectors and those.
    """
    m = columns.shape[2] // 2
    products = (columns.transpose(0, 2, 1) @ columns).astype(np.float64)
    trivial = products[:, 0, 1:]
    products = products[:, 1:, 1:] - trivial[:, :, None] * trivial[:, None, :]
    images, mixed, trial = products[:, :m, :m], products[:, m:, :m], products[:, m:, m:]
    mixed = (mixed + mixed.transpose(0, 2, 1)) / 2
    values, turn = ritz_pairs(images - 2 * tail * mixed + tail**2 * trial, mixed - tail * trial)
    lengths = np.einsum("bij,bij->bj", turn, trial @ turn)
    turn /= np.sqrt(values)[:, None, :]
    turn = np.concatenate([turn, -tail * turn], axis=1)
    turn = np.concatenate([-trivial[:, None, :] @ turn, turn], axis=1)
    return values + tail, turn, np.sqrt(np.maximum(1 - 1 / (values * lengths), 0))


def each(matrix: NDArray[np.float32], blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_sets, rows, m) products of one matrix with (n_sets, columns, m) blocks of vectors, as a single product."""
    n_sets, length, m = blocks.shape
    together = matrix @ np.ascontiguousarray(blocks.transpose(1, 0, 2)).reshape(length, n_sets * m)
    return together.reshape(-1, n_sets, m).transpose(1, 0, 2)


@compiled
def side_by_side(
    images: NDArray[np.float32], trial: NDArray[np.float32], root: NDArray[np.float32], columns: NDArray[np.float32]
) -> None:
    """All columns of `columns` but the first: images over the root, then the trial vectors times it."""
    m = images.shape[2] - 1
    for which in range(images.shape[0]):
        for voxel in range(images.shape[1]):
            scale = root[which, voxel]
            inverse = np.float32(1) / scale
            for i in range(m):
                columns[which, voxel, 1 + i] = images[which, voxel, 1 + i] * inverse
            for i in range(m):
                columns[which, voxel, 1 + m + i] = trial[which, voxel, 1 + i] * scale
