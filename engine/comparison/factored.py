"""Weighted sums for rows of weights of which every second one follows from the one before it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.kernels._compiled import compiled
from thalgpu.kernels.weighted_sums import weighted_sums

SAME = 1e-12
"""Weights that differ by less are the same: they come from the same sums in another order."""


@dataclass(frozen=True)
class Factored:
    """Weights made ready for sums over the same subjects, again and again.

    When two groups exchange members, what one of them wins the other loses: b = c − γ a for the weights of every
    permutation, and so for every weighted sum. Half of the products can be left out.

    Attributes
    ----------
    used : (n_used,) subjects with any weight, or None for all.
    base : (n_base, n_used): all rows; or the even ones, and last c.
    gamma : γ, or None where rows do not come in pairs.
    n_sets : rows of the weights.
    """

    used: NDArray[np.int64] | None
    base: NDArray[np.floating]
    gamma: float | None
    n_sets: int

    def sums(self, stack: NDArray[np.floating]) -> NDArray[np.floating]:
        """(n_sets, n_entries) weighted sums of (n_subjects, n_entries), in the dtype of the base."""
        chosen = (stack if self.used is None else stack[self.used]).astype(self.base.dtype, copy=False)
        if self.gamma is None:
            return weighted_sums(self.base, chosen)
        sums = np.empty((self.n_sets + 2, stack.shape[1]), self.base.dtype)  # c's sums stand behind those of all rows
        weighted_sums(self.base, chosen, out=sums[::2])
        _complete(sums, self.base.dtype.type(self.gamma))
        return sums[: self.n_sets]


def factored(weights: NDArray[np.float64], dtype: np.dtype[np.floating]) -> Factored:
    """Leave out subjects without weight, and rows that follow from others.

    Parameters
    ----------
    weights : (n_sets, n_subjects)
    dtype : that sums are computed in.
    """
    used = np.flatnonzero(weights.any(axis=0))
    some = None if 4 * len(used) > 3 * weights.shape[1] else used  # a copy of most subjects costs more than it saves
    if some is not None:
        weights = weights[:, some]
    gamma, constant = _exchange(weights)
    if gamma is None:
        return Factored(some, weights.astype(dtype), None, len(weights))
    return Factored(some, np.vstack([weights[::2], constant]).astype(dtype), gamma, len(weights))


def _exchange(weights: NDArray[np.float64]) -> tuple[float | None, NDArray[np.float64]]:
    """γ and c with b = c − γ a for all pairs of rows (a, b); None where there is no such γ."""
    one, other = weights[::2], weights[1::2]
    if len(weights) % 2 or len(one) < 2:
        return None, one[0]
    change = one - one[0]
    size = float((change**2).sum())
    if size == 0:
        return None, one[0]
    gamma = -float((change * (other - other[0])).sum()) / size
    constant = other[0] + gamma * one[0]
    follows = bool((np.abs(other - constant + gamma * one) <= SAME).all())
    return gamma if follows else None, constant


@compiled
def _complete(sums: NDArray[np.floating], gamma: np.floating) -> None:
    """Odd rows from the even ones before them and the constant, which is the last but one."""
    constant = sums[len(sums) - 2]
    for row in range(1, len(sums) - 2, 2):
        for entry in range(sums.shape[1]):
            sums[row, entry] = constant[entry] - gamma * sums[row - 1, entry]
