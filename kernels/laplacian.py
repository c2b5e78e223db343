"""The symmetric operator of a weighted graph, whose eigenvectors diffusion maps and Laplacian eigenmaps are made of."""

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace


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
    namespace = get_namespace(weights)
    operator = weights.astype(namespace.float64)
    if not self_loops:
        namespace.fill_diagonal(operator, 0.0)
    degree = operator.sum(axis=1)
    empty = namespace.flatnonzero(degree <= 0)
    if empty.size:
        raise NumericsError(
            f"{empty.size} of {degree.size} rows of the affinity have no weight, the first is row {int(empty[0])}",
            remedy="leave out voxels without signal, or use a kernel or a sparsity that keeps their weights",
        )
    damped = degree**-alpha
    root_degree = namespace.sqrt(damped * (operator @ damped))
    factor = damped / root_degree
    operator *= factor[:, None]
    operator *= factor
    return operator, root_degree
