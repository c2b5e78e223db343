"""Weighted sums of a stack of arrays, for many sets of weights at once."""

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace


def weighted_sums(weights: Array, stack: Array, /, out: Array | None = None) -> Array:
    """Add up the members of a stack, each times its weight, for each set of weights.

    Parameters
    ----------
    weights : (n_sets, n_members) float
        One row a sum. Converted to the dtype of the stack.
    stack : (n_members, n_entries) float32 or float64
        One flat array a member; a stretch of columns of a longer stack will do. Not modified.
    out : (n_sets, n_entries), dtype of the stack, optional
        Contiguous; where the sums go.

    Returns
    -------
    (n_sets, n_entries), dtype of the stack
        Σ_m weights[i, m] · stack[m]: one matrix product, added up in the dtype of the stack.

    Raises
    ------
    NumericsError
        Shapes that do not fit, or another dtype.

    Notes
    -----
    A matrix product may round a row by its place in the batch: batches of one size, with each sum in its own place,
    give the same bits again; another batch agrees to rounding.
    """
    if stack.ndim != 2 or stack.dtype.name not in ("float32", "float64"):
        raise NumericsError(f"a stack must be a float32 or float64 matrix, not {stack.shape} {stack.dtype}")
    if weights.ndim != 2 or weights.shape[1] != len(stack):
        raise NumericsError(f"weights of shape {weights.shape} do not fit a stack of {len(stack)}")
    namespace = get_namespace(weights, stack)
    sums: Array = namespace.matmul(weights.astype(stack.dtype, copy=False), stack, out=out)
    return sums
