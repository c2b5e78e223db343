"""Parity of the batched eigensolver: LAPACK on the host, Jacobi's method on the device."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from registry import Arrays, Case

from thalgpu.kernels.jacobi import batched_eigh

Stack = NDArray[np.floating]
_REASON = "4 eps · n: rounding of some ten sweeps of n rotations; vectors, where compared, have gaps of ‖A‖ / n"


def _reference(matrices: Stack) -> Arrays:
    """In float64, one at a time, from the lower triangle."""
    solved = [np.linalg.eigh(np.tril(one) + np.tril(one, -1).T) for one in matrices.astype(np.float64)]
    n = matrices.shape[1]
    values = np.array([values[::-1] for values, _ in solved]).reshape(-1, n)
    vectors = np.array([vectors[:, ::-1] for _, vectors in solved]).reshape(-1, n, n)
    for one in vectors:
        for column in one.T:
            column *= np.copysign(1, column[np.abs(column).argmax()])
    return values, vectors


def _space(parts: Arrays) -> Arrays:
    """What is unique also where values are equal or close: values, V Λ V', V' V."""
    values, vectors = parts
    return values, (vectors * values[:, None, :]) @ vectors.swapaxes(1, 2), vectors.swapaxes(1, 2) @ vectors


def _symmetric(rng: np.random.Generator, batch: int, n: int) -> Stack:
    half = rng.standard_normal((batch, n, n))
    return half + half.swapaxes(1, 2)


def _spaced(rng: np.random.Generator, batch: int, n: int) -> Stack:
    """Values 1, 2, …, n, positive and negative: vectors are determined as well as the matrix is."""
    basis = np.linalg.qr(rng.standard_normal((batch, n, n)))[0]
    made: Stack = (basis * (np.arange(n) - n // 3 + 0.5)) @ basis.swapaxes(1, 2)
    return (made + made.swapaxes(1, 2)) / 2


_SIZES = ((0, 4), (7, 1), (257, 2), (5, 2), (3, 3), (2, 4), (3, 7), (2, 16), (2, 31))
"""Batch and rows that the checked device solves; the last two below need more shared memory than there is."""
_LARGER = {"float32": ((1, 64), (1, 101), (1, 128)), "float64": ((1, 62), (1, 71), (1, 127))}
_SPECIAL: tuple[tuple[str, Callable[[np.random.Generator], Stack]], ...] = (
    ("zeros", lambda rng: np.zeros((2, 5, 5))),
    ("identity", lambda rng: np.tile(np.eye(6), (2, 1, 1))),
    ("constant", lambda rng: np.ones((2, 9, 9))),
    ("diagonal with ties", lambda rng: np.array([np.diag([2.0, -1, 2, 0, 2])])),
    ("every value twice", lambda rng: np.array([np.kron(np.eye(2), _symmetric(rng, 1, 4)[0])])),
    ("huge", lambda rng: 2.0**120 * _symmetric(rng, 2, 5)),
    ("tiny", lambda rng: 2.0**-90 * _symmetric(rng, 2, 5)),
    ("large offset", lambda rng: 1e4 + _symmetric(rng, 2, 8)),
    ("graded", lambda rng: _symmetric(rng, 2, 6) * np.logspace(0, -6, 6) * np.logspace(0, -6, 6)[:, None]),
    ("upper triangle of something else", lambda rng: np.tril(_symmetric(rng, 2, 6)) + np.triu(np.ones((6, 6)), 1)),
)


def _cases(dtype: str) -> tuple[Case, ...]:
    kernel = f"jacobi:batched_eigh_f{dtype[-2:]}"

    def case(name: str, make: Callable[[np.random.Generator], Stack], n: int = 8, **options: Any) -> Case:
        return Case(
            batched_eigh,
            f"{name}, {dtype}",
            lambda rng: (make(rng).astype(dtype),),
            _reference,
            4 * max(n, 8) * float(np.finfo(dtype).eps),
            _REASON,
            cuda=() if name.startswith("0 of") else (kernel,),
            **options,
        )

    sizes = [(*size, True) for size in _SIZES] + [(*size, False) for size in _LARGER[dtype]]
    return (
        *(
            case(f"{batch} of {n} rows", lambda rng, b=batch, n=n: _spaced(rng, b, n), n, small=small)
            for batch, n, small in sizes
        ),
        case("rows exchanged, elements of equal size", lambda rng: np.array([[[0.0, 1], [1, 0]]])),
        *(case(name, make, view=_space) for name, make in _SPECIAL),
        case("random", lambda rng: _symmetric(rng, 3, 13), view=_space),
    )


CASES = _cases("float32") + _cases("float64")
