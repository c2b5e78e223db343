"""Cases of `standardize`: columns that are held by a block and columns that are not, and series of every kind."""

import numpy as np
from registry import Case

from thalgpu.kernels.standardize import standardize

REASON = {
    np.float32: "an entry is rounded once, to half a unit in the last place of at most 1; float64 sums hide the rest",
    np.float64: "sums of up to 5,003 terms in another order",
}
TOLERANCE = {np.float32: 1.2e-7, np.float64: 1e-13}


def reference(series):
    """(x - mean) / norm; 0 where the SD is within four units in the last place of the largest value."""
    unit, varies = np.zeros(series.shape), np.zeros(series.shape[1], bool)
    for column in range(series.shape[1]):
        x = series[:, column].astype(np.float64)
        if not np.isfinite(x).all():
            continue
        peak = np.abs(x).max()
        x = np.ldexp(x, -np.frexp(peak)[1])
        centred = x - x[0] - (x - x[0]).mean()
        varies[column] = centred.std() > 4 * np.finfo(series.dtype).eps * np.abs(x).max()
        if varies[column]:
            unit[:, column] = centred / np.linalg.norm(centred)
    return unit, varies


def standardize_rows(series):
    """The public function of series that lie in rows."""
    return standardize(series.T)


def normal(n_timepoints, n_series, dtype, offset=0.0, scale=1.0):
    """Normal series."""
    return lambda rng: ((rng.standard_normal((n_timepoints, n_series)) * scale + offset).astype(dtype),)


def special(dtype):
    """Constants, constants but for rounding, NaN, infinities, large offsets and zeros, between ordinary series."""

    def make(rng):
        series = rng.standard_normal((61, 13)).astype(dtype)
        series[:, 1] = 0.1
        series[:, 3] = np.where(rng.random(61) < 0.5, dtype(1e4), np.nextafter(dtype(1e4), dtype(0)))
        series[17, 4], series[60, 5], series[0, 6] = np.nan, np.inf, -np.inf
        series[:, 7] += 1e4
        series[:, 8], series[:, 9] = 0, -0.0
        series[5, 9], series[:, 10] = 3, np.arange(61)
        return (series,)

    return make


def case(name, make, dtype, *, small=True, operation=standardize, reference=reference):
    """One case; the dtype stands in its name."""
    return Case(
        operation,
        f"{name}, {np.dtype(dtype)}",
        make,
        reference,
        tolerance=TOLERANCE[dtype],
        reason=REASON[dtype],
        cuda=(f"standardize:standardize_f{8 * np.dtype(dtype).itemsize}",),
        small=small,
    )


def cases_of(dtype):
    """Every case of a dtype."""
    return (
        case("one time point", normal(1, 5, dtype), dtype),
        case("two time points, prime number of series", normal(2, 67, dtype), dtype),
        case("one series", normal(97, 1, dtype), dtype),
        case("odd shape", normal(45, 33, dtype, offset=3), dtype),
        case("a whole block", normal(40, 32, dtype), dtype),
        case("more series than a block has threads", normal(9, 301, dtype), dtype, small=False),
        case("sixteen columns a block", normal(391, 21, dtype), dtype),
        case("eight columns a block", normal(769, 11, dtype), dtype, small=False),
        case("too long to be held", normal(5003, 35, dtype), dtype, small=False),
        case(
            "transposed",
            normal(9, 31, dtype),
            dtype,
            operation=standardize_rows,
            reference=lambda series: reference(series.T),
        ),
        case("large offset", normal(50, 7, dtype, offset=1e4), dtype),
        case("special series", special(dtype), dtype),
    )


CASES = (
    *cases_of(np.float32),
    *cases_of(np.float64),
    case("four columns a block", normal(1201, 5, np.float64), np.float64, small=False),
    case("huge numbers", normal(31, 5, np.float64, scale=1e300), np.float64),
    case("tiny numbers", normal(31, 5, np.float64, scale=1e-300), np.float64),
)
