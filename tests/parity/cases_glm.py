"""Cases of the general linear model: permuted rows, t, F, and counts, against their formulas."""

import numpy as np
from registry import Case

from thalgpu.kernels.glm import (
    LEAST_RESIDUAL,
    count_exceedances,
    f_statistics,
    permuted_rows,
    t_statistics,
    tie_threshold,
)

SIZES = {  # permutations, features, subjects
    "one of each": (1, 1, 1),
    "odd": (3, 5, 9),
    "prime": (7, 37, 13),
    "more than one block": (5, 301, 307),
    "more permutations than a thread counts": (131, 11, 3),
    "no permutations": (0, 7, 5),
    "no features": (3, 0, 5),
}


def permuted(basis, permutations, signs):
    """Row i of the permuted design is row p[i] of the design."""
    flips = np.ones(permutations.shape) if signs is None else signs
    rows = [
        [sign * basis[place] for place, sign in zip(*row, strict=True)] for row in zip(permutations, flips, strict=True)
    ]
    return np.array(rows).reshape(*permutations.shape, basis.shape[1]).swapaxes(1, 2)


def error(projections, total):
    """Residual sum of squares, not below its rounding."""
    return np.maximum(total - (projections**2).sum(axis=1), LEAST_RESIDUAL * total)


def t_of(projections, total, df):
    """The text-book's formula."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = projections[:, 0] / np.sqrt(error(projections, total) / df)
    return np.where(total > 0, t, 0)


def f_of(projections, total, df, rank):
    """The text-book's formula."""
    with np.errstate(invalid="ignore", divide="ignore"):
        f = (projections[:, :rank] ** 2).sum(axis=1) / rank / (error(projections, total) / df)
    return np.where(total > 0, f, 0)


def count(statistics, thresholds):
    """By NumPy."""
    return (statistics >= thresholds).sum(axis=0)


def slightly_less(observed):
    """Further down, by a part of itself, and a little more."""
    return np.where(observed < 0, 1 + 1e-9, 1 - 1e-9) * observed - 1e-12


def products(n_perm, n_rows, n_features, *, rest=1.0):
    """Projections, and totals with `rest` times a random residual; the second feature has no values but zeros."""

    def make(rng):
        projections = rng.standard_normal((n_perm, n_rows, n_features))
        largest = (projections**2).sum(axis=1).max(axis=0, initial=0)
        total = largest + rest * rng.uniform(0.5, 2, n_features)
        projections[..., 1:2], total[1:2] = 0, 0
        return projections, total, 11.5

    return make


def shuffles(n_perm, n_subjects, n_columns, *, flip):
    """Permutations, with signs or without."""

    def make(rng):
        order = rng.permuted(np.tile(np.arange(n_subjects, dtype=np.int32), (n_perm, 1)), axis=1)
        signs = rng.choice(np.array([-1, 1], dtype=np.int8), order.shape) if flip else None
        return rng.standard_normal((n_subjects, n_columns)), order, signs

    return make


def reached(n_perm, n_features):
    """Statistics of few values, and thresholds among them, so that many are equal; infinity reaches all."""

    def make(rng):
        values = np.array([-np.inf, -1.5, 0, 0.25, 2, np.inf])
        return rng.choice(values, (n_perm, n_features)), rng.choice(values, n_features)

    return make


def strided(make):
    """The same numbers, the first array in Fortran's order."""

    def transposed(rng):
        first, *others = make(rng)
        return np.asfortranarray(first), *others

    return transposed


def followed_by(value, make):
    """One more argument."""
    return lambda rng: (*make(rng), value)


def t_case(name, make):
    """Student's t."""
    reason = "some sums of a few squares, a root and a quotient"
    return Case(t_statistics, name, make, t_of, 1e-13, reason, cuda=("glm:t_statistics_f64",))


def f_case(name, make, rank):
    """F, of `rank` directions."""
    reason = "some sums of a few squares and a quotient"
    return Case(f_statistics, name, followed_by(rank, make), f_of, 1e-13, reason, cuda=("glm:f_statistics_f64",))


def rows_case(name, make):
    """Permuted rows."""
    return Case(permuted_rows, name, make, permuted, 0, "nothing is computed", cuda=("glm:permuted_rows_f64",))


def count_case(name, make):
    """Counts."""
    return Case(count_exceedances, name, make, count, 0, "whole numbers", cuda=("glm:count_exceedances_f64",))


def tie_case(name, n, *values):
    """What counts as a tie: of normal numbers, and these."""

    def make(rng):
        return (np.append(rng.standard_normal(n), values),)

    return Case(tie_threshold, name, make, slightly_less, 1e-15, "a product and two differences")


CASES = (
    *(t_case(name, products(n_perm, 4, n_features)) for name, (n_perm, n_features, _) in SIZES.items()),
    t_case("no nuisance", products(5, 1, 31)),
    t_case("a perfect fit", products(5, 3, 31, rest=0)),
    t_case("projections in Fortran's order", strided(products(5, 3, 31))),
    *(f_case(name, products(n_perm, 5, n_features), 2) for name, (n_perm, n_features, _) in SIZES.items()),
    f_case("no nuisance", products(5, 3, 31), 3),
    f_case("one direction", products(5, 3, 31), 1),
    f_case("a perfect fit", products(5, 3, 31, rest=0), 2),
    *(
        rows_case(f"{name}, {'signs' if flip else 'no signs'}", shuffles(n_perm, n_subjects, 3, flip=flip))
        for name, (n_perm, _, n_subjects) in SIZES.items()
        for flip in (False, True)
    ),
    rows_case("one column", shuffles(5, 9, 1, flip=True)),
    rows_case("no columns", shuffles(5, 9, 0, flip=True)),
    rows_case("a basis in Fortran's order", strided(shuffles(5, 9, 3, flip=True))),
    *(count_case(name, reached(n_perm, n_features)) for name, (n_perm, n_features, _) in SIZES.items()),
    count_case("statistics in Fortran's order", strided(reached(131, 11))),
    *(tie_case(f"{n} numbers and zeros", n, 0.0, -0.0) for n in (5, 299)),
    tie_case("one number", 1),
    tie_case("nothing", 0),
)
