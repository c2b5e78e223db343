"""Bytes and operations of the affinity kernels: n rows; the lower triangle is read, and both are written."""

from collections.abc import Callable

_PER_PAIR = {"cosine": 4, "normalized_angle": 26, "gaussian": 20, "eta2": 16}
"""Operations, a root, an exponential, an arc cosine or a division counted as what it takes."""
_VECTORS = {"cosine": 1, "normalized_angle": 1, "gaussian": 2, "eta2": 2}


def _cost(formula: str, size: int) -> Callable[[int], tuple[float, float]]:
    """Of a formula on numbers of `size` bytes."""
    n_vectors, per_pair = _VECTORS[formula], _PER_PAIR[formula]
    return lambda n: (1.5 * n * n * size + n * (n_vectors * size + 1), n * n / 2 * per_pair)


COSTS = {f"{formula}_f{8 * size}": _cost(formula, size) for formula in _PER_PAIR for size in (4, 8)}
