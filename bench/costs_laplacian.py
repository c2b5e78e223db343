"""Bytes and operations of the graph kernels: n rows of weights; sums and the operator are float64."""

COSTS = {
    "degrees_f32": lambda n: (4 * n * n + 8 * n, n * n),
    "degrees_f64": lambda n: (8 * n * n + 8 * n, n * n),
    "damped_degrees_f32": lambda n: (4 * n * n + 16 * n, 2 * n * n),
    "damped_degrees_f64": lambda n: (8 * n * n + 16 * n, 2 * n * n),
    "normalise_f32": lambda n: (12 * n * n + 8 * n, 2 * n * n),
    "normalise_f64": lambda n: (16 * n * n + 8 * n, 2 * n * n),
}
