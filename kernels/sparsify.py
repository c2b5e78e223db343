"""Row sparsity: keep the k largest entries of each row."""

from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import require_matrix
from thalgpu.kernels._namespace import Array, get_namespace


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
        Overwritten: each row is left in another order.
    k : entries kept, 1 <= k <= n_targets.

    Returns
    -------
    threshold : (n_rows,), dtype of `x`
        Smallest entry that is kept.
    ties : (n_rows,) int64
        How many entries equal to `threshold` are kept; -1 where all are.
    """
    xp = get_namespace(x)
    first = x.shape[1] - k
    x.partition(first, axis=1)
    threshold = x[:, first].copy()
    ties = xp.full(len(x), -1)
    if first > 0:
        for row in xp.nonzero(x[:, :first].max(axis=1) == threshold)[0].tolist():
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
    xp = get_namespace(x)
    kept = x >= threshold[:, None]
    for row in xp.nonzero(ties >= 0)[0].tolist():
        tied, left = xp.nonzero(x[row] == threshold[row])[0], int(ties[row])
        kept[row, tied[left:]] = False
        ties[row] = max(left - len(tied), 0)
    return kept
