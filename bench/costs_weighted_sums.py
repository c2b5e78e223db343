"""Bytes and operations of weighted sums: R sets of weights of S members with n entries each."""

COSTS = {
    "weighted_sums_f32": lambda R, S, n: (4 * (R * S + S * n + R * n), 2 * R * S * n),
    "weighted_sums_f64": lambda R, S, n: (8 * (R * S + S * n + R * n), 2 * R * S * n),
}
