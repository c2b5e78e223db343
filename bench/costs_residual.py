"""Bytes and operations of a residual's last pass: T time points, n series.

Before it, cuBLAS makes two products of 2 T n rank operations each. Columns above 1472 time points are not held in
shared memory: series and fit are read three times more, from the cache where it is large enough.
"""

_PER_ENTRY = 3 + 2 + 4 + 4
"""Difference and size, the sum, the squares and the result, in float64."""

COSTS = {
    "residual_f32": lambda T, n: (16 * T * n + n, _PER_ENTRY * T * n),
    "residual_f64": lambda T, n: (24 * T * n + n, _PER_ENTRY * T * n),
}
