"""Cases of the eigensolver of many problems that are close to diagonal ones, and of the small problems inside it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from registry import Arrays, Case
from scipy.linalg import eigh

from thalgpu.kernels.small_eigen import ritz_pairs, small_eigen

Stack = NDArray[np.floating]
TIGHT = {"f4": 3e-5, "f8": 1e-9}
"""Residuals that are asked for."""
VALUES = {"f4": 2e-6, "f8": 1e-13}
VALUES_REASON = "rounding of products of some tens of numbers; residuals count by their square"
VECTORS = {"f4": 1e-3, "f8": 3e-8}
VECTORS_REASON = "the residual accepted over the gap to the next value, a fifth to a fiftieth, for each of the vectors"
RITZ = 1e-12
RITZ_REASON = "rounding of rotations, times the condition of G, some hundred, over the gap to the next value, a tenth"
SIZES = {
    "no matrices": (0, 5, 2, 3),
    "one entry": (1, 1, 1, 1),
    "one vector": (2, 7, 1, 1),
    "as many vectors as rows": (3, 5, 5, 5),
    "odd": (3, 13, 3, 5),
    "prime": (2, 31, 5, 7),
    "whole groups": (2, 24, 4, 8),
    "more than a group": (2, 37, 7, 11),
    "more rows than threads": (2, 67, 5, 17),
    "many matrices": (257, 2, 1, 1),
}
"""Matrices, rows, pairs wanted, vectors."""


def near_diagonal(batch: int, r: int, n_block: int, rng: np.random.Generator) -> Stack:
    """Entries that descend from 1 to 0.4 in the block and are below 0.1 outside, and a little of everything else."""
    diagonal = np.concatenate([1 - 0.6 * np.arange(n_block) / n_block, 0.1 * rng.random(r - n_block)])
    noise = rng.standard_normal((batch, r, r)) * 0.05 / r
    made: Stack = noise + noise.swapaxes(1, 2) + np.diag(diagonal)
    return made


def problems(
    sizes: tuple[int, int, int, int], dtype: str, *, metric: bool, scale: float = 1
) -> Callable[[np.random.Generator], Arrays]:
    """Matrices, and metrics close to the identity."""

    def make(rng: np.random.Generator) -> Arrays:
        batch, r, n_wanted, n_block = sizes
        noise = rng.standard_normal((batch, r, r)) * 0.05 / r
        metrics = (np.eye(r) + noise + noise.swapaxes(1, 2)).astype(dtype) if metric else None
        return (scale * near_diagonal(batch, r, n_block, rng)).astype(dtype), metrics, n_wanted, n_block

    return make


def solved(matrices: Stack, metrics: Stack | None, n_wanted: int, n_block: int, **_: Any) -> Arrays:
    """One after another, by LAPACK."""
    batch, r, _ = matrices.shape
    values, vectors = np.zeros((batch, n_block)), np.zeros((batch, r, n_block))
    for place, matrix in enumerate(matrices.astype(np.float64)):
        found = eigh(matrix, None if metrics is None else metrics[place].astype(np.float64))
        values[place], vectors[place] = found[0][::-1][:n_block], found[1][:, ::-1][:, :n_block]
    return values, vectors, np.zeros((batch, n_block))


def wanted(n_wanted: int, tolerance: float, parts: Arrays) -> Arrays:
    """Values that must have converged, and whether their residuals are as small as asked for."""
    return parts[0][:, :n_wanted], parts[2][:, :n_wanted] <= tolerance


def projectors(n_wanted: int, parts: Arrays) -> Arrays:
    """Vectors times themselves, whatever their signs, each with a weight of its own."""
    vectors = parts[1][:, :, :n_wanted].astype(np.float64)
    return (np.einsum("bij,bkj,j->bik", vectors, vectors, 1 / np.arange(1, n_wanted + 1)),)


def case(
    name: str, sizes: tuple[int, int, int, int], dtype: str, *, metric: bool, scale: float = 1, small: bool = True
) -> tuple[Case, ...]:
    """Two cases: of values, and of vectors."""
    name = f"{name} {dtype}, {'a metric' if metric else 'no metric'}"
    tolerance, n_wanted = TIGHT[dtype], sizes[2]
    kernels = ("small_eigen:small_eigen_f32" if dtype == "f4" else "small_eigen:small_eigen_f64",)
    of = partial(
        Case,
        small_eigen,
        arguments=problems(sizes, dtype, metric=metric, scale=scale),
        reference=solved,
        options={"tolerance": tolerance},
        cuda=kernels if sizes[0] else (),
    )
    return (
        of(
            f"values: {name}",
            tolerance=VALUES[dtype],
            reason=VALUES_REASON,
            view=partial(wanted, n_wanted, tolerance),
            small=small,
        ),
        of(
            f"vectors: {name}",
            tolerance=VECTORS[dtype],
            reason=VECTORS_REASON,
            view=partial(projectors, n_wanted),
            small=False,
        ),
    )


def unfinished(dtype: str) -> Case:
    """Two rounds are all: what is returned is not converged, and what the residuals say it is."""
    return Case(
        small_eigen,
        f"rounds run out {dtype}",
        problems((2, 19, 3, 4), dtype, metric=True),
        lambda *_, **__: (np.ones((2, 3), dtype=bool),),
        tolerance=0,
        reason="two rounds do not reach 1e-12, and do better than 0.1",
        options={"tolerance": 1e-12, "max_iterations": 1},
        cuda=(f"small_eigen:small_eigen_f{8 * np.dtype(dtype).itemsize}",),
        view=lambda parts: (((parts[-1][:, :3] > 1e-12) & (parts[-1][:, :3] < 0.1)) if len(parts) == 3 else parts[0],),
    )


def pencil(batch: int, m: int) -> Callable[[np.random.Generator], Arrays]:
    """H and G of known pairs: values a tenth apart, of both signs, and vectors of sizes from 0.3 to 3."""

    def make(rng: np.random.Generator) -> Arrays:
        basis = np.linalg.qr(rng.standard_normal((batch, m, m)))[0] * np.linspace(0.3, 3, m)
        basis = basis @ (np.eye(m) + 0.1 / m * rng.standard_normal((batch, m, m)))
        projected = (basis * (0.75 - 0.1 * np.arange(m))) @ basis.swapaxes(1, 2)
        gram = basis @ basis.swapaxes(1, 2)
        return (projected + projected.swapaxes(1, 2)) / 2, (gram + gram.swapaxes(1, 2)) / 2

    return make


def pairs(projected: Stack, gram: Stack) -> Arrays:
    """One after another, by LAPACK."""
    values, vectors, _ = solved(projected, gram, projected.shape[1], projected.shape[1])
    return values, vectors


def signless(parts: Arrays) -> Arrays:
    """Values, and vectors times themselves, weighted."""
    return parts[0], *projectors(parts[1].shape[2], (parts[0], parts[1]))


def space_of_pairs(parts: Arrays) -> Arrays:
    """What is unique also where values are equal: values, Z Λ Z', Z Z'."""
    values, vectors = parts
    return values, (vectors * values[:, None, :]) @ vectors.swapaxes(1, 2), vectors @ vectors.swapaxes(1, 2)


def ritz(name: str, make: Callable[[np.random.Generator], Arrays], **options: Any) -> Case:
    """A case of the small problem."""
    return Case(
        ritz_pairs,
        name,
        make,
        pairs,
        tolerance=RITZ,
        reason=RITZ_REASON,
        cuda=() if name == "no problems" else ("small_eigen:ritz_pairs_f64",),
        **({"view": signless} | options),
    )


PENCILS = {
    "no problems": (0, 3),
    "one row": (2, 1),
    "two rows": (257, 2),
    "odd": (3, 7),
    "even": (2, 10),
    "prime": (2, 17),
    "more than a warp": (2, 37),
}
CASES = (
    *(
        one
        for name, sizes in SIZES.items()
        for dtype in TIGHT
        for metric in (False, True)
        for one in case(name, sizes, dtype, metric=metric, small=sizes[1] < 38 and sizes[0] < 9)
    ),
    *case("more than shared memory holds", (2, 301, 2, 9), "f8", metric=True, small=False),
    *case("the most vectors of a block, none in shared memory", (2, 71, 59, 64), "f8", metric=False, small=False),
    *case("large numbers", (2, 17, 3, 5), "f4", metric=True, scale=2.0**40),
    *case("small numbers", (2, 17, 3, 5), "f4", metric=False, scale=2.0**-40),
    *(unfinished(dtype) for dtype in TIGHT),
    *(ritz(name, pencil(*sizes), small=sizes[0] < 9 and sizes[1] < 20) for name, sizes in PENCILS.items()),
    ritz("more than shared memory holds", pencil(2, 53), small=False),
    ritz(
        "equal values",
        lambda rng: (np.tile(np.eye(6), (2, 1, 1)) * 3, np.tile(np.eye(6), (2, 1, 1))),
        view=space_of_pairs,
    ),
    ritz("zeros", lambda rng: (np.zeros((2, 5, 5)), pencil(2, 5)(rng)[1]), view=space_of_pairs),
    ritz("large numbers", lambda rng: tuple(2.0**100 * part for part in pencil(2, 5)(rng))),
)
