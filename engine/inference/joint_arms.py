"""One family-wise correction for arms of a study that differ in units and size: smallest p, ranked, twice.

Gradients have thousands of places and volumes have four; a maximum over both would be the gradients'. Here each part of
an arm (a gradient, a hemisphere, a contrast) is turned into ranks among its own permutations, the arm into ranks of its
best part, and the study into ranks of its best arm, all from one set of permutations, which carries along however the
measures depend on each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalgpu.engine.inference.arguments import numbers
from thalgpu.engine.inference.corrections import familywise
from thalgpu.engine.inference.words import known_names, listed, quoted, repeated
from thalgpu.errors import NumericsError, UsageError

Counts = NDArray[np.int64]

_ROUNDING = 1e-6
"""Relative: p-values that were stored as float32 are the count that they were."""


@dataclass(frozen=True, eq=False)
class Arm:
    """What an arm's tests left behind.

    Attributes
    ----------
    name : for people, e.g. "gradients".
    maxima : part → (n_perm,) float64 largest magnitudes, the identity first. A part is whatever p was corrected within:
        a contrast of a gradient, of a hemisphere, of a table. Larger means more extreme.
    permutations : fingerprint of the set (`PermutationSet.fingerprint`), or None where it is not known.
    """

    name: str
    maxima: Mapping[str, NDArray[np.float64]]
    permutations: str | None = None


@dataclass(frozen=True, eq=False)
class JointArms:
    """How small the smallest p of each arm, and of the study, is under each permutation.

    Attributes
    ----------
    arms : as they were given.
    n_perm : permutations that all share, the identity among them.
    smallest : arm → (n_perm,) int64, ascending: n_perm times the smallest p of its parts.
    smallest_arm : (n_perm,) int64, ascending: n_perm times the smallest p of the arms.
    """

    arms: tuple[Arm, ...]
    n_perm: int
    smallest: Mapping[str, Counts]
    smallest_arm: Counts

    def p_part(self, arm: str, part: str, magnitudes: ArrayLike) -> NDArray[np.float64]:
        """p corrected within a part, of statistics in the scale of its maxima: what the part's own test reports."""
        maxima = self._arm(arm).maxima
        if part not in maxima:
            raise UsageError(f"arm {arm} has no part {quoted(part)}", remedy=known_names(part, maxima))
        values = numbers("magnitudes", magnitudes)
        return familywise(values.ravel(), maxima[part]).reshape(values.shape)

    def p_arm(self, arm: str, p_part: ArrayLike) -> NDArray[np.float64]:
        """p corrected for all parts of an arm.

        Parameters
        ----------
        arm : its name.
        p_part : array of p corrected within any part of it. Those that a fitted tail made smaller than 1/n_perm count
            as 1/n_perm, all that ranks can tell.

        Returns
        -------
        Array of the same shape, nowhere smaller than `p_part`: the share of the permutations whose smallest p of a part
        is no larger.
        """
        return self._share(self.smallest[self._arm(arm).name], p_part)

    def p_joint(self, arm: str, p_part: ArrayLike) -> NDArray[np.float64]:
        """p corrected for all parts of all arms: the share of the permutations whose smallest `p_arm` is no larger.

        Parameters, shape and limits as those of `p_arm`, than which it is nowhere smaller.
        """
        return self._share(self.smallest_arm, self.p_arm(arm, p_part))

    @property
    def least_p_joint(self) -> float:
        """The smallest `p_joint` that there can be, in any arm."""
        return min(self.least_p_joint_of(arm.name) for arm in self.arms)

    def least_p_joint_of(self, arm: str) -> float:
        """The smallest `p_joint` that a feature of an arm can have: about its parts times the arms, over n_perm.

        Each part has a permutation that is its most extreme, and each arm as many of equal rank. With 6 arms, one of
        them of 3 contrasts of 4 gradients, that one needs 1,440 permutations to reach .05, and should have several
        times as many.
        """
        return float(self.p_joint(arm, 1 / self.n_perm))

    def _arm(self, name: str) -> Arm:
        found = next((arm for arm in self.arms if arm.name == name), None)
        if found is None:
            raise UsageError(
                f"there is no arm {quoted(name)}", remedy=known_names(name, [arm.name for arm in self.arms])
            )
        return found

    def _share(self, ascending: Counts, p: ArrayLike) -> NDArray[np.float64]:
        given = numbers("p", p)
        if not ((given >= 0) & (given <= 1)).all():
            raise NumericsError("p-values must lie between 0 and 1")
        reached = np.searchsorted(ascending, given * self.n_perm * (1 + _ROUNDING), side="right")
        return np.maximum(reached, 1) / self.n_perm


