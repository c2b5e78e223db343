"""Cases of row sparsity: a selection, so equal to sorting in every bit; ties, signs and long rows."""

import numpy as np
from registry import Case

from thalgpu.kernels.sparsify import keep_mask, row_thresholds, sparsify_rows

REASON = "entries are selected, never computed"
WIDTH = 7


def chosen_columns(row, k):
    """Columns of the k largest entries: by descending value, then ascending column."""
    return np.lexsort((np.arange(len(row)), -row.astype(np.float64)))[:k]


def sparsify_reference(x, sparsity):
    """Sort each row, keep the first k."""
    kept = np.zeros(x.shape)
    for row in range(len(x)):
        chosen = chosen_columns(x[row], int(x.shape[1] * (1 - sparsity)))
        kept[row, chosen] = x[row, chosen]
    return kept


def threshold_reference(x, k):
    """The k-th of the sorted entries; how many equal ones are among the first k, -1 for all."""
    descending = -np.sort(-x.astype(np.float64), axis=1)
    threshold = descending[:, k - 1]
    among = (descending[:, :k] == threshold[:, None]).sum(axis=1)
    return threshold, np.where((descending == threshold[:, None]).sum(axis=1) > among, among, -1)


def mask_reference(x, threshold, ties):
    """Entry by entry, from left to right."""
    kept = np.zeros(x.shape, bool)
    for row in range(len(x)):
        left = np.inf if ties[row] < 0 else ties[row]
        for column, value in enumerate(x[row]):
            kept[row, column] = value > threshold[row] or (value == threshold[row] and left > 0)
            left -= value == threshold[row]
    return kept


def mask_in_tiles(x, threshold, ties):
    """The public function over tiles of columns, and what is left of the ties."""
    kept = [
        keep_mask(x[:, start : start + WIDTH], threshold, ties).sum(axis=1) for start in range(0, x.shape[1], WIDTH)
    ]
    return (*kept, ties)


def tiles_reference(x, threshold, ties):
    """Numbers of entries kept in each tile of the mask at once; no tie is left."""
    kept = mask_reference(x, threshold, ties)
    tiles = [kept[:, start : start + WIDTH].sum(axis=1) for start in range(0, x.shape[1], WIDTH)]
    return (*tiles, np.where(ties < 0, -1, 0))


def normal(shape, dtype):
    """Continuous: no ties."""
    return lambda rng: rng.standard_normal(shape).astype(dtype)


def tied(shape, dtype):
    """A few values, zeros of both signs among them, so that most thresholds are tied; the first row is constant."""

    def make(rng):
        x = rng.choice(np.array([-1.5, -0.25, -0.0, 0, 0.5, 2], dtype), shape)
        x[:1] = 0.75
        return x

    return make


def extreme(shape, dtype):
    """Numbers whose keys differ in their first or last bits only, of both signs."""

    def make(rng):
        info = np.finfo(dtype)
        one = np.array([1, np.nextafter(dtype(1), dtype(2)), np.nextafter(dtype(1), dtype(0))], dtype)
        values = np.concatenate([one, -one, np.array([info.max, info.tiny, -info.max, -info.tiny, 0], dtype)])
        return rng.choice(values, shape)

    return make


def with_threshold(make, k):
    """A matrix, its thresholds and its ties."""

    def arguments(rng):
        x = make(rng)
        threshold, ties = threshold_reference(x, k)
        return x, threshold.astype(x.dtype), ties

    return arguments


def cases(name, make, shape, dtype, k, *, small=True):
    """The threshold and the mask of one matrix."""
    bits, matrix = f"f{8 * np.dtype(dtype).itemsize}", make(shape, dtype)
    shared = {"tolerance": 0, "reason": REASON, "small": small}
    return (
        Case(
            row_thresholds,
            f"{name}, {np.dtype(dtype)}",
            lambda rng: (matrix(rng), k),
            threshold_reference,
            cuda=(f"sparsify:row_thresholds_{bits}",),
            overwritten=(0,),
            **shared,
        ),
        Case(
            keep_mask,
            f"{name}, {np.dtype(dtype)}",
            with_threshold(matrix, k),
            mask_reference,
            cuda=(f"sparsify:keep_mask_{bits}",),
            overwritten=(2,),
            **shared,
        ),
    )


def others(dtype):
    """The mask in tiles, and all at once."""
    bits = f"f{8 * np.dtype(dtype).itemsize}"
    shared = {"tolerance": 0, "reason": REASON}
    yield Case(
        mask_in_tiles,
        f"ties, {np.dtype(dtype)}",
        with_threshold(tied((9, 45), dtype), 20),
        tiles_reference,
        cuda=(f"sparsify:keep_mask_{bits}",),
        overwritten=(2,),
        **shared,
    )
    for shape, sparsity in (((1, 1), 0.0), ((13, 53), 0.9), ((3, 301), 0.5), ((5, 15), 0.25)):
        yield Case(
            sparsify_rows,
            f"{shape[0]} × {shape[1]}, sparsity {sparsity}, {np.dtype(dtype)}",
            lambda rng, shape=shape, sparsity=sparsity: (tied(shape, dtype)(rng), sparsity),
            sparsify_reference,
            cuda=(f"sparsify:row_thresholds_{bits}", f"sparsify:keep_mask_{bits}"),
            **shared,
        )


CASES = tuple(
    case
    for dtype in (np.float32, np.float64)
    for case in (
        *cases("one entry", normal, (1, 1), dtype, 1),
        *cases("one column", normal, (5, 1), dtype, 1),
        *cases("no rows", normal, (0, 9), dtype, 3),
        *cases("prime number of columns", normal, (7, 101), dtype, 10),
        *cases("all are kept", tied, (3, 39), dtype, 39),
        *cases("one is kept", tied, (5, 39), dtype, 1),
        *cases("ties", tied, (11, 75), dtype, 31),
        *cases("extreme numbers", extreme, (9, 43), dtype, 17),
        *cases("rows longer than a block", normal, (3, 1001), dtype, 100),
        *cases("ties in rows longer than a block", tied, (3, 777), dtype, 400),
        *cases("long rows", tied, (2, 4099), dtype, 2000, small=False),
        *others(dtype),
    )
)
