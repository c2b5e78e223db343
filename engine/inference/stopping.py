"""p-values that settle early: counting stops at a number of exceedances, not of permutations.

Besag and Clifford 1991, doi:10.1093/biomet/78.2.301. With `stop_after` = h, permutations are drawn until h of them have
reached the observed statistic; when that was at draw l, p = h/l. Where it never was, p = (g + 1)/n as ever, from the g
exceedances among all n − 1 draws. Features far from significance settle within a few dozen draws, and p is valid.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels.glm import tie_threshold


@dataclass(frozen=True)
class StoppingState:
    """How far each feature has come; permutations are taken in the order of their numbers.

    Attributes
    ----------
    stop_after : exceedances that settle a feature (h).
    counts : (n_features,) int64, exceedances so far; the identity, permutation 0, is never counted.
    settled_at : (n_features,) int64, number of the permutation that brought the last needed exceedance; 0 before that.
    n_done : permutations taken so far, the identity included.
    """

    stop_after: int
    counts: NDArray[np.int64]
    settled_at: NDArray[np.int64]
    n_done: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether no feature needs another permutation."""
        return bool(self.settled_at.all())

    def p_values(self) -> NDArray[np.float64]:
        """(n_features,) float64: h/l where settled, else (g + 1)/n over what was taken so far."""
        return sequential(self.settled_at, self.counts + 1, max(self.n_done, 1), self.stop_after)


def begin(n_features: int, stop_after: int) -> StoppingState:
    """Nothing taken yet."""
    nothing = np.zeros(n_features, dtype=np.int64)
    return StoppingState(stop_after, nothing, nothing.copy())


def advance(state: StoppingState, bits: NDArray[np.uint8], start: int, stop: int) -> StoppingState:
    """Take the next stretch of permutations into account.

    Parameters
    ----------
    state : after the permutations 0 … start − 1.
    bits : (ceil((stop − start) / 8), n_features) uint8
        `np.packbits(reached, axis=0)`: whether each permutation reached what was observed, in order.
    start, stop : numbers of the first permutation and of the one after the last.

    Returns
    -------
    The state after the permutations 0 … stop − 1.

    Notes
    -----
    Every feature stops at a permutation of its own, found inside the stretch, so that p does not depend on how the
    permutations are cut into stretches.
    """
    if start != state.n_done:
        raise ValueError(f"permutations from {start} on cannot follow the first {state.n_done}")
    reached = np.unpackbits(bits, axis=0, count=stop - start)
    if start == 0:
        reached[0] = 0  # the identity is not a draw
    counts = state.counts + reached.sum(axis=0, dtype=np.int64)
    settled_at = state.settled_at.copy()
    settling = np.flatnonzero((settled_at == 0) & (counts >= state.stop_after))
    running = state.counts[settling] + np.cumsum(reached[:, settling], axis=0, dtype=np.int64)
    settled_at[settling] = start + np.argmax(running >= state.stop_after, axis=0)
    return StoppingState(state.stop_after, counts, settled_at, stop)


def sequential(
    settled_at: NDArray[np.integer], counts: NDArray[np.integer], n_perm: int, stop_after: int
) -> NDArray[np.float64]:
    """p of each feature, from when it settled.

    Parameters
    ----------
    settled_at : (n_features,) integers
        Number of the permutation that brought the `stop_after`-th exceedance, the identity (number 0) not counted; 0,
        or `n_perm` and more, where there was none.
    counts : (n_features,) integers
        Exceedances among all permutations, the identity included.
    n_perm : permutations taken, the identity included.
    stop_after : exceedances that settle a feature (h).

    Returns
    -------
    (n_features,) float64: h/l where settled at draw l, else counts/n_perm.
    """
    settled = (settled_at > 0) & (settled_at < n_perm)
    return np.where(settled, stop_after / np.where(settled, settled_at, 1), counts / n_perm)


def sequential_familywise(
    observed: NDArray[np.float64], null_maxima: NDArray[np.float64], stop_after: int
) -> NDArray[np.float64]:
    """Family-wise p with the same stopping rule, from the maxima in the order in which they were drawn.

    Parameters
    ----------
    observed : (n_features,) float64
    null_maxima : (n_perm,) float64
        The identity first.
    stop_after : exceedances that settle a feature.

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
    settled_at = 1 + np.searchsorted(_running_kth_largest(drawn, stop_after), thresholds, side="left")
    counts = 1 + len(drawn) - np.searchsorted(np.sort(drawn), thresholds, side="left")
    return sequential(settled_at, counts, len(null_maxima), stop_after)


def _running_kth_largest(values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """(n,) the k-th largest among the first 1, 2, … n values; −inf while there are fewer than k."""
    largest = [-np.inf] * k
    running = np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        heapq.heappushpop(largest, value)
        running[i] = largest[0]
    return running
