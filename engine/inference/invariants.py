"""Directions in the space of subjects that no permutation moves, and contrasts that depend on the constant."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.block_tree import Block, block_tree
from thalgpu.engine.inference.model import Contrast, Design

_ROUNDING = 1e-9


def invariant_directions(n_subjects: int, blocks: NDArray[np.int64] | None, *, flips: bool) -> NDArray[np.float64]:
    """Find all maps of subjects to numbers that stay the same whoever is exchanged.

    Parameters
    ----------
    n_subjects : rows of the design.
    blocks : (n_subjects, n_levels) int64 exchangeability blocks (see `block_tree`), or None for free exchange.
    flips : whether signs are flipped; then every map but zero is changed by some flip.

    Returns
    -------
    (n_subjects, n_directions) float64, orthonormal
        One column a set of places among which subjects wander: constant there, 0 elsewhere. For free exchange the
        constant; within blocks, an indicator a block; for pairs exchanged as wholes, their first and their second.
    """
    if flips:
        return np.empty((n_subjects, 0))
    tree = block_tree(blocks, n_subjects)
    orbit = np.empty(n_subjects, dtype=np.intp)
    orbit[list(tree.rows)] = _orbits(tree)
    member = np.arange(orbit.max() + 1) == orbit[:, None]
    return np.asarray(member / np.sqrt(member.sum(axis=0)))


def _orbits(block: Block) -> NDArray[np.intp]:
    """Number of the set among which each row of a block wanders, in the order of its rows, from 0 on."""
    if not block.children:
        return np.zeros(len(block.rows), dtype=np.intp) if block.shuffled else np.arange(len(block.rows))
    inside = [_orbits(child) for child in block.children]
    if block.shuffled:  # children of one shape, whose first, second, … rows take each other's places
        return np.tile(inside[0], len(inside))
    starts = np.cumsum([0] + [orbits.max() + 1 for orbits in inside[:-1]])
    return np.concatenate([orbits + start for orbits, start in zip(inside, starts, strict=True)])


def against_zero(design: Design) -> list[Contrast]:
    """Contrasts that a constant, added to everybody's values, changes: they compare a mean with 0, not subjects.

    With b such that `matrix @ b` is 1 everywhere, the constant adds `weights @ b` to what is tested. Exchanging
    subjects keeps their mean, and so says nothing of whether it is 0. None where no b makes a constant.
    """
    everybody = np.ones(len(design.matrix))
    constant = np.linalg.lstsq(design.matrix, everybody, rcond=None)[0]
    if np.abs(design.matrix @ constant - everybody).max() > _ROUNDING:
        return []
    sizes = np.abs(constant).max()
    return [
        one
        for one in design.contrasts
        if (np.abs(one.weights @ constant) > _ROUNDING * np.abs(one.weights).sum(axis=1) * sizes).any()
    ]
