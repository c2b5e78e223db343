"""Cases of weighted sums of a stack: a matrix product, BLAS's on the host."""

import numpy as np
from registry import Case

from thalgpu.kernels.weighted_sums import weighted_sums

TOLERANCES = {"f4": 4e-6, "f8": 1e-14}
REASON = "some hundred products added up in the dtype of the stack: eps times the root of their number, and to spare"
SHAPES = {
    "one of each": (1, 1, 1),
    "odd": (3, 7, 11),
    "prime": (13, 17, 67),
    "whole tiles": (64, 16, 128),
    "several tiles": (131, 37, 70),
    "many entries": (2, 5, 1031),
    "many sets": (257, 3, 5),
    "no sets": (0, 4, 9),
    "no entries": (5, 4, 0),
}
"""Sets, members, entries."""


def drawn(shape, dtype, *, weights="f8"):
    """Weights as of means of groups, which add up to 1, and normal entries."""

    def make(rng):
        n_sets, n_members, n_entries = shape
        given = rng.random((n_sets, n_members))
        given /= given.sum(axis=1, keepdims=True)
        return given.astype(weights), rng.standard_normal((n_members, n_entries)).astype(dtype)

    return make


def from_nowhere(rng):
    """Results that are already there hold NaN."""
    return *drawn((5, 9, 77), "f4")(rng), np.full((5, 77), np.nan, "f4")


def stretch(dtype):
    """Columns from the middle of a longer stack."""

    def make(rng):
        weights, stack = drawn((4, 6, 90), dtype)(rng)
        return weights, stack[:, 13:84]

    return make


def signed(rng):
    """Weights of both signs, as covariates leave them, far larger than their sum."""
    weights = 50 * rng.standard_normal((7, 19))
    return weights - weights.mean(axis=1, keepdims=True) + 1 / 19, rng.standard_normal((19, 83)).astype("f4")


def text_book(weights, stack, out=None):
    """Member by member, with weights as they are after rounding."""
    weights = weights.astype(stack.dtype).astype(np.float64)
    sums = np.zeros((len(weights), stack.shape[1]))
    for weight, member in zip(weights.T, stack.astype(np.float64), strict=True):
        sums += weight[:, None] * member
    return sums


def case(name, dtype, make, **options):
    """A case of one dtype."""
    return Case(
        weighted_sums,
        f"{name} {dtype}",
        make,
        text_book,
        tolerance=TOLERANCES[dtype],
        reason=REASON,
        cuda=() if name.startswith("no ") else (f"weighted_sums:weighted_sums_f{8 * np.dtype(dtype).itemsize}",),
        **options,
    )


CASES = (
    *(
        case(name, dtype, drawn(shape, dtype), small=shape[0] < 130)
        for name, shape in SHAPES.items()
        for dtype in TOLERANCES
    ),
    case("weights of single precision,", "f4", drawn((3, 8, 9), "f4", weights="f4")),
    case("into an array that is there,", "f4", from_nowhere, overwritten=(2,)),
    *(case("a stretch of columns,", dtype, stretch(dtype)) for dtype in TOLERANCES),
    case("weights of both signs,", "f4", signed),
    case("zeros,", "f4", lambda rng: (np.zeros((2, 3)), np.ones((3, 5), "f4"))),
)
