"""Cases of `affinity_from_gram`: every kernel, shape and kind of row, from products as the engine gives them."""

import math

import numpy as np
from registry import Case

from thalgpu.kernels.affinity import CENTRED, KERNELS, affinity_from_gram

ROUNDING = {"f4": 2e-6, "f8": 2e-15}
REASON = "a handful of roundings of numbers of about 1, and acos within two units in the last place"
STEEP = {"f4": 2e-3, "f8": 1e-7}
STEEP_REASON = "acos(1 - ε) = √(2ε): a few units in the last place of the cosine become as many roots of an angle"


def reference(gram, means, n_targets, kernel, *, non_negative=True, gamma=None):
    """A pair at a time, each formula as the docstring has it, from what is below the diagonal."""
    gram, root, n = gram.astype(np.float64), math.sqrt(n_targets), len(gram)
    affinity, q = np.zeros((n, n)), np.diagonal(gram)
    gamma = 1 / n_targets if gamma is None else gamma
    offset = (means - means.mean()) * root if kernel in CENTRED else q
    present = [_has_direction(q[i], means[i], kernel) for i in range(n)]
    for i in range(n):
        for j in range(i + 1):
            if not (present[i] and present[j]):
                continue
            apart = (offset[i] - offset[j]) ** 2
            if kernel == "gaussian":
                value = math.exp(-gamma * (q[i] + q[j] - 2 * gram[i, j] + apart))
            elif kernel == "eta2":
                total = q[i] + q[j] + apart / 2
                value = ((q[i] + q[j]) / 2 + gram[i, j]) / total if total > 0 else 1.0
            else:
                value = min(1.0, max(-1.0, gram[i, j] / math.sqrt(q[i] * q[j])))
                value = 1 - math.acos(value) / math.pi if kernel == "normalized_angle" else value
            value = 1.0 if i == j else value
            affinity[i, j] = affinity[j, i] = max(value, 0.0) if non_negative else value
    return affinity


def _has_direction(q, mean, kernel):
    """Whether a row can be compared: not all zero, and for correlations not constant."""
    if kernel in ("pearson", "spearman"):
        return q > 1e-20 * max(1.0, mean**2)
    return q > 0 or (kernel in CENTRED and mean != 0)


def products(make, kernel, dtype, *, above=True):
    """The arguments for rows: the lower triangle of their products, and NaN above where nothing may be read."""

    def arguments(rng):
        rows = make(rng)
        n_targets = rows.shape[1]
        means = rows.mean(axis=1) if kernel in CENTRED else np.zeros(len(rows))
        centred = rows - means[:, None]
        # Rows that are constant but for rounding have no product at all, as exact arithmetic would have it.
        centred[np.ptp(rows, axis=1) == 0] = 0 if kernel in CENTRED else rows[np.ptp(rows, axis=1) == 0]
        gram = (centred @ centred.T).astype(dtype)
        gram[np.triu_indices(len(rows), 1)] = gram.T[np.triu_indices(len(rows), 1)] if above else np.nan
        return gram, means, n_targets, kernel

    return arguments


def ordinary(n, n_targets=60):
    """Rows of which some are alike and some opposed."""
    return lambda rng: (
        rng.standard_normal((n, 4)) @ rng.standard_normal((4, n_targets)) + rng.standard_normal((n, n_targets))
    )


def special(rng):
    """Rows of zeros, constant ones, equal ones and opposed ones, among others."""
    rows = rng.standard_normal((37, 50))
    rows[0] = rows[33] = 0
    rows[1], rows[31], rows[32] = 0.1, 7, 7
    rows[2] = rows[36]
    rows[3] = -rows[35]
    return rows


def offset(rng):
    """Rows far from zero, each at a distance of its own."""
    return rng.standard_normal((35, 40)) + 1e3 + rng.standard_normal((35, 1))


def parallel(rng):
    """Rows of one direction: by rounding, some have a cosine above 1."""
    return np.outer(rng.uniform(0.5, 2, 33), rng.standard_normal(50))


def case(name, kernel, dtype, make, *, gamma=None, non_negative=True, above=False, steep=False, small=True):
    """One case; the kernel and the dtype stand in its name."""
    formula = {"pearson": "cosine", "spearman": "cosine"}.get(kernel, kernel)
    steep = steep and kernel == "normalized_angle"
    return Case(
        affinity_from_gram,
        f"{kernel} {dtype}, {name}",
        products(make, kernel, dtype, above=above),
        reference,
        tolerance=STEEP[dtype] if steep else ROUNDING[dtype],
        reason=STEEP_REASON if steep else REASON,
        options={"non_negative": non_negative} | ({} if gamma is None else {"gamma": gamma}),
        cuda=(f"affinity:{formula}_f{8 * np.dtype(dtype).itemsize}",),
        small=small,
        overwritten=(0,),
    )


def each(name, make, **options):
    """The case for every kernel and dtype."""
    return (case(name, kernel, dtype, make, **options) for kernel in KERNELS for dtype in ("f4", "f8"))


CASES = (
    *each("ordinary", ordinary(45)),
    *each("negative ones kept", ordinary(33), non_negative=False),
    *each("zero, constant, equal and opposed rows", special, non_negative=False, steep=True),
    *each("a prime number of rows, several tiles", ordinary(101), small=False),
    *each("parallel rows", parallel, steep=True),
    *each("far from zero", offset, steep=True),
    *each("one row", ordinary(1)),
    case("more rows than a block has threads", "normalized_angle", "f4", ordinary(300), small=False),
    case("wide gamma", "gaussian", "f4", ordinary(40), gamma=0.003),
    case("narrow gamma", "gaussian", "f8", ordinary(40), gamma=1.5),
    case("symmetric already", "cosine", "f4", ordinary(32), above=True),
    case("no rows", "cosine", "f4", ordinary(0)),
)
