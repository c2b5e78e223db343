"""Cases of the matrix products and of what they need besides: mirroring and centring."""

import numpy as np
from registry import Case

from thalgpu.kernels.gram import add_gram, centre_rows, cross_products, mirror

SUMS = {"f4": 1e-5, "f8": 1e-13}
SUMS_REASON = "a sum of some hundred products in the dtype of the data"
EXACT = "nothing is computed"
CENTRED = {"f4": 1e-6, "f8": 1e-14}
CENTRED_REASON = "a mean that two sums of float64 round to neighbours, off numbers of its size"
SHAPES = {
    "one entry": (1, 1),
    "odd": (9, 15),
    "prime": (31, 37),
    "more than one block": (300, 70),
    "one row": (1, 301),
    "one column": (45, 1),
    "long rows": (5, 1024),
    "no rows": (0, 7),
}
ORDERS = {"one row": 1, "odd": 33, "a whole tile": 32, "prime": 67, "several tiles": 129, "more than one block": 300}


def bits(dtype):
    """The end of a kernel's name."""
    return f"f{8 * np.dtype(dtype).itemsize}"


def matrix(shape, dtype):
    """Normal values."""
    return lambda rng: (rng.standard_normal(shape).astype(dtype),)


def half_filled(n, dtype):
    """A matrix with NaN above its diagonal, which nothing may come from."""

    def make(rng):
        square = rng.standard_normal((n, n)).astype(dtype)
        square[np.triu_indices(n, 1)] = np.nan
        return (square,)

    return make


def mirrored(square):
    """Each entry above the diagonal is the one below it."""
    return np.tril(square) + np.tril(square, -1).T


def mirrors(name, n, dtype):
    """A case of `mirror`."""
    return Case(
        mirror,
        f"{name} {dtype}",
        half_filled(n, dtype),
        lambda square: mirrored(np.where(np.isnan(square), 0, square)),
        tolerance=0,
        reason=EXACT,
        cuda=(f"gram:mirror_{bits(dtype)}",),
        overwritten=(0,),
        small=n < 200,
    )


def centred(rows):
    """Rows less their mean, which is rounded to their dtype; and their sums."""
    sums = rows.astype(np.float64).sum(axis=1)
    means = (sums / rows.shape[1]).astype(rows.dtype).astype(np.float64)
    return rows - means[:, None], sums


def centres(name, dtype, make, *, small=True):
    """A case of `centre_rows`."""
    return Case(
        centre_rows,
        f"{name} {dtype}",
        make,
        centred,
        tolerance=CENTRED[dtype],
        reason=CENTRED_REASON,
        cuda=(f"gram:centre_rows_{bits(dtype)}",),
        overwritten=(0,),
        small=small,
    )


def far_from_zero(rng):
    """Means of 1e4 and deviations of 1."""
    return ((rng.standard_normal((7, 600)) + 1e4).astype("f4"),)


def crosses(name, shapes, dtype):
    """A case of `cross_products`, which is a matrix product of the device's own library."""
    return Case(
        cross_products,
        f"{name} {dtype}",
        lambda rng: tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes),
        lambda a, b: a.astype(np.float64).T @ b,
        tolerance=SUMS[dtype],
        reason=SUMS_REASON,
    )


def adds(name, shape, dtype):
    """A case of `add_gram`, judged by the lower triangle: above it nothing is promised."""
    return Case(
        add_gram,
        f"{name} {dtype}",
        lambda rng: (np.eye(shape[0], dtype=dtype), rng.standard_normal(shape).astype(dtype)),
        lambda gram, rows: gram + rows.astype(np.float64) @ rows.T,
        tolerance=SUMS[dtype],
        reason=SUMS_REASON,
        overwritten=(0,),
        view=lambda parts: (np.tril(parts[0]),),
    )


DTYPES = ("f4", "f8")
CASES = (
    *(mirrors(name, n, dtype) for name, n in {**ORDERS, "no rows": 0}.items() for dtype in DTYPES),
    *(centres(name, dtype, matrix(shape, dtype)) for name, shape in SHAPES.items() for dtype in DTYPES),
    centres("far from zero f4, entries", "f4", far_from_zero),
    *(
        crosses(name, ((shape[0], shape[1]), (shape[0], 11)), dtype)
        for name, shape in SHAPES.items()
        for dtype in DTYPES
    ),
    *(adds(name, shape, dtype) for name, shape in SHAPES.items() for dtype in DTYPES),
)
