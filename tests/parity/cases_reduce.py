"""Cases of the reductions: the tree is walked here number by number, so sums must have equal bits, host and device."""

import numpy as np
from registry import Case

from thalgpu.kernels.reduce import maxima, minima, sums

LANES = {1: 256, 0: 8}
SHAPES = {
    "one entry": (1, 1),
    "odd": (9, 15),
    "prime": (37, 67),
    "one row": (1, 301),
    "one column": (301, 1),
    "more columns than lanes": (3, 777),
    "as many as lanes": (8, 256),
    "more rows than a segment": (513, 33),
    "several segments of rows": (1100, 5),
}
FEW = ("one entry", "odd", "prime", "more rows than a segment")
LONG = {"more columns than a segment": (2, 16385), "several segments of columns": (3, 40000)}


def by_tree(x, *, axis):
    """The sums as the module's text defines them."""
    return np.array([_fold(list(map(float, series)), LANES[axis]) for series in (x if axis == 1 else x.T)])


def _fold(entries, lanes):
    size = 64 * lanes
    while len(entries) > size:
        entries = [_segment(entries[start : start + size], lanes) for start in range(0, len(entries), size)]
    return _segment(entries, lanes)


def _segment(entries, lanes):
    found = [0.0] * lanes
    for place, entry in enumerate(entries):
        found[place % lanes] += entry
    while len(found) > 1:
        half = len(found) // 2
        found = [found[i] + found[i + half] for i in range(half)]
    return found[0]


def largest(x, *, axis):
    """NumPy's own, which also takes the first of equal ones, and NaN before numbers."""
    return x.max(axis=axis), x.argmax(axis=axis)


def smallest(x, *, axis):
    """Likewise."""
    return x.min(axis=axis), x.argmin(axis=axis)


def matrix(shape, dtype):
    """Numbers over several orders of magnitude, so that another order of sums has other bits."""
    return lambda rng: ((rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype),)


def ties(shape, dtype):
    """Few different numbers, of both signs, zeros of both among them."""
    return lambda rng: (np.array([-2, -1, -0.0, 0.0, 1, 2], dtype)[rng.integers(0, 6, shape)],)


def holes(shape, dtype):
    """NaN and infinity here and there."""

    def make(rng):
        x = rng.standard_normal(shape).astype(dtype)
        for value, share in ((np.nan, 0.05), (np.inf, 0.05), (-np.inf, 0.05)):
            x[rng.random(shape) < share] = value
        return (x,)

    return make


def case(operation, name, make, dtype, axis, *, small=True):
    """One case; the dtype and the axis stand in its name."""
    reference = {sums: by_tree, maxima: largest, minima: smallest}[operation]
    kernel = f"{('column', 'row')[axis]}_{'sums' if operation is sums else 'extremes'}"
    # Sums of segments are float64, so are their sums.
    second = (f"reduce:{kernel}_f64",) if operation is sums and name in (*LONG, *MANY) and _is_long(name, axis) else ()
    return Case(
        operation,
        f"{name} {dtype}, axis {axis}",
        make,
        reference,
        tolerance=0,
        reason="the same tree" if operation is sums else "nothing is computed",
        options={"axis": axis},
        cuda=tuple(dict.fromkeys((f"reduce:{kernel}_f{8 * np.dtype(dtype).itemsize}", *second))),
        small=small,
    )


MANY = ("more rows than a segment", "several segments of rows")


def _is_long(name, axis):
    """Whether rows (columns) of that shape are longer than a segment."""
    return {**SHAPES, **LONG}[name][axis] > 64 * LANES[axis]


def each(operation):
    """Every shape, dtype and axis; a few for minima, which are the maxima's kernels with a flag."""
    return (
        case(operation, name, matrix(shape, dtype), dtype, axis, small=name not in LONG)
        for name, shape in {**SHAPES, **LONG}.items()
        if operation is not minima or name in FEW
        for dtype in ("f4", "f8")
        for axis in (0, 1)
    )


def special(operation):
    """Ties, and what is not finite."""
    return (
        case(operation, name, make(shape, dtype), dtype, axis)
        for name, make, shape in (
            ("ties", ties, (41, 523)),
            ("a few ties", ties, (23, 5)),
            ("NaN and infinity", holes, (41, 523)),
            ("some NaN and infinity", holes, (23, 5)),
        )
        for dtype in ("f4", "f8")
        for axis in (0, 1)
    )


CASES = (
    *(made for operation in (sums, maxima, minima) for made in each(operation)),
    *(made for operation in (maxima, minima) for made in special(operation)),
    case(sums, "NaN and infinity", holes((41, 523), "f4"), "f4", 1),
    case(sums, "NaN and infinity", holes((41, 523), "f4"), "f4", 0),
    *(case(operation, "no rows", matrix((0, 5), "f4"), "f4", 1) for operation in (sums, maxima, minima)),
    *(case(operation, "no columns", matrix((5, 0), "f8"), "f8", 0) for operation in (sums, maxima, minima)),
    case(sums, "nothing to add up", matrix((4, 0), "f4"), "f4", 1),
)
