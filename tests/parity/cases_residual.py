"""Cases of `residual`: bases of every rank, series that are held by a block and series that are not."""

import numpy as np
from registry import Case

from thalgpu.kernels.residual import residual

REASON = {
    np.float32: "an entry is rounded once, to half a unit in the last place of at most 1; products are in float64",
    np.float64: "products of terms up to 1e4 times what is left, added up in another order",
}
TOLERANCE = {np.float32: 1.2e-7, np.float64: 1e-11}


def reference(series, basis):
    """What a least-squares fit of each column leaves, centred and divided by its norm; 0 where that is rounding."""
    unit, varies = np.zeros(series.shape), np.zeros(series.shape[1], bool)
    for column in range(series.shape[1]):
        y = series[:, column].astype(np.float64)
        if not np.isfinite(y).all():
            continue
        left = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
        left -= left.mean()
        varies[column] = left.std() > 16 * np.finfo(series.dtype).eps * np.abs(y).max()
        if varies[column]:
            unit[:, column] = left / np.linalg.norm(left)
    return unit, varies


def orthonormal(rng, n_timepoints, rank):
    """A basis that a constant is in, if it has any columns."""
    columns = np.hstack([np.ones((n_timepoints, 1)), rng.standard_normal((n_timepoints, max(rank - 1, 0)))])
    return np.ascontiguousarray(np.linalg.qr(columns)[0][:, :rank])


def normal(n_timepoints, n_series, rank, dtype, offset=0.0):
    """Normal series."""

    def make(rng):
        series = rng.standard_normal((n_timepoints, n_series)) + offset
        return series.astype(dtype), orthonormal(rng, n_timepoints, rank)

    return make


def without_constant(dtype):
    """A basis that no constant is in, of series with one."""

    def make(rng):
        series, basis = normal(51, 9, 4, dtype, offset=5)(rng)
        return series, np.ascontiguousarray(basis[:, 1:])

    return make


def special(dtype):
    """Constants, zeros, series inside the basis, NaN and infinities between ordinary series."""

    def make(rng):
        series, basis = normal(61, 11, 7, dtype, offset=100)(rng)
        series[:, 1], series[:, 2] = 0.1, 0
        series[:, 3] = 1e3 * basis @ rng.standard_normal(7)
        series[11, 5], series[60, 6], series[0, 7] = np.nan, np.inf, -np.inf
        return series, basis

    return make


def case(name, make, dtype, *, small=True):
    """One case; the dtype stands in its name."""
    return Case(
        residual,
        f"{name}, {np.dtype(dtype)}",
        make,
        reference,
        tolerance=TOLERANCE[dtype],
        reason=REASON[dtype],
        cuda=(f"residual:residual_f{8 * np.dtype(dtype).itemsize}",),
        small=small,
    )


CASES = tuple(
    one
    for dtype in (np.float32, np.float64)
    for one in (
        case("one time point", normal(1, 5, 1, dtype), dtype),
        case("one series, one regressor", normal(97, 1, 1, dtype), dtype),
        case("an empty basis", normal(20, 7, 0, dtype), dtype),
        case("a basis of everything", normal(15, 7, 15, dtype), dtype),
        case("odd shape", normal(45, 33, 9, dtype), dtype),
        case("more series than a block has threads", normal(9, 301, 3, dtype), dtype, small=False),
        case("eight columns a block", normal(389, 11, 5, dtype), dtype),
        case("four columns a block", normal(801, 5, 5, dtype), dtype, small=False),
        case("too long to be held", normal(1511, 35, 5, dtype), dtype, small=False),
        case("large offset", normal(50, 7, 3, dtype, offset=1e4), dtype),
        case("a basis without a constant", without_constant(dtype), dtype),
        case("special series", special(dtype), dtype),
    )
)