def join_arms(arms: Sequence[Arm]) -> JointArms:
    """Rank the smallest p of parts, arms and study among the permutations that they share.

    Parameters
    ----------
    arms : one or more, each with one part or more. Permutation i must be the same in all.

    Returns
    -------
    JointArms

    Raises
    ------
    UsageError
        No arms or parts, arms of one name, maxima of different lengths or of different sets of permutations.
    NumericsError
        Maxima that are not finite.

    Notes
    -----
    With M_k(i) the maximum of part k under permutation i, and # the number of permutations j:
    p_k(i) = #{M_k(j) ≥ M_k(i)} / n, u(i) = min over the arm's k of p_k(i), q(i) = #{u(j) ≤ u(i)} / n, and
    v(i) = min over the arms of q(i). A feature with p within its part has p_arm = #{u(j) ≤ p} / n and
    p_joint = #{v(j) ≤ p_arm} / n. Under permutation every q is uniform whatever the arm's units and number of parts
    and features, so that all arms have an equal share of the false positives (so have the parts of an arm). Nothing is
    assumed about how they depend on each other: the smallest p is compared with smallest p of the same permutations
    (Westfall and Young 1993, Resampling-based multiple testing; Tippett's combination: Winkler et al. 2016,
    doi:10.1002/hbm.23115, whose NPC combines evidence at a place where this corrects for several). Ties count against
    the hypothesis, so that few permutations make p too large and never too small (`JointArms.least_p_joint`). PALM's
    `-corrmod` takes the maximum of the statistics themselves, which must be alike in scale and smoothness.
    """
    n_perm = _check(arms)
    smallest, ranks = {}, []
    for arm in arms:
        best = np.min([_counts(maxima) for maxima in arm.maxima.values()], axis=0)
        smallest[arm.name] = np.sort(best)
        ranks.append(np.searchsorted(smallest[arm.name], best, side="right"))
    return JointArms(tuple(arms), n_perm, smallest, np.sort(np.min(ranks, axis=0)).astype(np.int64))


def _counts(maxima: NDArray[np.float64]) -> Counts:
    """(n_perm,) how many permutations reach each: n_perm times its p, ties up to rounding being ties."""
    return np.rint(familywise(maxima, maxima) * len(maxima)).astype(np.int64)


def _check(arms: Sequence[Arm]) -> int:
    """n_perm."""
    if not arms:
        raise UsageError("no arms to join", remedy="give one or more")
    if twice := repeated(arm.name for arm in arms):
        raise UsageError(f"two arms are called {quoted(twice[0])}", remedy="give each a name of its own")
    if empty := [arm.name for arm in arms if not arm.maxima]:
        raise UsageError(f"arm {empty[0]} has no parts", remedy="leave it out, or give it the maxima of one")
    shapes = {f"{arm.name} {part}".rstrip(): maxima.shape for arm in arms for part, maxima in arm.maxima.items()}
    expected = next(iter(shapes.values()))
    if len(expected) != 1 or not expected[0] or set(shapes.values()) != {expected}:
        found = listed(f"{name} {' × '.join(map(str, shape)) or 'none'}" for name, shape in shapes.items())
        raise UsageError(
            f"maxima must be one number a permutation, of the same permutations: {found}",
            remedy="run every arm with the same permutations, and without --stop-after",
        )
    sets = {arm.permutations for arm in arms} - {None}
    if len(sets) > 1:
        raise UsageError(
            f"the arms {listed(arm.name for arm in arms)} were not permuted alike",
            remedy="give all of them the same participants in one order, number of permutations, seed and blocks",
        )
    for arm in arms:
        for part, maxima in arm.maxima.items():
            if not np.isfinite(maxima).all():
                raise NumericsError(f"arm {arm.name}: maxima of part {quoted(part)} hold NaN or infinity")
    return int(expected[0])
