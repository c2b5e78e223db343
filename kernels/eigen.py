"""Leading eigenpairs of a dense symmetric matrix: exact, without a random start, mostly matrix products."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace, like, to_host

Pairs: TypeAlias = tuple[NDArray[np.float64], Array]

DENSE_UP_TO = 256
"""Orders up to which LAPACK's full solution is as fast."""
BLOCK_MULTIPLE = 4
"""A block has as many vectors as are asked for, rounded up to what a product takes in one go."""
BASIS_BLOCKS = 12
"""Blocks in the basis before it is compressed to half of them."""
INDEPENDENT = 1e-3
"""Least ratio of the smallest to the largest new direction at which a Cholesky factor is as good as reflections."""
MAX_PRODUCTS = 150
"""Block products after which the full solution is cheaper."""


def leading_eigenpairs(operator: Array, n_pairs: int, *, tolerance: float = 1e-10) -> Pairs:
    """Find the algebraically largest eigenvalues of a symmetric matrix and their vectors.

    Parameters
    ----------
    operator : (n, n) float64
        Symmetric (not checked); other real types are converted. Not modified.
    n_pairs : int
        How many, 1 <= n_pairs <= n.
    tolerance : float
        Largest accepted ‖A v − λ v‖ / |λ|, where |λ| is the largest of the eigenvalues found; rounding errors of the
        product itself, n · 2e-16 · ‖A‖, are accepted in any case.

    Returns
    -------
    values : (n_pairs,) float64
        Descending, on the host.
    vectors : (n, n_pairs) float64
        Orthonormal columns, where `operator` lives. Signs, and the basis inside a multiple eigenvalue, are arbitrary
        but the same in every run.

    Raises
    ------
    NumericsError
        The matrix is not square, has entries that are not finite, or has fewer than `n_pairs` rows.

    Notes
    -----
    Small matrices go to LAPACK (or cuSOLVER). Large ones to block Lanczos with full reorthogonalisation and thick
    restart (Wu and Simon 2000, doi:10.1137/S0895479898334605; blocks as in Golub and Underwood 1977). The start block
    is a fixed table of Philox bits, no narrower than `n_pairs`, so that a multiple eigenvalue is found as often as it
    occurs; the result does not depend on any seed. Residuals are computed anew from the final vectors; where one is too
    large the full solution is returned instead.
    """
    namespace = get_namespace(operator)
    n = _checked_order(operator, n_pairs)
    operator = namespace.asarray(operator, dtype=namespace.float64)
    block = BLOCK_MULTIPLE * -(-n_pairs // BLOCK_MULTIPLE)
    if n > max(DENSE_UP_TO, 2 * BASIS_BLOCKS * block):
        found = _block_lanczos(operator, n_pairs, block, tolerance)
        if found is not None:
            return found
    _require_finite(operator)
    values, vectors = namespace.linalg.eigh(operator)
    return to_host(values)[: -n_pairs - 1 : -1].copy(), namespace.ascontiguousarray(vectors[:, : -n_pairs - 1 : -1])


def _checked_order(operator: Array, n_pairs: int) -> int:
    if operator.ndim != 2 or operator.shape[0] != operator.shape[1]:
        raise NumericsError(f"eigenvalues need a square matrix, not one of shape {operator.shape}")
    n = len(operator)
    if not 1 <= n_pairs <= n:
        raise NumericsError(f"{n_pairs} eigenpairs asked of a matrix with {n} rows")
    return n


def _require_finite(matrix: Array) -> None:
    if not bool(get_namespace(matrix).isfinite(matrix).all()):
        raise NumericsError("the matrix to decompose has entries that are not finite")


def _block_lanczos(operator: Array, n_pairs: int, block: int, tolerance: float) -> Pairs | None:
    """Grow an orthonormal basis by products with the operator until its Ritz pairs solve A v = λ v, or give up (None).

    Basis vectors are ROWS, so that each product is (block × n)(n × n) on contiguous memory: twice as fast as columns.
    The projected matrix is small and stays on the host. NaN or infinity anywhere shows in the first product.
    """
    namespace = get_namespace(operator)
    capacity = BASIS_BLOCKS * block
    basis = namespace.empty((capacity, operator.shape[0]), dtype=namespace.float64)
    projected = np.zeros((capacity, capacity))
    newest, _ = _orthonormal_rows(_start_block(operator, block))
    old, size = 0, block
    for _ in range(MAX_PRODUCTS):
        basis[old:size] = newest
        with np.errstate(invalid="ignore", over="ignore"):  # such entries have a message of their own
            image = newest @ operator
        if old == 0:
            _require_finite(image)
        newest, coefficients, leftover = _expand(basis[:size], image)
        projected[:size, old:size] = coefficients
        projected[old:size, :size] = coefficients.T

        ritz_values, ritz_vectors = np.linalg.eigh(projected[:size, :size])
        ritz_values, ritz_vectors = ritz_values[::-1], ritz_vectors[:, ::-1]
        estimates = np.linalg.norm(leftover @ ritz_vectors[old:size, :n_pairs], axis=0)
        rounding = operator.shape[0] * np.finfo(float).eps * np.abs(ritz_values).max()
        accepted = max(tolerance * np.abs(ritz_values[:n_pairs]).max(), rounding)
        if estimates.max() <= accepted:
            vectors = like(ritz_vectors[:, :n_pairs].T.copy(), operator) @ basis[:size]
            return _verified(operator, ritz_values[:n_pairs].copy(), vectors, accepted)

        if size + block > capacity:
            size = capacity // 2
            basis[:size] = like(ritz_vectors[:, :size].T.copy(), operator) @ basis
            projected[:] = 0
            np.fill_diagonal(projected[:size, :size], ritz_values[:size])
        old, size = size, size + block
    return None


def _start_block(operator: Array, block: int) -> Array:
    """A fixed table of numbers between −1/2 and 1/2: Philox's bits are the same in every version of NumPy."""
    n = operator.shape[0]
    bits = np.random.Philox(key=0).random_raw(block * n) >> np.uint64(11)
    return like(bits.reshape(block, n) * 2.0**-53 - 0.5, operator)


def _expand(basis: Array, image: Array) -> tuple[Array, NDArray[np.float64], NDArray[np.float64]]:
    """Split A v of the newest vectors into what the basis holds, and new orthonormal rows times a small matrix.

    Twice, because what is left after one subtraction can be small and then carries rounding errors along the basis.
    """
    coefficients = basis @ image.T
    rows, first = _orthonormal_rows(image - coefficients.T @ basis)
    rows, second = _orthonormal_rows(rows - (rows @ basis.T) @ basis)
    return rows, to_host(coefficients), second @ first


def _orthonormal_rows(rows: Array) -> tuple[Array, NDArray[np.float64]]:
    """Q with orthonormal rows and R with rows' = Q' R; complete also where the rows are linearly dependent.

    By the Cholesky factor of their products (Yamamoto et al. 2015, doi:10.1553/etna_vol44s306), three times as fast as
    Householder's reflections, which stand in where the rows are close to dependent. Rows that are not quite orthonormal
    after one call are after the second, which `_expand` makes.
    """
    namespace = get_namespace(rows)
    products = to_host(rows @ rows.T)
    try:
        triangle = np.linalg.cholesky(products)
    except np.linalg.LinAlgError:
        triangle = np.zeros_like(products)
    sizes = np.diagonal(triangle)
    if sizes.min() > INDEPENDENT * sizes.max():
        return like(np.linalg.inv(triangle), rows) @ rows, triangle.T
    columns, triangle = namespace.linalg.qr(rows.T)
    return namespace.ascontiguousarray(columns.T), to_host(triangle)


def _verified(operator: Array, values: NDArray[np.float64], vectors: Array, accepted: float) -> Pairs | None:
    """The pairs (vectors as columns) when their residuals, computed anew, are small; None otherwise."""
    namespace = get_namespace(operator)
    residuals = vectors @ operator - like(values, operator)[:, None] * vectors
    if float(namespace.linalg.norm(residuals, axis=1).max()) > accepted:
        return None
    return values, namespace.ascontiguousarray(vectors.T)
