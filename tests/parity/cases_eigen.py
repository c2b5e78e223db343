"""Parity of the leading eigenpairs of large matrices: one body of array functions, on LAPACK or cuSOLVER and cuBLAS."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from registry import Arrays, Case

from thalgpu.kernels.eigen import leading_eigenpairs

Matrix = NDArray[np.floating]


def _reference(operator: Matrix, n_pairs: int) -> Arrays:
    values, vectors = np.linalg.eigh(operator.astype(np.float64))
    return values[::-1][:n_pairs], vectors[:, ::-1][:, :n_pairs]


def _space(parts: Arrays) -> Arrays:
    """What is unique whatever the signs, and the bases of multiple values, are: values, and V Λ V'."""
    values, vectors = parts
    return values, vectors * values @ vectors.T


def _orthonormality(parts: Arrays) -> Arrays:
    """What is unique also where the last value occurs more often than it was asked for: values, and V' V."""
    values, vectors = parts
    return values, vectors.T @ vectors


def _smooth(rng: np.random.Generator, n: int) -> Matrix:
    points = rng.standard_normal((n, 3))
    made: Matrix = np.exp(-((points[:, None] - points) ** 2).sum(-1))
    return made


def _spaced(rng: np.random.Generator, n: int) -> Matrix:
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    made: Matrix = (basis * np.linspace(-1, 1, n) ** 3) @ basis.T
    return (made + made.T) / 2


def _case(name: str, make: Callable[[np.random.Generator], Matrix], n_pairs: int, dtype: str, view: Callable) -> Case:
    return Case(
        leading_eigenpairs,
        f"{name}, {dtype}",
        lambda rng: (make(rng).astype(dtype), n_pairs),
        _reference,
        1e-9,
        "residuals of 1e-10 of the largest value, over gaps of at least a thirtieth of it behind the last one",
        on_host=(0,),
        view=view,
    )


_MATRICES: tuple[tuple[str, Callable[[np.random.Generator], Matrix], int], ...] = (
    ("one row", lambda rng: np.array([[-3.0]]), 1),
    ("a prime number of rows, all pairs", lambda rng: _spaced(rng, 31), 31),
    ("as large as is solved in full", lambda rng: _smooth(rng, 256), 5),
    ("smooth, by products", lambda rng: _smooth(rng, 503), 4),
    ("zeros", lambda rng: np.zeros((401, 401)), 3),
    ("constant", lambda rng: np.ones((401, 401)), 1),
    ("every value seven times", lambda rng: np.kron(np.eye(7), _smooth(rng, 60)), 14),
)

CASES = tuple(
    _case(name, make, n_pairs, dtype, _orthonormality if name == "zeros" else _space)
    for name, make, n_pairs in _MATRICES
    for dtype in ("float32", "float64")
)
