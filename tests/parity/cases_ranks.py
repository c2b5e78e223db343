"""Cases of average ranks: ties, signs, and rows that a block can sort and rows that it cannot."""

import numpy as np
from registry import Case
from scipy.stats import rankdata

from thalgpu.kernels.ranks import average_ranks


def reference(x):
    """SciPy's ranks."""
    return rankdata(x, axis=1) if x.size else np.zeros(x.shape)


def normal(shape):
    """Continuous: no ties."""
    return lambda rng: rng.standard_normal(shape)


def tied(shape):
    """A few values, zeros of both signs among them; the first row is constant."""

    def make(rng):
        x = rng.choice([-1.5, -0.25, -0.0, 0, 0.5, 2], shape)
        x[:1] = 0.75
        return x

    return make


def case(name, make, dtype, *, kernel="rank_rows", small=True):
    """One case; the dtype stands in its name."""
    return Case(
        average_ranks,
        f"{name}, {np.dtype(dtype)}",
        lambda rng: (make(rng).astype(dtype),),
        reference,
        tolerance=0,
        reason="multiples of ½ are exact",
        cuda=(f"ranks:{kernel}_f{8 * np.dtype(dtype).itemsize}",),
        small=small,
    )


CASES = tuple(
    one
    for dtype in (np.float32, np.float64)
    for one in (
        case("one entry", normal((1, 1)), dtype),
        case("one column", normal((5, 1)), dtype),
        case("no rows", normal((0, 9)), dtype),
        case("no columns", normal((3, 0)), dtype),
        case("prime number of columns", normal((7, 101)), dtype),
        case("odd number of columns", tied((5, 33)), dtype),
        case("a power of two", normal((3, 64)), dtype),
        case("rows longer than a block", tied((2, 641)), dtype),
        case("the longest rows that a block sorts", normal((2, 4096)), dtype, small=False),
        case("rows that no block sorts", normal((2, 4099)), dtype, kernel="rank_sorted_rows", small=False),
        case("ties in rows that no block sorts", tied((3, 4097)), dtype, kernel="rank_sorted_rows"),
    )
)
