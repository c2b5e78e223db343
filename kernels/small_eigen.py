"""Leading eigenpairs of many small symmetric problems that are close to diagonal ones."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch, shared_limit
from thalgpu.kernels._namespace import Array, get_namespace, is_device, to_host
from thalgpu.kernels._stacks import require_solved

TOLERANCE = 5e-5
"""Largest accepted ‖A y − λ M y‖ / λ of a pair: what float32 products can reach."""
MAX_ITERATIONS = 30
LEAST_DISTANCE = 0.3
"""Eigenvalues closer than this part of themselves to a diagonal entry count as this far from it, so that no step is
larger than its direction is worth."""
_CHUNK = 8
"""Matrices worked on together, so that they stay in the cache."""

LARGEST_BLOCK = 64
"""Most vectors that are iterated together on a device."""
LARGEST_PENCIL = 128
"""Most rows of a problem of `ritz_pairs` on a device."""
_ROTATIONS, _GROUP = 128, 8
"""Numbers that rotations need beside the matrices; vectors that a thread multiplies at once."""
_MOST_WARPS = 8
_A_LAUNCH = 1024
"""Problems solved at once, so that what does not fit into shared memory takes little room elsewhere."""


def small_eigen(
    matrices: Array,
    metrics: Array | None,
    n_wanted: int,
    n_block: int,
    /,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[Array, Array, Array]:
    """Find the leading pairs of A y = λ M y for each of many matrices, starting from the first unit vectors.

    Parameters
    ----------
    matrices : (batch, r, r) float32 or float64
        Symmetric A, in coordinates in which it is close to a diagonal matrix with descending entries. Not modified.
    metrics : (batch, r, r), same dtype, or None
        Symmetric positive M close to the identity; None for the identity.
    n_wanted : int
        Pairs that must converge.
    n_block : int
        Vectors that are iterated together, n_wanted <= n_block <= r; spare ones speed up the last of those wanted.
        On a device at most 64.
    tolerance : float
        Largest accepted ‖A y − λ M y‖ / λ.
    max_iterations : int
        Where iterations end, converged or not: the residuals tell.

    Returns
    -------
    values : (batch, n_block) float64
        Descending Ritz values.
    vectors : (batch, r, n_block), dtype of `matrices`
        Y' M Y = 1 to rounding.
    residuals : (batch, n_block) float64
        ‖A y − λ M y‖ / |λ| of the pairs returned.

    Raises
    ------
    NumericsError
        Shapes that do not fit; a matrix that is not finite, or a metric that is not positive.

    Notes
    -----
    Block Davidson's method (1975, doi:10.1016/0021-9991(75)90065-0) without growth: each round solves the problem
    inside the block (Rayleigh–Ritz, float64), and moves each vector by its residual over the distance of its value
    from the diagonal, along the unit vectors outside of the block. Each matrix is worked on by itself, and leaves when
    its wanted pairs have converged: its bits do not depend on the others in the batch. On a device one block a matrix
    does the same, and Jacobi's method solves the problem inside the block: pairs agree as their residuals allow, to
    ‖r‖² in the values and ‖r‖ over the gap in the vectors, whose signs are free.
    """
    _check_shapes(matrices, metrics, n_wanted, n_block)
    solve = _on_device if is_device(matrices) else _on_host
    return solve(matrices, metrics, n_wanted, n_block, tolerance, max_iterations)


def _on_host(
    matrices: Array, metrics: Array | None, n_wanted: int, n_block: int, tolerance: float, max_iterations: int
) -> tuple[Array, Array, Array]:
    batch, r, _ = matrices.shape
    values, residuals = np.empty((batch, n_block)), np.empty((batch, n_block))
    vectors = np.empty((batch, r, n_block), dtype=matrices.dtype)
    for start in range(0, batch, _CHUNK):
        part = slice(start, start + _CHUNK)
        metric = None if metrics is None else metrics[part]
        chunk = _iterated(matrices[part], metric, n_wanted, n_block, tolerance, max_iterations)
        values[part], vectors[part], residuals[part] = chunk
    return values, vectors, residuals


def _iterated(
    matrices: Array, metrics: Array | None, n_wanted: int, n_block: int, tolerance: float, max_iterations: int
) -> tuple[Array, Array, Array]:
    """A few matrices, which stay in the cache."""
    batch, r, dtype = len(matrices), matrices.shape[1], matrices.dtype
    done = np.empty((batch, n_block)), np.empty((batch, r, n_block), dtype), np.empty((batch, n_block))
    which = np.arange(batch)
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)[:, n_block:, None]
    if metrics is not None:
        diagonal = diagonal / np.diagonal(metrics, axis1=1, axis2=2)[:, n_block:, None]
    current = np.zeros((batch, r, n_block), dtype)
    current[:, np.arange(n_block), np.arange(n_block)] = 1
    for iteration in range(max_iterations + 1):
        image = matrices @ current if iteration else matrices[:, :, :n_block]  # of unit vectors
        weighted = current
        if metrics is not None:
            weighted = metrics @ current if iteration else metrics[:, :, :n_block]
        ritz, turn = ritz_pairs(_gram(current, image), _gram(current, weighted))
        turn = turn.astype(dtype)
        current = current @ turn
        residual = image @ turn
        goal = ritz[:, None, :].astype(dtype)
        residual -= goal * (weighted @ turn)
        sizes = np.linalg.norm(residual, axis=1) / np.abs(ritz)
        stays = sizes[:, :n_wanted].max(axis=1) > tolerance
        if iteration == max_iterations:
            stays[:] = False
        if not stays.all():
            for place, found in zip(done, (ritz, current, sizes), strict=True):
                place[which[~stays]] = found[~stays]
            if not stays.any():
                break
            which, current, residual, goal = which[stays], current[stays], residual[stays], goal[stays]
            matrices, diagonal = matrices[stays], diagonal[stays]
            metrics = None if metrics is None else metrics[stays]
        current[:, n_block:] += residual[:, n_block:] / np.maximum(goal - diagonal, LEAST_DISTANCE * np.abs(goal))
    return done


def _on_device(
    matrices: Array, metrics: Array | None, n_wanted: int, n_block: int, tolerance: float, max_iterations: int
) -> tuple[Array, Array, Array]:
    if n_block > LARGEST_BLOCK:
        raise NumericsError(f"a device iterates at most {LARGEST_BLOCK} vectors together, not {n_block}")
    xp = get_namespace(matrices)
    batch, r, _ = matrices.shape
    matrices = xp.ascontiguousarray(matrices)
    metrics_given = matrices if metrics is None else xp.ascontiguousarray(metrics)
    values, residuals = xp.empty((batch, n_block), np.float64), xp.empty((batch, n_block), np.float64)
    vectors, status = xp.empty((batch, r, n_block), matrices.dtype), xp.empty(batch, np.int32)
    n_groups = -(-n_block // _GROUP)
    n_spaces = 2 if metrics is None else 3  # vectors, images, and what the metric makes of vectors
    space = -(-n_spaces * r * (n_groups * _GROUP + 1) * matrices.itemsize // 8)
    numbers = _pencil_numbers(n_block), space
    n_kept = sum(8 * sum(numbers[: kept + 1]) <= shared_limit(xp) for kept in range(2))
    n_elsewhere = sum(numbers[n_kept:])
    work = xp.empty((min(batch, _A_LAUNCH), n_elsewhere), np.float64)
    for start in range(0, batch, _A_LAUNCH):
        part = slice(start, start + _A_LAUNCH)
        launch(
            "small_eigen",
            f"small_eigen_f{8 * matrices.itemsize}",
            grid=len(status[part]),
            block=32 * min(_MOST_WARPS, -(-r * n_groups // 32)),
            args=(
                *(matrices[part], metrics_given[part], values[part], vectors[part], residuals[part], status[part]),
                *(work, np.int64(n_elsewhere), np.float64(tolerance)),
                *int32(r, n_block, n_wanted, max_iterations, n_kept),
                np.bool_(metrics is not None),
            ),
            shared_bytes=8 * sum(numbers[:n_kept]),
        )
    require_solved("matrices", to_host(status))
    return values, vectors, residuals


def _pencil_numbers(m: int) -> int:
    """Numbers of float64 that a problem of m rows takes while it is solved."""
    even = m + m % 2
    return _ROTATIONS + 2 * even * (even + 1) + 2 * m * m + 4 * m


def ritz_pairs(projected: Array, gram: Array, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All pairs of H z = λ G z of each of many small problems: what a subspace holds of an operator.

    Parameters
    ----------
    projected : (batch, m, m) float64
        Symmetric H; on a device m is at most 128.
    gram : (batch, m, m) float64
        Symmetric positive G.

    Returns
    -------
    values : (batch, m) float64
        Descending.
    vectors : (batch, m, m) float64
        Columns with Z' G Z = 1.

    Raises
    ------
    NumericsError
        H or G not finite, or vectors of which G says that they are linearly dependent.

    Notes
    -----
    By Cholesky's triangle of G (Golub and Van Loan 2013, section 8.7), and LAPACK on the host or Jacobi's rotations on
    a device: vectors agree but for their signs, and for the basis inside equal values.
    """
    return (_ritz_on_device if is_device(projected) else _ritz_on_host)(projected, gram)


