"""Parity of the batched rotations: LAPACK's SVD on the host, one-sided Jacobi on the device."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from registry import Case

from thalgpu.kernels.procrustes import batched_procrustes

Stack = NDArray[np.floating]
_REASON = (
    "8 eps · k: some ten sweeps of k rotations, or LAPACK's, on products with σ₁ no more than a few times σₖ₋₁ + σₖ"
)


def _reference(products: Stack) -> Stack:
    """In float64, one at a time; what is rounding is a matter of the dtype given."""
    tolerance = products.shape[1] * float(np.finfo(products.dtype).eps)
    return np.array([_rotation(one, tolerance) for one in products.astype(np.float64)]).reshape(products.shape)


def _rotation(product: Stack, tolerance: float) -> Stack:
    left, sizes, right = np.linalg.svd(product)
    rank = int((sizes > tolerance * sizes[0]).sum())
    rotation: Stack = _square(left[:, :rank].T) @ _square(right[:rank]).T
    return rotation


def _square(rows: Stack) -> Stack:
    """Columns: the rows given, and the unit vectors that are at least half the mean away from all before."""
    found, k = list(rows), rows.shape[1]
    while len(found) < k:
        rest = np.eye(k) - sum((np.outer(row, row) for row in found), np.zeros((k, k)))
        first = next(i for i in range(k) if rest[i, i] >= np.trace(rest) / k / 2)
        found.append(rest[first] / np.linalg.norm(rest[first]))
    return np.array(found).T


def _orthogonal(rng: np.random.Generator, batch: int, k: int) -> Stack:
    return np.linalg.qr(rng.standard_normal((batch, k, k)))[0]


def _products(rng: np.random.Generator, batch: int, k: int) -> Stack:
    """Singular values from 1 to 3."""
    return _orthogonal(rng, batch, k) * np.linspace(3, 1, k) @ _orthogonal(rng, batch, k)


def _deficient(rng: np.random.Generator, k: int, rank: int) -> Stack:
    sizes = np.where(np.arange(k) < rank, 1.5, 0)
    return _orthogonal(rng, 2, k) * sizes @ _orthogonal(rng, 2, k)


_SIZES = ((0, 4), (257, 1), (7, 2), (9, 3), (5, 10), (3, 13), (1, 31), (2, 32))
_SPECIAL: tuple[tuple[str, Callable[[np.random.Generator], Stack]], ...] = (
    ("zeros", lambda rng: np.zeros((2, 5, 5))),
    ("zero of one row", lambda rng: np.zeros((1, 1, 1))),
    ("constant", lambda rng: -np.ones((2, 6, 6))),
    ("free directions that differ", lambda rng: np.array([[[0.0, 1], [0, 0]], [[0, 0], [1, 0]]])),
    ("a component without signal", lambda rng: _products(rng, 2, 5) * np.array([1, 1, 0, 1, 1])),
    ("rank one", lambda rng: _deficient(rng, 7, 1)),
    ("rank one below full", lambda rng: _deficient(rng, 8, 7)),
    ("half the rank", lambda rng: _deficient(rng, 12, 6)),
    ("diagonal of both signs", lambda rng: np.array([np.diag([3.0, -2, 0, 1, -1])])),
    ("rotations", lambda rng: _orthogonal(rng, 3, 6)),
    ("huge", lambda rng: 2.0**120 * _products(rng, 2, 5)),
    ("tiny", lambda rng: 2.0**-110 * _products(rng, 2, 5)),
    ("small beside the largest", lambda rng: _orthogonal(rng, 2, 6) * np.array([1e9, 1, 1, 1, 1, 1e-20])),
)


def _cases(dtype: str) -> tuple[Case, ...]:
    def case(name: str, make: Callable[[np.random.Generator], Stack], k: int = 8) -> Case:
        return Case(
            batched_procrustes,
            f"{name}, {dtype}",
            lambda rng: (make(rng).astype(dtype),),
            _reference,
            8 * max(k, 8) * float(np.finfo(dtype).eps),
            _REASON,
            cuda=() if name.startswith("0 of") else (f"procrustes:batched_procrustes_f{dtype[-2:]}",),
        )

    sizes: Any = (
        case(f"{batch} of {k} components", lambda rng, b=batch, k=k: _products(rng, b, k), k) for batch, k in _SIZES
    )
    return (*sizes, *(case(name, make) for name, make in _SPECIAL))


CASES = _cases("float32") + _cases("float64")
