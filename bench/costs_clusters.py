"""Bytes and operations of clusters: R maps of n voxels, the graph of six neighbours a voxel read once."""

_ROUNDS = 6
"""In which labels fall, of maps with many small clusters."""
_PER_ELEMENT = 10 * _ROUNDS + 32 * 10
"""Looked at in each round, and added up by 32 lanes."""

COSTS = {"clusters_f64": lambda R, n: (24 * R * n + (4 + 6 * 4 + 8) * n, _PER_ELEMENT * R * n)}