def _ritz_on_host(projected: Array, gram: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    squares = np.diagonal(gram, axis1=1, axis2=2)
    if not ((squares > 0) & (squares < np.inf)).all() or not np.isfinite(projected).all():
        raise NumericsError("a small eigenvalue problem is not finite, or its metric is not positive")
    root = 1 / np.sqrt(squares)
    try:
        triangle = np.linalg.cholesky(gram * root[:, :, None] * root[:, None, :])
    except np.linalg.LinAlgError as error:
        raise NumericsError("the vectors of a small eigenvalue problem are linearly dependent") from error
    inverse = np.linalg.inv(triangle) * root[:, None, :]
    values, vectors = np.linalg.eigh(inverse @ projected @ inverse.transpose(0, 2, 1))
    return values[:, ::-1].copy(), inverse.transpose(0, 2, 1) @ vectors[:, :, ::-1]


def _ritz_on_device(projected: Array, gram: Array) -> tuple[Array, Array]:
    xp = get_namespace(projected, gram)
    batch, m, _ = projected.shape
    if m > LARGEST_PENCIL:
        raise NumericsError(f"a device solves small problems of at most {LARGEST_PENCIL} rows, not {m}")
    projected, gram = xp.ascontiguousarray(projected), xp.ascontiguousarray(gram)
    values, vectors, status = xp.empty((batch, m)), xp.empty((batch, m, m)), xp.empty(batch, np.int32)
    numbers = _pencil_numbers(m)
    n_elsewhere = 0 if 8 * numbers <= shared_limit(xp) else numbers
    work = xp.empty((min(batch, _A_LAUNCH), n_elsewhere))
    for start in range(0, batch, _A_LAUNCH):
        part = slice(start, start + _A_LAUNCH)
        launch(
            "small_eigen",
            "ritz_pairs_f64",
            grid=len(status[part]),
            block=32 * min(_MOST_WARPS, -(-m // 4)),
            args=(
                *(projected[part], gram[part], values[part], vectors[part], status[part], work),
                *(np.int64(n_elsewhere), *int32(m)),
            ),
            shared_bytes=0 if n_elsewhere else 8 * numbers,
        )
    require_solved("problems", to_host(status))
    return values, vectors


def _gram(left: Array, right: Array) -> NDArray[np.float64]:
    """(batch, m, m) products of two blocks, symmetric."""
    products = left.transpose(0, 2, 1).astype(np.float64) @ right.astype(np.float64)
    return np.asarray((products + products.transpose(0, 2, 1)) / 2)


def _check_shapes(matrices: Array, metrics: Array | None, n_wanted: int, n_block: int) -> None:
    if (
        matrices.ndim != 3
        or matrices.shape[1] != matrices.shape[2]
        or matrices.dtype.name not in ("float32", "float64")
    ):
        raise NumericsError(f"a float32 or float64 stack of square matrices is needed, not {matrices.shape}")
    if metrics is not None and (metrics.shape, metrics.dtype) != (matrices.shape, matrices.dtype):
        raise NumericsError(f"metrics of shape {metrics.shape} do not fit matrices of shape {matrices.shape}")
    if not 1 <= n_wanted <= n_block <= matrices.shape[1]:
        raise NumericsError(f"{n_wanted} of {n_block} pairs asked of matrices with {matrices.shape[1]} rows")
