"""Many small orthogonal Procrustes problems at once."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import SHARED_WITHOUT_ASKING, int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device, to_host
from thalgpu.kernels._stacks import as_stack, require_finite_stack, require_solved

LARGEST = 32
"""Most components that are rotated together: one a lane of a warp."""
_MOST_WARPS = 8


def batched_procrustes(products: Array, /) -> Array:
    """Find the rotation that brings each of many sources closest to its target.

    Parameters
    ----------
    products : (batch, k, k) float32 or float64
        source' target of each pair, 1 <= k <= 32. Not modified.

    Returns
    -------
    (batch, k, k), dtype of `products`
        Orthogonal R (rotation and reflection) that minimises ‖source R − target‖.

    Raises
    ------
    NumericsError
        Another shape or dtype; the first product that holds NaN or infinity, or does not converge, by its number.

    Notes
    -----
    Schönemann 1966, doi:10.1007/BF02289451: with U Σ V' = source' target, R = U V'.
    Where the product has no more than rounding in some directions (σ <= k · eps · σ₁), R is not unique. The free
    columns of U, and those of V, are then completed by unit vectors, made orthogonal to the columns before them: each
    time the first one of which at least half as much is left as is on average. So R is the identity between directions
    that are free on both sides, and the identity for a product of zeros.
    On the host LAPACK's SVD. On a device Hestenes' one-sided Jacobi method (1958, doi:10.1137/0106005), one warp a
    product and one lane a row. The two agree to k · eps · σ₁ / (σₖ₋₁ + σₖ), as R is determined by the product.
    """
    products = as_stack("products", products, LARGEST)
    return _on_device(products) if is_device(products) else _on_host(products)


def _on_host(products: NDArray[np.floating]) -> Array:
    require_finite_stack("products", products)
    try:
        left, sizes, right = np.linalg.svd(products)
    except np.linalg.LinAlgError as error:
        raise NumericsError(f"one of {len(products)} products did not converge") from error
    rotations: Array = left @ right
    ranks = (sizes > products.shape[1] * np.finfo(products.dtype).eps * sizes[:, :1]).sum(axis=1)
    for i in np.flatnonzero(ranks < products.shape[1]):
        rank = ranks[i]
        rotations[i] = _completed(left[i, :, :rank]) @ _completed(right[i, :rank].T).T
    return rotations


def _completed(columns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Orthonormal columns and, after them, those that make the matrix square."""
    k = len(columns)
    for n_missing in range(k - columns.shape[1], 0, -1):
        left_of_unit_vectors = 1 - (columns**2).sum(axis=1)
        column = np.eye(k, dtype=columns.dtype)[np.argmax(left_of_unit_vectors * 2 * k >= n_missing)]
        for _ in range(2):  # what is left after once carries rounding errors along the others
            column = column - columns @ (columns.T @ column)
        columns = np.column_stack([columns, column / np.linalg.norm(column)])
    return columns


def _on_device(products: Array) -> Array:
    xp = get_namespace(products)
    batch, k, _ = products.shape
    status = xp.empty(batch, np.int32)
    rotations: Array = xp.empty_like(products)
    a_warp = 2 * k * 32 * products.itemsize
    n_warps = min(_MOST_WARPS, SHARED_WITHOUT_ASKING // a_warp)
    launch(
        "procrustes",
        "batched_procrustes_f32" if products.dtype == np.float32 else "batched_procrustes_f64",
        grid=-(-batch // n_warps),
        block=32 * n_warps,
        args=(products, rotations, status, *int32(batch, k)),
        shared_bytes=n_warps * a_warp,
    )
    require_solved("products", to_host(status))
    return rotations
