"""The reference of B6: a group's gradients as anybody would compute them, one group after the other."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh


def naive_gradients(matrices: NDArray[np.float32], members: NDArray[np.intp], dtype: type) -> NDArray[np.float64]:
    """Gradients of one group: its mean affinity, normalised at α = 0.5, and ARPACK for 11 eigenvectors of that.

    Parameters
    ----------
    matrices : (n_subjects, n, n) float32, symmetric.
    members : positions of the group's subjects.
    dtype : of the mean and of all that follows.
    """
    mean = matrices[members[0]].astype(dtype)
    for member in members[1:]:
        mean += matrices[member]
    mean /= len(members)
    degrees = mean.sum(axis=1)
    first = degrees**-0.5
    root = np.sqrt(first * (mean @ first))
    scale = first / root
    mean *= scale[:, None]
    mean *= scale
    values, vectors = eigsh(mean, k=11, which="LA")
    values, vectors = values[-2::-1], vectors[:, -2::-1]
    unit = root / np.linalg.norm(root)
    return np.asarray(vectors / unit[:, None] * (values / (1 - values)), dtype=np.float64)
