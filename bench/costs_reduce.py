"""Bytes and operations of the reductions: n rows, m columns; a sum is one operation an entry, an extreme three."""

COSTS = {
    "row_sums_f32": lambda n, m: (4 * n * m + 8 * n, n * m),
    "row_sums_f64": lambda n, m: (8 * n * m + 8 * n, n * m),
    "column_sums_f32": lambda n, m: (4 * n * m + 8 * m, n * m),
    "column_sums_f64": lambda n, m: (8 * n * m + 8 * m, n * m),
    "row_extremes_f32": lambda n, m: (4 * n * m + 12 * n, 3 * n * m),
    "row_extremes_f64": lambda n, m: (8 * n * m + 16 * n, 3 * n * m),
    "column_extremes_f32": lambda n, m: (4 * n * m + 12 * m, 3 * n * m),
    "column_extremes_f64": lambda n, m: (8 * n * m + 16 * m, 3 * n * m),
}
