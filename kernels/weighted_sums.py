"""Weighted sums of a stack of arrays, for many sets of weights at once."""

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_TILE, _THREADS = 64, 256


def weighted_sums(weights: Array, stack: Array, /, out: Array | None = None) -> Array:
    """Add up the members of a stack, each times its weight, for each set of weights.

    Parameters
    ----------
    weights : (n_sets, n_members) float
        One row a sum. Converted to the dtype of the stack.
    stack : (n_members, n_entries) float32 or float64
        One flat array a member; a stretch of columns of a longer stack will do (a device copies it). Not modified.
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
    give the same bits again; another batch agrees to rounding. On a device a sum is added up in the order of the
    members, whatever the batch.
    """
    if stack.ndim != 2 or stack.dtype.name not in ("float32", "float64"):
        raise NumericsError(f"a stack must be a float32 or float64 matrix, not {stack.shape} {stack.dtype}")
    if weights.ndim != 2 or weights.shape[1] != len(stack):
        raise NumericsError(f"weights of shape {weights.shape} do not fit a stack of {len(stack)}")
    weights = weights.astype(stack.dtype, copy=False)
    return _on_device(weights, stack, out) if is_device(stack) else np.matmul(weights, stack, out=out)


def _on_device(weights: Array, stack: Array, out: Array | None) -> Array:
    xp = get_namespace(weights, stack)
    n_sets, n_members, n_entries = len(weights), *stack.shape
    sums: Array = xp.empty((n_sets, n_entries), stack.dtype) if out is None else out
    launch(
        "weighted_sums",
        f"weighted_sums_f{8 * stack.itemsize}",
        grid=(-(-n_entries // _TILE), -(-n_sets // _TILE)),
        block=_THREADS,
        args=(
            xp.ascontiguousarray(weights),
            xp.ascontiguousarray(stack),
            sums,
            *int32(n_sets, n_members),
            np.int64(n_entries),
        ),
    )
    return sums
