"""Shapes that differ from the others so much that somebody should look at them."""

import numpy as np
from numpy.typing import NDArray

OUTLIER_Z = 3.5
"""Iglewicz & Hoaglin's limit for robust z scores."""


def procrustes_distances(shapes: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of aligned shapes from the mean shape, the root of the vertices' mean squared distance.

    Parameters
    ----------
    shapes : (n_subjects, n_vertices, 3) mm, in one position.
    mean : (n_vertices, 3) mm.

    Returns
    -------
    (n_subjects,) mm : Procrustes distance (the norm over all vertices) divided by √n_vertices, so that it is the same
        for a finer mesh.
    """
    distances: NDArray[np.float64] = np.sqrt(((shapes - mean) ** 2).sum(axis=2).mean(axis=1))
    return distances


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(value − median) / (1.4826 MAD), for one value a subject.

    Where half of all values are the same the MAD is 0, and 1.2533 times the mean absolute deviation takes its place;
    where all are the same, so are their scores: 0.

    Notes
    -----
    Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers.
    """
    away = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(away))) or 1.2533 * float(np.mean(np.abs(away)))
    return away / spread if spread > 0 else np.zeros_like(away)


def outliers(distances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Subjects whose distance from the mean is larger than the others': robust z > 3.5."""
    flagged: NDArray[np.bool_] = robust_z(distances) > OUTLIER_Z
    return flagged
