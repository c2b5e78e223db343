"""Who is compared with whom: pairs of groups and all groups, and the weights that permutations give to subjects."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thalgpu.engine.inference.contrast_expression import camel, join
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.permutation_set import PermutationSet, plan_permutations
from thalgpu.errors import NumericsError

FEWEST = 2
"""Subjects that a group needs."""
_RANK = 1e-10
"""What is smaller than this part of the covariates is rounding: columns that are constant, or follow from others."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Some groups, and permutations of their members.

    Attributes
    ----------
    name, label : for people, and letters and digits for file names.
    groups : names of the groups, in order.
    members : (n_members,) positions of their subjects among all.
    codes : (n_members,) number of each one's group.
    permutations : of the members, the identity first.
    """

    name: str
    label: str
    groups: tuple[str, ...]
    members: NDArray[np.int64]
    codes: NDArray[np.int64]
    permutations: PermutationSet

    @property
    def is_pair(self) -> bool:
        """Whether there is a difference with a sign."""
        return len(self.groups) == 2

    @property
    def shares(self) -> NDArray[np.float64]:
        """(n_groups,) share of the members."""
        sizes = np.bincount(self.codes, minlength=len(self.groups))
        shares: NDArray[np.float64] = sizes / sizes.sum()
        return shares

    def weights(self, chosen: Sequence[int], n_subjects: int) -> NDArray[np.float64]:
        """Weight of every subject in each group's mean, under the permutations with these numbers.

        Returns
        -------
        (n_chosen, n_groups, n_subjects) float64, rows that sum to 1
        """
        codes = self._permuted(chosen)
        weights = np.zeros((len(codes), len(self.groups), n_subjects))
        for group in range(len(self.groups)):
            inside = codes == group
            weights[:, group, self.members] = inside / inside.sum(axis=1, keepdims=True)
        return weights

    def unchanged(self, chosen: Sequence[int]) -> NDArray[np.bool_]:
        """(n_chosen,) permutations that leave all members together who were, even if under another group's name."""
        n_groups = len(self.groups)
        both = self.codes * n_groups + self._permuted(chosen)
        occurring = (both[:, :, None] == np.arange(n_groups**2)).any(axis=1)
        unchanged: NDArray[np.bool_] = occurring.sum(axis=1) == n_groups
        return unchanged

    def _permuted(self, chosen: Sequence[int]) -> NDArray[np.int64]:
        """(n_chosen, n_members) number of each one's group."""
        if isinstance(chosen, range) and chosen.step == 1:
            rows = self.permutations.rows(chosen.start, chosen.stop)[0]
        else:
            rows = np.concatenate([self.permutations.rows(number, number + 1)[0] for number in chosen])
        permuted: NDArray[np.int64] = self.codes[rows]
        return permuted


def comparisons(
    labels: Sequence[str], options: InferenceOptions, blocks: NDArray[np.int64] | None = None
) -> tuple[Comparison, ...]:
    """Every pair of groups, permuted within the pair, and with three groups or more all of them at once.

    Parameters
    ----------
    labels : (n_subjects,) group of each subject.
    options : `n_perm` and `seed` matter.
    blocks : (n_subjects, n_levels) exchangeability blocks as PALM writes a tree, or None.

    Raises
    ------
    NumericsError
        One group only, a group of one, or blocks within which nobody of another group can be exchanged.

    Notes
    -----
    A pair is not permuted together with other groups: where a third group differs from both, its members would widen
    the null distribution of the pair.
    """
    names = sorted(set(labels))
    if len(names) < 2:
        raise NumericsError(
            f"all subjects are of one group, {names[0]!r}", remedy="give a column with two groups or more"
        )
    for name in names:
        if list(labels).count(name) < FEWEST:
            raise NumericsError(f"a group of one: {name!r}", remedy="leave this subject out, or merge groups")
    chosen = [*combinations(names, 2), *([tuple(names)] if len(names) > 2 else [])]
    return tuple(_comparison(np.asarray(labels), groups, options, blocks) for groups in chosen)


def residual_weights(weights: NDArray[np.float64], covariates: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Weights that give the mean of affinities from which covariates have been regressed, entry by entry.

    Parameters
    ----------
    weights : (…, n_subjects)
    covariates : (n_subjects, n_covariates), or None.

    Notes
    -----
    The residuals are linear in the affinities, K̃ = (I − Z Z⁺) K with Z the covariates less their means, so that
    w' K̃ = (w − Z Z⁺ w)' K: only the weights change. They may become negative, and so may entries of the mean.
    """
    if covariates is None:
        return weights
    centred = covariates - covariates.mean(axis=0)
    spread = np.abs(centred).max(axis=0)
    varies = spread > _RANK * np.abs(covariates).max(axis=0)
    basis = scipy.linalg.orth(centred[:, varies] / spread[varies], rcond=_RANK)
    left: NDArray[np.float64] = weights - (weights @ basis) @ basis.T
    return left


def _comparison(
    labels: NDArray[np.str_], groups: tuple[str, ...], options: InferenceOptions, blocks: NDArray[np.int64] | None
) -> Comparison:
    members = np.flatnonzero(np.isin(labels, groups))
    codes = np.array([groups.index(label) for label in labels[members]])
    matrix = (codes[:, None] == np.arange(len(groups))).astype(np.float64)
    weights = np.eye(len(groups))[1:] - np.eye(len(groups))[0]
    is_pair = len(groups) == 2
    name = " - ".join(groups) if is_pair else "all groups"
    label = join([camel(group) for group in groups], "minus") if is_pair else "allGroups"
    contrast = Contrast(name, label, weights, "f")
    design = Design(matrix, groups, (contrast,), blocks=None if blocks is None else blocks[members])
    return Comparison(name, contrast.label, groups, members, codes, plan_permutations(design, options))
