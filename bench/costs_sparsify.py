"""Bytes and operations of row sparsity: n rows, m columns; what is kept of a row does not matter.

A row is read once for every 11 bits of its numbers: a block of rows stays in the cache in the meantime, so that memory
is read once. Operations are of integers.
"""

_READS = {"f32": 3, "f64": 6}
_PER_READ = 8
"""The key, its first digits, and a count in shared memory."""

COSTS = {
    "row_thresholds_f32": lambda n, m: (4 * n * m + 12 * n, _READS["f32"] * _PER_READ * n * m),
    "row_thresholds_f64": lambda n, m: (8 * n * m + 16 * n, _READS["f64"] * _PER_READ * n * m),
    "keep_mask_f32": lambda n, m: (5 * n * m + 20 * n, n * m),
    "keep_mask_f64": lambda n, m: (9 * n * m + 24 * n, n * m),
}
