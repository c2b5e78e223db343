"""Cases of `product_scale`: powers of two, so equal bits; array-API code, the same lines on host and device."""

import numpy as np
from registry import Case

from thalgpu.kernels.scaling import product_scale

REASON = "powers of two are exact"
SCALED_BY_ROW = ("cosine", "normalized_angle", "pearson")


def reference(name, x, kernel, *, sparse):
    """2^-e for a largest entry in [2^(e-1), 2^e): a row's own, or that of all rows; None within 2^±20."""
    if kernel == "spearman":
        return None
    exponents = []
    for row in x.astype(np.float64):
        peak = row.max() if sparse and row.max() > 0 else np.abs(row).max()
        exponents.append(np.floor(np.log2(peak)) + 1 if peak > 0 else 0)
    if kernel == "eta2":
        exponents = [max(exponents)] * len(x)
    if kernel == "gaussian":
        exponents = [0] * len(x)
    most = 120 if x.dtype == np.float32 else 1000
    return None if np.abs(exponents).max() <= 20 else np.exp2(-np.clip(exponents, -most, most))


def rows(shape, dtype, exponents):
    """Rows of normal values, each multiplied by a power of two."""

    def make(rng):
        x = rng.standard_normal(shape).astype(dtype)
        return np.ldexp(x, np.resize(exponents, shape[0])[:, None].astype(np.int32))

    return make


def case(name, kernel, make, *, sparse=False):
    """One case; the kernel stands in its name."""
    return Case(
        product_scale,
        f"{kernel}, {name}",
        lambda rng: ("connectivity", make(rng), kernel),
        reference,
        tolerance=0,
        reason=REASON,
        options={"sparse": sparse},
    )


CASES = (
    *(case("ordinary", kernel, rows((7, 15), "f4", [0])) for kernel in ("cosine", "spearman", "gaussian", "eta2")),
    *(case("far apart", kernel, rows((131, 33), "f4", [-100, 0, 90])) for kernel in SCALED_BY_ROW),
    *(case("far apart, sparse", kernel, rows((65, 9), "f8", [-900, 0, 800]), sparse=True) for kernel in SCALED_BY_ROW),
    case("all large", "eta2", rows((67, 301), "f4", [60, 70])),
    case("one row, one column", "cosine", rows((1, 1), "f8", [300])),
    case("a row of zeros", "pearson", lambda rng: np.outer([0.0, 2.0**40], [1.0, -1.0, 0.5])),
    case("negative rows, sparse", "cosine", lambda rng: -np.outer([2.0**40, 1.0], rng.random(9)), sparse=True),
)
