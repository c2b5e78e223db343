"""Bytes and operations of the general linear model: R permutations, S subjects, q rows of a design, n features.

The product that t and F are made of is cuBLAS's: 2 R q S n operations.
"""

_ROOT_AND_QUOTIENT = 30

COSTS = {
    "permuted_rows_f64": lambda R, S, q: (R * S * (4 + 1 + 8 * q) + 8 * S * q, R * S * (8 + q)),
    "t_statistics_f64": lambda R, q, n: (8 * R * n * (q + 1) + 8 * n, R * n * (2 * q + _ROOT_AND_QUOTIENT)),
    "f_statistics_f64": lambda R, q, n: (8 * R * n * (q + 1) + 8 * n, R * n * (2 * q + _ROOT_AND_QUOTIENT)),
    "count_exceedances_f64": lambda R, n: (8 * R * n + 12 * n, 2 * R * n),
}
