"""How gradients of groups differ: maps, eigenvalues, range and subspaces, for many permutations at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import subspace_angles

from thalgpu.engine.inference.model import Part
from thalgpu.kernels.procrustes import batched_procrustes

Floats = NDArray[np.float64]

SCALARS = ("eigenvalue", "explained", "range", "subspace")
"""What is compared besides maps: one number a component each."""


@dataclass(frozen=True, eq=False)
class GroupGradients:
    """Gradients of several groups under each of some permutations.

    Attributes
    ----------
    aligned : (n_perm, n_groups, n_voxels, n_components): aligned to the template.
    lambdas : (n_perm, n_groups, n_components): eigenvalues of the operator, descending, without the trivial one.
    explained : (n_perm, n_groups, n_components): their share of the operator's trace, less the trivial one.
    vectors : (n_perm, n_groups, n_voxels, n_components): orthonormal eigenvectors of the symmetric operator.
    """

    aligned: Floats
    lambdas: Floats
    explained: Floats
    vectors: Floats


def feature_parts(n_voxels: int, n_components: int) -> tuple[Part, ...]:
    """Stretches of the features: a map a component, then one number a component of each of `SCALARS`."""
    names = [*(f"component-{number}" for number in range(1, n_components + 1)), *SCALARS]
    sizes = [n_voxels] * n_components + [n_components] * len(SCALARS)
    ends = np.cumsum(sizes).tolist()
    return tuple(Part(name, stop - size, stop) for name, size, stop in zip(names, sizes, ends, strict=True))


def align(maps: Floats, template: Floats, n_align: int) -> Floats:
    """Rotate many maps onto one template, as `engine.gradients.alignment.procrustes` does one.

    Parameters
    ----------
    maps : (n_maps, n_voxels, n_components)
    template : (n_voxels, n_components)
    n_align : leading components that are rotated among themselves; the others only get a sign.

    Returns
    -------
    (n_maps, n_voxels, n_components), in memory map after map.
    """
    products = maps.transpose(0, 2, 1) @ template
    signs = np.where(np.diagonal(products, axis1=1, axis2=2) < 0, -1.0, 1.0)
    rotations = signs[:, :, None] * np.eye(maps.shape[2])
    leading = slice(0, min(n_align, maps.shape[2]))
    rotations[:, leading, leading] = batched_procrustes(np.ascontiguousarray(products[:, leading, leading]))
    aligned: Floats = (rotations.transpose(0, 2, 1) @ maps.transpose(0, 2, 1)).transpose(0, 2, 1)
    return aligned


def pair_features(groups: GroupGradients) -> Floats:
    """First group less the second, of everything that `feature_parts` lists; subspaces by their chordal distance.

    Returns
    -------
    (n_perm, n_features)
    """
    maps = groups.aligned[:, 0] - groups.aligned[:, 1]
    distance = chordal_distances(groups.vectors[:, 0], groups.vectors[:, 1])
    scalars = [values[:, 0] - values[:, 1] for values in (groups.lambdas, groups.explained, _ranges(groups.aligned))]
    return _features(maps, [*scalars, distance])


def omnibus_features(groups: GroupGradients, shares: Floats, pooled: Floats) -> Floats:
    """Standard deviation between the groups, each weighted by its share of the subjects, of the same; never negative.

    Parameters
    ----------
    shares : (n_groups,), which add up to 1.
    pooled : (n_voxels, n_components) orthonormal eigenvectors of all subjects, which subspaces are held against.

    Returns
    -------
    (n_perm, n_features)
    """
    n_perm, n_groups = groups.lambdas.shape[:2]
    maps, *scalars = (
        _between(values, shares)
        for values in (groups.aligned, groups.lambdas, groups.explained, _ranges(groups.aligned))
    )
    flat = groups.vectors.reshape(n_perm * n_groups, *groups.vectors.shape[2:])
    squares = chordal_distances(flat, pooled[None]).reshape(n_perm, n_groups, -1) ** 2
    return _features(maps, [*scalars, np.sqrt(np.einsum("pgk,g->pk", squares, shares))])


def chordal_distances(one: Floats, other: Floats) -> Floats:
    """Distance of the spans of the first 1, 2, … columns: sqrt(Σ sin² θ) over their principal angles θ.

    Parameters
    ----------
    one, other : (n, n_voxels, n_components) orthonormal columns.

    Returns
    -------
    (n, n_components), from 0 to sqrt(number of columns)

    Notes
    -----
    Σ cos² θ is the sum of squares of the leading block of one' other, so no angle needs to be computed. Björck and
    Golub 1973, doi:10.1090/S0025-5718-1973-0348991-3.
    """
    products = one.transpose(0, 2, 1) @ other
    blocks = (products**2).cumsum(axis=1).cumsum(axis=2)
    shared = np.diagonal(blocks, axis1=1, axis2=2)
    distances: Floats = np.sqrt(np.maximum(np.arange(1, shared.shape[1] + 1) - shared, 0.0))
    return distances


def principal_angles(one: Floats, other: Floats) -> Floats:
    """Principal angles between the spans of the first 1, 2, … columns.

    Parameters
    ----------
    one, other : (n_voxels, n_components), columns independent of each other.

    Returns
    -------
    (n_components, n_components) in degrees
        Row j − 1 has the j angles between the first j columns, the largest first, and zeros behind them.

    Notes
    -----
    Small angles from their sines, which single precision leaves more of than of cosines: Knyazev and Argentati 2002,
    doi:10.1137/S1064827500377332.
    """
    n_components = one.shape[1]
    one, other = one.astype(np.float64), other.astype(np.float64)
    angles = np.zeros((n_components, n_components))
    for size in range(1, n_components + 1):
        angles[size - 1, :size] = np.degrees(subspace_angles(one[:, :size], other[:, :size]))
    return angles


def _ranges(aligned: Floats) -> Floats:
    """(…, n_components): largest less smallest value of each map."""
    spread: Floats = aligned.max(axis=-2) - aligned.min(axis=-2)
    return spread


def _between(values: Floats, shares: Floats) -> Floats:
    """Weighted standard deviation over the groups, the second axis."""
    weights = shares.reshape(-1, *[1] * (values.ndim - 2))
    mean = (weights * values).sum(axis=1, keepdims=True)
    between: Floats = np.sqrt((weights * (values - mean) ** 2).sum(axis=1))
    return between


def _features(maps: Floats, scalars: list[Floats]) -> Floats:
    """(n_perm, n_features): map after map, then the numbers."""
    by_component = maps.transpose(0, 2, 1).reshape(len(maps), -1)
    return np.concatenate([by_component, *scalars], axis=1)
