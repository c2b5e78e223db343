"""Bytes and operations of the batched eigensolver: B matrices of n rows, of float32; float64 moves twice the bytes."""

_SWEEPS = 8
"""What matrices of 32 to 128 rows need, the one that finds nothing included."""


def _eigh(B: int, n: int) -> tuple[int, int]:
    """The matrix in, values and vectors out; n² / 2 rotations a sweep, each of 6 n operations on half of A and on V."""
    return 4 * B * (2 * n * n + n), B * _SWEEPS * (n * (n - 1) // 2) * 12 * n


COSTS = {
    "batched_eigh_f32": _eigh,
    "batched_eigh_f64": lambda B, n: (2 * _eigh(B, n)[0], _eigh(B, n)[1]),
}
