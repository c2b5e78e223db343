"""Bytes and operations of ranks: n rows, m columns; rows of more than 4096 columns are sorted by CuPy first."""

from math import ceil, log2

_PER_PAIR = 5
"""Two places, a comparison and the exchange, in shared memory."""


def _network(m: int) -> int:
    """Pairs that the bitonic network compares in a row."""
    levels = ceil(log2(m))
    return (1 << levels) // 2 * levels * (levels + 1) // 2


COSTS = {
    "rank_rows_f32": lambda n, m: (8 * n * m, n * _PER_PAIR * _network(m)),
    "rank_rows_f64": lambda n, m: (16 * n * m, n * _PER_PAIR * _network(m)),
    "rank_sorted_rows_f32": lambda n, m: (16 * n * m, 6 * n * m * log2(m)),
    "rank_sorted_rows_f64": lambda n, m: (24 * n * m, 6 * n * m * log2(m)),
}
