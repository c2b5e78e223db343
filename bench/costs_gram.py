"""Bytes and operations of what Gram matrices need besides products: n rows, m columns."""

COSTS = {
    "mirror_f32": lambda n: (4 * n * n, 0),
    "mirror_f64": lambda n: (8 * n * n, 0),
    "centre_rows_f32": lambda n, m: (8 * n * m + 8 * n, 2 * n * m),
    "centre_rows_f64": lambda n, m: (16 * n * m + 8 * n, 2 * n * m),
}
