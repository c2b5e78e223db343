"""Bytes and operations of threshold-free cluster enhancement: R maps of n voxels, half of them positive.

The graph, of six neighbours a voxel, is read once. Elements join one after another by one warp, which waits for shared
memory more than it computes: see what the page of the predictions says of it.
"""

from math import ceil, log2

_PER_PAIR = 8
"""Two places of two arrays, a comparison and the exchange, in shared memory."""
_JOIN = 32 * 60
"""Instructions of a warp for one element, of which every lane works."""
_SUM = 32 * 5
"""Steps of doubling, for an element of 32."""


def _network(n: int) -> int:
    """Pairs that the bitonic network compares."""
    levels = ceil(log2(max(n, 2)))
    return (1 << levels) // 2 * levels * (levels + 1) // 2


def _tfce(R: int, n: int) -> tuple[int, int]:
    positive = -(-n // 2)
    return 24 * R * n + (4 + 6 * 4 + 8) * n, R * (_PER_PAIR * _network(positive) + positive * (_JOIN + _SUM))


COSTS = {"tfce_f64": _tfce}
