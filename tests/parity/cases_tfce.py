"""Cases of threshold-free cluster enhancement, against the clusters of every level of a map, one level at a time."""

import numpy as np
from graphs import alone, complete, lattice, part_of_lattice, path, star, wheel
from registry import Case
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from thalgpu.kernels.tfce import tfce


def by_levels(maps, integrals, indptr, indices, sizes, extent_power):
    """At each level, its clusters, and how far F has risen since the level below."""
    matrix = csr_array((np.ones(len(indices)), indices, indptr), shape=(len(sizes),) * 2)
    enhanced = np.zeros(maps.shape)
    for values, integral, result in zip(maps, integrals, enhanced, strict=True):
        below = 0.0
        for level in np.unique(values[values > 0]):
            members = np.flatnonzero(values >= level)
            _, labels = connected_components(matrix[members][:, members], directed=False)
            height = integral[values == level][0]
            result[members] += np.bincount(labels, sizes[members])[labels] ** extent_power * (height - below)
            below = height
    return enhanced


def normal(n_maps, n):
    """As statistics are."""
    return lambda rng: rng.standard_normal((n_maps, n))


def tied(n_maps, n):
    """A few values, so that there are plateaus; zeros of both signs among them."""
    return lambda rng: rng.choice([-1.0, -0.0, 0.0, 0.5, 0.75, 2.0], (n_maps, n))


def constant(value, n_maps, n):
    """The same everywhere."""
    return lambda _: np.full((n_maps, n), value)


def rising(n_maps, n):
    """One more with every element, and the other way round in every second map."""
    return lambda _: np.stack([np.arange(1.0, n + 1)[:: 1 - 2 * (row % 2)] for row in range(n_maps)])


def low_hub(n_maps, n):
    """The first element is the lowest one, so that it connects what others began; some are not there."""

    def make(rng):
        maps = rng.random((n_maps, n)) + 0.1 - (rng.random((n_maps, n)) < 0.1)
        maps[:, 0] = 0.05
        return maps

    return make


def exact(maps):
    """F of the exact integral with H = 2; where it is not to be read, what must not be used."""
    return np.where(maps > 0, np.abs(maps) ** 3 / 3, np.nan)


def stepped(maps):
    """F of steps of 0.25, which many values have in common."""
    step = 0.25
    counts = np.floor(np.maximum(maps, 0) / step)
    return step**3 * counts * (counts + 1) * (2 * counts + 1) / 6


def case(name, maps, neighbours, power=0.5, *, areas=True, integral=exact, order="C", small=True):
    """One case; sizes are areas, or 1 each; `neighbours` is a graph, or makes one from the generator."""

    def make(rng):
        values = np.asarray(maps(rng), order=order)
        edges = neighbours(rng) if callable(neighbours) else neighbours
        n = values.shape[1]
        return values, integral(values), *edges, rng.random(n) + 0.01 if areas else np.ones(n), power

    return Case(
        tfce,
        name,
        make,
        by_levels,
        tolerance=1e-12,
        reason="sums of up to n levels, in other orders",
        cuda=("tfce:tfce_f64",),
        small=small,
    )


PIECES = "a prime number of elements in pieces"
CASES = (
    case("one element", constant(2.5, 1, 1), alone(1)),
    case("no maps", normal(0, 7), path(7)),
    case("no elements", normal(3, 0), alone(0)),
    case("two elements", rising(3, 2), path(2)),
    *(
        case(f"{PIECES}, E {power}", normal(3, 101), lambda rng: part_of_lattice(rng, 101, 6, 7, 5), power)
        for power in (0, 0.5, 0.7, 1)
    ),
    case("voxels", normal(2, 105), lattice(5, 7, 3), areas=False),
    case("more elements than threads", normal(2, 391), lattice(17, 23)),
    case("as many elements as a power of two", normal(2, 64), lattice(8, 8)),
    case("ties", tied(5, 105), lattice(5, 7, 3)),
    case("ties in pieces, E 1", tied(4, 101), lambda rng: part_of_lattice(rng, 101, 6, 7, 5), 1),
    case("steps that values share", normal(3, 105), lattice(5, 7, 3), integral=stepped),
    case("nothing positive", lambda rng: -rng.random((2, 33)), path(33)),
    case("all equal", constant(1.5, 2, 105), lattice(5, 7, 3)),
    case("all zero", constant(0.0, 2, 9), path(9)),
    case("nothing touches", normal(2, 67), alone(67)),
    case("each above the one before", rising(2, 131), path(131)),
    case("a star", normal(3, 77), star(77)),
    case("a star whose centre is lowest", low_hub(3, 77), star(77)),
    case("a wheel whose hub is lowest", low_hub(3, 131), wheel(131, 7)),
    case("a wheel of one rim", low_hub(2, 131), wheel(131, 1000)),
    case("all touch", normal(2, 41), complete(41)),
    case("maps in Fortran's order", normal(3, 35), lattice(5, 7), order="F"),
    case(
        "more elements than shared memory holds",
        tied(2, 4111),
        lambda rng: part_of_lattice(rng, 4111, 16, 17, 19),
        small=False,
    ),
)
