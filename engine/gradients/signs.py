"""The sign of a component, which an eigenvector leaves open."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._namespace import Array, get_namespace, like


def fix_signs(gradients: Array) -> Array:
    """Turn each column so that its element of largest magnitude is positive (BrainSpace's rule); the first of equals.

    Parameters
    ----------
    gradients : (n_voxels, n_components) float
        Not modified.

    Returns
    -------
    (n_voxels, n_components), same dtype.
    """
    namespace = get_namespace(gradients)
    peaks = namespace.abs(gradients).argmax(axis=0)
    return gradients * _direction(gradients[peaks, namespace.arange(gradients.shape[1])])


def fix_signs_by_distance(gradients: Array, ijk: NDArray[np.int32], n_x: int) -> Array:
    """Turn each column to correlate positively with the distance to voxel (⌊n_x/2⌋, 0, 0), congrads' rule.

    Parameters
    ----------
    gradients : (n_voxels, n_components) float
        Not modified.
    ijk : (n_voxels, 3) int
        Voxel indices.
    n_x : int
        Size of the image along its first axis.

    Returns
    -------
    (n_voxels, n_components), same dtype.
    """
    distance = np.linalg.norm(ijk - np.array([n_x // 2, 0, 0]), axis=1)
    return gradients * _direction(like(distance - distance.mean(), gradients) @ gradients)


def _direction(values: Array) -> Array:
    """+1 where a value is not negative, −1 elsewhere; never 0, so that no component is lost."""
    one = values.dtype.type(1)
    direction: Array = get_namespace(values).where(values < 0, -one, one)
    return direction
