"""Graphs whose elements have values, as cases: lattices, and what lattices never are."""

import numpy as np


def graph(n, edges):
    """Neighbours (indptr, indices) of n elements, ascending, from pairs of elements."""
    pairs = np.array(list(edges), dtype=np.int64).reshape(-1, 2)
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    degrees = np.bincount(pairs[:, 0], minlength=n)
    return np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32), pairs[:, 1].astype(np.int32)


def lattice(*shape):
    """Elements that share a face."""
    places = np.arange(np.prod(shape)).reshape(shape)
    steps = (np.moveaxis(places, axis, 0) for axis in range(len(shape)))
    edges = [np.stack([rows[:-1].ravel(), rows[1:].ravel()], axis=1) for rows in steps]
    return graph(places.size, np.concatenate(edges))


def part_of_lattice(rng, n, *shape):
    """A random choice of elements: several pieces, and some that are alone."""
    indptr, indices = lattice(*shape)
    numbers = np.full(len(indptr) - 1, -1)
    numbers[np.sort(rng.choice(len(numbers), n, replace=False))] = np.arange(n)
    rows = np.repeat(np.arange(len(numbers)), np.diff(indptr))
    edges = np.stack([numbers[rows], numbers[indices]], axis=1)
    return graph(n, edges[(edges >= 0).all(axis=1)])


def path(n):
    """One after the other."""
    return lattice(n)


def star(n):
    """All touch the first, and nothing else."""
    return graph(n, ((0, i) for i in range(1, n)))


def wheel(n, arc):
    """All touch the first, and stretches of `arc` of them are closed in themselves."""
    return graph(n, [*((0, i) for i in range(1, n)), *((i, i + 1) for i in range(1, n - 1) if i % arc)])


def alone(n):
    """Nothing touches anything."""
    return graph(n, ())


def complete(n):
    """All touch all."""
    return graph(n, ((i, j) for i in range(n) for j in range(i)))
