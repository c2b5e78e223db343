"""Cases of correlation and of Fisher's z with and without row sums."""

import numpy as np
from registry import Case

from thalgpu.kernels.correlation import LARGEST_CORRELATION, correlation, fisher_z, fisher_z_and_sums

PRODUCTS = {np.float32: 1e-6, np.float64: 1e-14}
ROUNDING = {np.float32: 2e-7, np.float64: 1e-15}
"""Relative to the largest z, which is below 8.5: some units in the last place of 1."""


def z_reference(r):
    """Atanh of r, clipped to what the dtype makes of 1 - 1e-7."""
    largest = float(r.dtype.type(LARGEST_CORRELATION))
    return np.arctanh(np.clip(r.astype(np.float64), -largest, largest))


def z_and_sums_reference(r):
    """The same, and the sum of each row."""
    z = z_reference(r)
    return z, z.sum(axis=1)


def product_reference(seed, target):
    """Textbook sums of products."""
    return np.einsum("tv,tm->vm", seed.astype(np.float64), target.astype(np.float64))


def z_of_some_columns(r):
    """Fisher's z of columns that do not lie in one piece, and of all others as they are."""
    fisher_z(r[:, 2:9])


def z_of_some_columns_reference(r):
    """The same."""
    r[:, 2:9] = z_reference(r[:, 2:9])


def units(n_timepoints, n_voxels, n_targets, dtype):
    """Standardised series, of which one is zero."""

    def make(rng):
        parts = []
        for n in (n_voxels, n_targets):
            x = rng.standard_normal((n_timepoints, n))
            x -= x.mean(axis=0)
            x /= np.maximum(np.linalg.norm(x, axis=0), 1e-12)
            x[:, n // 2] = 0
            parts.append(x.astype(dtype))
        return tuple(parts)

    return make


def correlations(shape, dtype):
    """Correlations of every size; exactly and more than ±1 by rounding, and zero, where there is room."""

    def make(rng):
        r = rng.uniform(-1, 1, shape).astype(dtype)
        edge = np.array([1, -1, 1 + 3e-7, -1 - 3e-7, 0, -0.0, 1 - 2e-7], dtype)
        r.flat[: len(edge)] = edge[: r.size]
        return (r,)

    return make


def product_case(name, dtype, *shape):
    """One matrix product."""
    return Case(
        correlation,
        f"{name}, {np.dtype(dtype)}",
        units(*shape, dtype),
        product_reference,
        tolerance=PRODUCTS[dtype],
        reason="BLAS adds up to 97 products of one dtype in its own order",
    )


def z_case(name, dtype, shape, *, small=True):
    """Fisher's z, then with sums."""
    bits = f"f{8 * np.dtype(dtype).itemsize}"
    return (
        Case(
            fisher_z,
            f"{name}, {np.dtype(dtype)}",
            correlations(shape, dtype),
            z_reference,
            tolerance=ROUNDING[dtype],
            reason="a sum, a quotient and a logarithm, each rounded to a unit in the last place of at most 8.5",
            cuda=(f"correlation:fisher_z_{bits}",),
            small=small,
            overwritten=(0,),
        ),
        Case(
            fisher_z_and_sums,
            f"{name}, {np.dtype(dtype)}",
            correlations(shape, dtype),
            z_and_sums_reference,
            tolerance=ROUNDING[dtype] * 10,
            reason="z is rounded as above; its errors add up in a sum, more slowly than its terms do",
            cuda=(f"correlation:fisher_z_sums_{bits}",),
            small=small,
            overwritten=(0,),
        ),
    )


def strided_case(dtype):
    """Overwriting a part of a matrix."""
    return Case(
        z_of_some_columns,
        f"not in one piece, {np.dtype(dtype)}",
        correlations((13, 11), dtype),
        z_of_some_columns_reference,
        tolerance=ROUNDING[dtype],
        reason="as above",
        cuda=(f"correlation:fisher_z_f{8 * np.dtype(dtype).itemsize}",),
        overwritten=(0,),
    )


CASES = tuple(
    case
    for dtype in (np.float32, np.float64)
    for case in (
        strided_case(dtype),
        product_case("one of each", dtype, 5, 1, 1),
        product_case("prime and odd shape", dtype, 97, 13, 35),
        product_case("more than a block", dtype, 20, 9, 301),
        *z_case("one entry", dtype, (1, 1)),
        *z_case("a row", dtype, (1, 37)),
        *z_case("a column", dtype, (37, 1)),
        *z_case("odd shape", dtype, (9, 15)),
        *z_case("rows longer than a block", dtype, (5, 643)),
        *z_case("more entries than the grid has threads", dtype, (3, 87_509), small=False),
        *z_case("no rows", dtype, (0, 7)),
        *z_case("no columns", dtype, (3, 0)),
    )
)
