"""Bytes and operations of the leading pairs of B problems of r rows, m vectors at a time."""

_ROUNDS = 5
"""What problems of a study take to residuals of 3e-5."""
_SWEEPS = 6
"""Of rotations, in a problem inside the block; each of m² / 2 rotations, of 12 m operations."""


def _inside(m: int) -> int:
    """A problem of m rows: its triangle and the equations with it, the rotations, and the way back."""
    return 4 * m**3 + _SWEEPS * (m * (m - 1) // 2) * 12 * m


def _iterated(B: int, r: int, m: int) -> tuple[int, int]:
    """Matrices and metrics in, vectors out; a round is two products, two projections, and a turn of three blocks."""
    return 4 * B * (2 * r * r + r * m) + 16 * B * m, B * _ROUNDS * (4 * r * r * m + 10 * r * m * m + _inside(m))


COSTS = {
    "small_eigen_f32": _iterated,
    "small_eigen_f64": lambda B, r, m: (2 * _iterated(B, r, m)[0], _iterated(B, r, m)[1]),
    "ritz_pairs_f64": lambda B, m: (8 * B * (3 * m * m + m), B * _inside(m)),
}
