"""Bytes and operations of the batched rotations: B products of k components; float64 moves twice float32's bytes."""

_SWEEPS = 7
"""What products of 10 to 32 components need, the one that finds nothing included."""
_LANES = 32
"""Every lane works, whether it holds a row or not."""


def _procrustes(B: int, k: int) -> tuple[int, int]:
    """Products in, rotations out; k² / 2 pairs a sweep, each three sums over the lanes and two turned columns."""
    return 4 * B * 2 * k * k, B * _LANES * (_SWEEPS * (k * (k - 1) // 2) * (3 * 6 + 2 * 4 + 20) + 2 * k * k)


COSTS = {
    "batched_procrustes_f32": _procrustes,
    "batched_procrustes_f64": lambda B, k: (2 * _procrustes(B, k)[0], _procrustes(B, k)[1]),
}
