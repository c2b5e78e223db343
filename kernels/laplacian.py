"""The symmetric operator of a weighted graph, whose eigenvectors diffusion maps and Laplacian eigenmaps are made of."""

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_THREADS = 256


def symmetric_operator(weights: Array, *, alpha: float = 0.0, self_loops: bool = True) -> tuple[Array, Array]:
    """Normalise a symmetric weight matrix by its degrees, on both sides.

    Parameters
    ----------
    weights : (n, n) float
        Symmetric and not negative (not checked). Not modified.
    alpha : float
        Anisotropy: weights are first divided by dᵢ^α dⱼ^α, where d = Σⱼ weights.
    self_loops : bool
        Whether the diagonal counts; graph Laplacians leave it out.

    Returns
    -------
    operator : (n, n) float64
        D^-½ W D^-½ with W = weights / (dᵢ^α dⱼ^α) and D = Σⱼ W. Its largest eigenvalue is 1; the graph Laplacian
        problem (D − W) y = λ D y has the eigenvalues 1 − λ and the vectors D^-½ u.
    root_degree : (n,) float64
        D^½, which is the first eigenvector times a constant.

    Raises
    ------
    NumericsError
        Rows without any weight.

    Notes
    -----
    Coifman and Lafon 2006, doi:10.1016/j.acha.2006.04.006. W is never formed: the operator is the weights times one
    factor a row and one a column.
    """
    return (_on_device if is_device(weights) else _on_host)(weights, alpha, self_loops)


def _on_host(weights: Array, alpha: float, self_loops: bool) -> tuple[Array, Array]:
    operator = weights.astype(np.float64)
    if not self_loops:
        np.fill_diagonal(operator, 0.0)
    degree = operator.sum(axis=1)
    _require_weight(degree)
    damped = degree**-alpha
    root_degree = np.sqrt(damped * (operator @ damped))
    factor = damped / root_degree
    operator *= factor[:, None]
    operator *= factor
    return operator, root_degree


def _on_device(weights: Array, alpha: float, self_loops: bool) -> tuple[Array, Array]:
    """The same, reading the weights once for each sum and once for the operator, the only matrix that is written."""
    xp = get_namespace(weights)
    operator, degree = xp.empty(weights.shape, dtype=xp.float64), xp.empty(len(weights), dtype=xp.float64)
    order_and_loops = (*int32(len(weights)), np.bool_(self_loops))
    _launch("degrees", weights, degree, *order_and_loops)
    _require_weight(degree)
    damped = degree**-alpha
    damped_degree = degree
    if alpha != 0:
        damped_degree = xp.empty_like(degree)
        _launch("damped_degrees", weights, damped, damped_degree, *order_and_loops)
    root_degree = xp.sqrt(damped * damped_degree)
    _launch("normalise", weights, damped / root_degree, operator, *order_and_loops)
    return operator, root_degree


def _launch(name: str, weights: Array, *args: object) -> None:
    """One block a row of the weights."""
    kernel = f"{name}_f{8 * weights.itemsize}"
    launch("laplacian", kernel, grid=len(weights), block=_THREADS, args=(weights, *args))


def _require_weight(degree: Array) -> None:
    empty = get_namespace(degree).flatnonzero(degree <= 0)
    if empty.size:
        raise NumericsError(
            f"{empty.size} of {degree.size} rows of the affinity have no weight, the first is row {int(empty[0])}",
            remedy="leave out voxels without signal, or use a kernel or a sparsity that keeps their weights",
        )
