"""Bytes and operations of standardising: T time points, n series. Columns above 1472 time points are not held in shared
memory: they are read three times more, from the cache where it is large enough."""

_PER_ENTRY = 2 + 3 + 5 + 5
"""Its size, the sum, the squares and the result: in float64, as devices for games do slowly."""

COSTS = {
    "standardize_f32": lambda T, n: (8 * T * n + n, _PER_ENTRY * T * n),
    "standardize_f64": lambda T, n: (16 * T * n + n, _PER_ENTRY * T * n),
}
