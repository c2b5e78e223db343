"""p-values that settle early: counting stops at a number of exceedances, not of permutations.

Besag and Clifford 1991, doi:10.1093/biomet/78.2.301. Permutations are drawn until h of them have reached the observed
statistic; when that was at draw l, p = h/l. Where it never was, p = (g + 1)/n as ever, from the g exceedances among all
n − 1 draws. Features far from significance settle within a few dozen draws, and p is valid: under the null hypothesis
P(p ≤ a) = a at every value a that p can take.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels.glm import tie_threshold


def settled(first_hits: NDArray[np.integer], counts: NDArray[np.integer], n_perm: int) -> NDArray[np.float64]:
    """p of each feature, from when it settled.

    Parameters
    ----------
    first_hits : (stop_after, n_features) integers
        Numbers of the first permutations that reached what was observed, ascending, the identity (number 0) not among
        them; `n_perm` or more where there were fewer.
    counts : (n_features,) integers
        Exceedances among all permutations taken, the identity included.
    n_perm : permutations taken, the identity included.

    Returns
    -------
    (n_features,) float64: h/l where the last hit is draw l, else counts/n_perm.
    """
    last = first_hits[-1]
    return np.where(last < n_perm, len(first_hits) / last.astype(np.float64), counts / float(n_perm))


def sequential_familywise(
    observed: NDArray[np.float64], null_maxima: NDArray[np.float64], stop_after: int
) -> NDArray[np.float64]:
    """Family-wise p with the same stopping rule, from the maxima in the order in which they were drawn.

    Parameters
    ----------
    observed : (n_features,) float64
    null_maxima : (n_perm,) float64
        The identity first.
    stop_after : exceedances that settle a feature (h), at least 1.

    Returns
    -------
    (n_features,) float64

    Notes
    -----
    The h-th exceedance of a threshold comes with the first draw at which the h-th largest maximum so far is no smaller
    than it. That h-th largest only grows, so one pass serves all thresholds.
    """
    thresholds = tie_threshold(observed)
    drawn = null_maxima[1:]
    draw = 1 + np.searchsorted(_running_kth_largest(drawn, stop_after), thresholds, side="left")
    counts = 1 + len(drawn) - np.searchsorted(np.sort(drawn), thresholds, side="left")
    return np.where(draw <= len(drawn), stop_after / draw, counts / float(len(null_maxima)))


def _running_kth_largest(values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """(n,) the k-th largest among the first 1, 2, … n values; −inf while there are fewer than k."""
    largest = [-np.inf] * k
    running = np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        heapq.heappushpop(largest, value)
        running[i] = largest[0]
    return running
