"""Cases of clusters above a threshold, against SciPy's components."""

import numpy as np
from graphs import alone, complete, graph, lattice, part_of_lattice, path, star, wheel
from registry import Case
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from thalgpu.kernels.clusters import clusters


def by_components(maps, threshold, indptr, indices, sizes):
    """`bincount` adds up in the order of elements, too."""
    matrix = csr_array((np.ones(len(indices)), indices, indptr), shape=(len(sizes),) * 2)
    extents, masses = np.zeros(maps.shape), np.zeros(maps.shape)
    for values, extent, mass in zip(maps, extents, masses, strict=True):
        members = np.flatnonzero(values >= threshold)
        _, labels = connected_components(matrix[members][:, members], directed=False)
        extent[members] = np.bincount(labels, sizes[members])[labels]
        mass[members] = np.bincount(labels, values[members])[labels]
    return extents, masses


def normal(n_maps, n):
    """As statistics are."""
    return lambda rng: rng.standard_normal((n_maps, n))


def tied(n_maps, n):
    """A few values, the threshold among them."""
    return lambda rng: rng.choice([-1.0, 0.0, 0.25, 0.5], (n_maps, n))


def high(n_maps, n):
    """Everything is above."""
    return lambda rng: rng.random((n_maps, n)) + 1


def shuffled_path(rng, n):
    """A path through elements in random order: labels have far to go."""
    order = rng.permutation(n)
    return graph(n, np.stack([order[:-1], order[1:]], axis=1))


def case(name, maps, neighbours, threshold=0.25, *, order="C", small=True):
    """One case; `neighbours` is a graph, or makes one from the generator."""

    def make(rng):
        values = np.asarray(maps(rng), order=order)
        edges = neighbours(rng) if callable(neighbours) else neighbours
        return values, threshold, *edges, rng.random(values.shape[1]) + 0.01

    return Case(
        clusters,
        name,
        make,
        by_components,
        tolerance=0,
        reason="sums in the order of elements",
        cuda=("clusters:clusters_f64",),
        small=small,
    )


CASES = (
    case("one element", high(1, 1), alone(1)),
    case("no maps", normal(0, 7), path(7)),
    case("no elements", normal(3, 0), alone(0)),
    case("a prime number of elements in pieces", normal(3, 101), lambda rng: part_of_lattice(rng, 101, 6, 7, 5)),
    case("voxels", normal(2, 105), lattice(5, 7, 3)),
    case("more elements than threads", normal(2, 391), lattice(17, 23)),
    case("values at the threshold", tied(4, 105), lattice(5, 7, 3)),
    case("a threshold below zero", normal(2, 105), lattice(5, 7, 3), -0.8),
    case("nothing above", normal(2, 33), path(33), 9.0),
    case("everything above", normal(2, 391), lattice(17, 23), -9.0),
    case("nothing touches", normal(2, 67), alone(67)),
    case("a star", normal(3, 77), star(77), -0.5),
    case("a wheel", normal(3, 131), wheel(131, 7)),
    case("all touch", normal(2, 41), complete(41)),
    case("a long way round", high(2, 307), lambda rng: shuffled_path(rng, 307)),
    case("maps in Fortran's order", normal(3, 35), lattice(5, 7), order="F"),
    case("more elements than shared memory holds", normal(2, 8209), lattice(8209), small=False),
)
