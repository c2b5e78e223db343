"""Bytes and operations of the random kernels: R rows, n items; an integer instruction counts as an operation."""

_PHILOX = 10 * 14  # two wide products, four exclusive ors and two key sums a round, as instructions
_COMPARISON = 5

COSTS = {
    "random_bits": lambda n: (32 * n, _PHILOX * n),
    "permutations": lambda R, n: (4 * R * n, R * n * (_PHILOX + _COMPARISON * n)),
    "sign_flips": lambda R, n: (R * n, R * -(-n // 128) * 32 * (_PHILOX + 12)),
}
