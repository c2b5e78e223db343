"""Row sparsity: keep the k largest entries of each row."""

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_THREADS = 256
_LONG_ROW = 4096
"""Columns above which a row is selected from by a block of 1024 threads."""


def n_kept(n_targets: int, sparsity: float) -> int:
    """How many entries a row keeps: int(n_targets × (1 - sparsity)), in floating point exactly as written.

    Rounding is part of the definition, as in BrainSpace: 100 targets at sparsity 0.9 keep 9, not 10, and one entry more
    or less moves the gradients visibly. NumericsError when the sparsity is outside [0, 1) or nothing would be kept.
    """
    if not 0 <= sparsity < 1:
        raise NumericsError(f"sparsity {sparsity} is not in [0, 1)")
    kept = int(n_targets * (1 - sparsity))
    if kept < 1:
        raise NumericsError(f"sparsity {sparsity} keeps none of {n_targets} targets", remedy="lower the sparsity")
    return kept


def sparsify_rows(x: Array, /, sparsity: float) -> Array:
    """Keep the largest entries of each row and set the others to zero.

    Parameters
    ----------
    x : (n_rows, n_targets) float32 or float64
        Finite. Not modified.
    sparsity : fraction of each row set to zero; see `n_kept` for its rounding.

    Returns
    -------
    kept : (n_rows, n_targets)
        Exactly `n_kept` entries of each row as they are (negative ones too), the others 0. Among equal entries, those
        of the lowest columns stay; BrainSpace leaves that to the partition's order.
    """
    require_matrix("x", x)
    threshold, ties = row_thresholds(x.copy(), n_kept(x.shape[1], sparsity))
    kept: Array = get_namespace(x).where(keep_mask(x, threshold, ties), x, 0)
    return kept


def row_thresholds(x: Array, /, k: int) -> tuple[Array, Array]:
    """The k-th largest entry of each row, by selection and not by sorting.

    Parameters
    ----------
    x : (n_rows, n_targets)
        Overwritten: on the host each row is left in another order.
    k : entries kept, 1 <= k <= n_targets.

    Returns
    -------
    threshold : (n_rows,), dtype of `x`
        Smallest entry that is kept.
    ties : (n_rows,) int64
        How many entries equal to `threshold` are kept; -1 where all are.
    """
    return _row_thresholds_on_device(x, k) if is_device(x) else _row_thresholds_on_host(x, k)


def _row_thresholds_on_device(x: Array, k: int) -> tuple[Array, Array]:
    xp, n_columns = get_namespace(x), x.shape[1]
    threshold, ties = xp.empty(len(x), dtype=x.dtype), xp.empty(len(x), dtype=np.int64)
    launch(
        "sparsify",
        f"row_thresholds_f{8 * x.itemsize}",
        grid=len(x),
        block=_THREADS if n_columns <= _LONG_ROW else 1024,
        args=(xp.ascontiguousarray(x), threshold, ties, *int32(n_columns, k)),
    )
    return threshold, ties


def _row_thresholds_on_host(x: Array, k: int) -> tuple[Array, Array]:
    first = x.shape[1] - k
    x.partition(first, axis=1)
    threshold = x[:, first].copy()
    ties = np.full(len(x), -1)
    if first > 0:
        for row in np.nonzero(x[:, :first].max(axis=1) == threshold)[0].tolist():
            ties[row] = k - int((x[row, first:] > threshold[row]).sum())
    return threshold, ties


def keep_mask(x: Array, /, threshold: Array, ties: Array) -> Array:
    """Which entries of some columns are kept; called for all columns in ascending order, it keeps exactly k a row.

    Parameters
    ----------
    x : (n_rows, n_columns)
        Consecutive columns of the matrix that the thresholds were taken from, bit for bit.
    threshold : (n_rows,)
        Smallest entry kept.
    ties : (n_rows,) int64
        How many entries equal to the threshold are still to be kept, -1 for all. Overwritten with what is left.

    Returns
    -------
    kept : (n_rows, n_columns) bool
    """
    return _keep_mask_on_device(x, threshold, ties) if is_device(x) else _keep_mask_on_host(x, threshold, ties)


def _keep_mask_on_device(x: Array, threshold: Array, ties: Array) -> Array:
    xp = get_namespace(x, threshold, ties)
    kept: Array = xp.empty(x.shape, dtype=bool)
    args = (xp.ascontiguousarray(x), threshold, ties, kept, *int32(x.shape[1]))
    launch("sparsify", f"keep_mask_f{8 * x.itemsize}", grid=len(x), block=_THREADS, args=args)
    return kept


def _keep_mask_on_host(x: Array, threshold: Array, ties: Array) -> Array:
    kept = x >= threshold[:, None]
    for row in np.nonzero(ties >= 0)[0].tolist():
        tied, left = np.nonzero(x[row] == threshold[row])[0], int(ties[row])
        kept[row, tied[left:]] = False
        ties[row] = max(left - len(tied), 0)
    return kept
