"""Region × region connectivity, and which pairs of regions it says something about."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from thalgpu.engine.connectivity.maps import seed_maps


def region_matrix(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Fisher's z of the correlation of every region with every other.

    Parameters
    ----------
    series : (n_timepoints, n_regions) float32 or float64
        Cleaned series, one a region.

    Returns
    -------
    z : (n_regions, n_regions) float64
        Exactly symmetric; 0 on the diagonal, as a region's correlation with itself says nothing, and for regions whose
        series is constant.
    """
    upper = np.triu(seed_maps(series, series), 1)
    z: NDArray[np.float64] = upper + upper.T
    return z


def shared_elements(regions: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Which regions share elements, and would in part be correlated with themselves.

    Parameters
    ----------
    regions : numbers of each region's elements, at least one region; elements of different grids have different ones.

    Returns
    -------
    shared : (n_regions, n_regions) bool
        Symmetric, True on the diagonal.
    """
    owners = np.repeat(np.arange(len(regions)), [len(elements) for elements in regions])
    found, columns = np.unique(np.concatenate(regions), return_inverse=True)
    held = csr_array((np.ones(len(owners), dtype=np.int64), (owners, columns)), shape=(len(regions), len(found)))
    shared: NDArray[np.bool_] = (held @ held.T).toarray() > 0
    np.fill_diagonal(shared, True)
    return shared


def region_pairs(shared: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The pairs of regions without a common element.

    Parameters
    ----------
    shared : (n_regions, n_regions) bool, as `shared_elements` returns it.

    Returns
    -------
    pairs : (n_pairs, 2) int64
        Positions, the first below the second, row by row of the upper triangle.
    """
    return np.argwhere(np.triu(~shared, 1)).astype(np.int64)
