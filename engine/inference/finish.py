"""From counts and null maxima to p-values: uncorrected, family-wise, false discovery, joint; and effect sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.blocks import COUNTED, Test, measures_of
from thalgpu.engine.inference.corrections import false_discovery, familywise, joint_maxima, uncorrected
from thalgpu.engine.inference.describe import describe
from thalgpu.engine.inference.model import Contrast
from thalgpu.engine.inference.null_maxima import Measure, Null
from thalgpu.engine.inference.stopping import sequential_familywise, settled
from thalgpu.engine.inference.tails import TAIL_BELOW, gamma_p, gpd_p

Collect: TypeAlias = Callable[[Measure, int, NDArray[np.int64]], NDArray[np.float64]]
"""Measure, number of the contrast, features → their (n_perm, n_chosen) magnitudes under each permutation."""

_COLLECTED_BYTES = 2**28
"""Of the null distributions that tails are fitted to at a time; each time, all permutations are done once more."""

Maps: TypeAlias = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ContrastResult:
    """What is known of one contrast.

    Attributes
    ----------
    contrast : the hypothesis.
    statistic : "t", "f", "v", "g", "r" or "rsq".
    rank : how many directions are tested: 1 of a t contrast.
    df : error degrees of freedom (of the model with one variance).
    effect : "hedges_g", "partial_r" or "partial_eta_squared": the name of the effect size in `maps`.
    maps : name → (n_features,) float64. Always stat, p, p_fwe, p_fdr, and the effect size with …_low and …_high, its
        95 % confidence limits; estimate for t contrasts; as far as they were asked for tfce, p_tfce, p_fdr_tfce,
        p_fwe_tfce, cluster_extent, p_fwe_cluster_extent, cluster_mass, p_fwe_cluster_mass; and p_fwe_joint,
        p_fwe_joint_tfce … where several contrasts or parts were tested. p_fwe and p_fdr are corrected within each part,
        and do not depend on which others were tested.
    null : measure → (n_parts, n_perm) maxima, the identity first.
    n_perm : permutations that were done, the identity among them.
    """

    contrast: Contrast
    statistic: str
    rank: int
    df: float
    effect: str
    maps: Maps
    null: dict[Measure, NDArray[np.float64]]
    n_perm: int

    @property
    def degrees(self) -> tuple[float, ...]:
        """Degrees of freedom of the statistic, of an F those tested first; none of v and G, whose features differ."""
        if self.statistic in ("v", "g"):
            return ()
        return (self.df,) if self.contrast.kind == "t" else (float(self.rank), self.df)


def finish(test: Test, null: Null, collect: Collect | None = None) -> tuple[ContrastResult, ...]:
    """Results of all contrasts, from what the permutations left behind.

    Parameters
    ----------
    null : of the permutations 0 … n − 1 without a gap. With `stop_after`, n may be less than was asked for.
    collect : recomputes magnitudes of some features under every permutation; needed where tails are fitted.
    """
    if len(null.stretches) != 1 or null.stretches[0][0] != 0:
        raise ValueError(f"the permutations {null.stretches} are not all from the first on")
    results = []
    for c, model in enumerate(test.models):
        described = describe(model, test.problem.design.matrix, test.problem.options)
        maps: Maps = dict(described.maps)
        for measure in measures_of(test.problem.options):
            maps |= _p_maps(test, null, c, measure, collect)
        results.append(
            ContrastResult(
                contrast=model.contrast,
                statistic=described.statistic,
                rank=model.rank,
                df=model.df,
                effect=described.effect,
                maps=maps,
                null={measure: maxima[c] for measure, maxima in null.maxima.items()},
                n_perm=null.stretches[0][1],
            )
        )
    return tuple(results)


def _p_maps(test: Test, null: Null, c: int, measure: Measure, collect: Collect | None) -> Maps:
    """The observed map of a measure and its p-values, under their names."""
    suffix = "" if measure == "stat" else f"_{measure}"
    magnitudes, parts = test.magnitudes(c, measure), test.problem.parts
    maps: Maps = {} if measure == "stat" else {measure: test.observed[c][measure]}
    if measure in COUNTED:
        p = _own_p(test, null, c, measure, magnitudes, collect)
        adaptive = test.problem.options.fdr == "bky"
        rates = [false_discovery(p[part.start : part.stop], adaptive=adaptive) for part in parts]
        maps |= {f"p{suffix}": p, f"p_fdr{suffix}": np.concatenate(rates)}
    corrected = [
        _corrected(test, magnitudes[part.start : part.stop], null.maxima[measure][c, i]) for i, part in enumerate(parts)
    ]
    maps[f"p_fwe{suffix}"] = np.concatenate(corrected)
    if len(test.models) * len(parts) > 1:
        family = _family(test, c)
        joint = joint_maxima([null.maxima[measure][other, i] for other in family for i in range(len(parts))])
        maps[f"p_fwe_joint{suffix}"] = _corrected(test, magnitudes, joint)
    return maps


def _own_p(
    test: Test, null: Null, c: int, measure: Measure, magnitudes: NDArray[np.float64], collect: Collect | None
) -> NDArray[np.float64]:
    """Each feature's own p: counted, settled early, or from a fitted tail where it is small."""
    options, n_perm = test.problem.options, null.stretches[0][1]
    if options.stop_after:
        return settled(null.first_hits[measure][c], null.counts[measure][c], n_perm)
    p = uncorrected(null.counts[measure][c], n_perm)
    if options.tail == "none" or collect is None:
        return p
    small = np.flatnonzero(p < TAIL_BELOW)
    step = max(1, _COLLECTED_BYTES // (8 * n_perm))
    for first in range(0, len(small), step):
        chosen = small[first : first + step]
        observed, values = magnitudes[chosen], collect(measure, c, chosen)
        p[chosen] = gpd_p(observed, values)[0] if options.tail == "gpd" else gamma_p(observed, values)
    return p


def _corrected(test: Test, magnitudes: NDArray[np.float64], maxima: NDArray[np.float64]) -> NDArray[np.float64]:
    options = test.problem.options
    if options.stop_after:
        return sequential_familywise(magnitudes, maxima, options.stop_after)
    if options.tail == "gpd":
        return gpd_p(magnitudes, maxima)[0]
    return gamma_p(magnitudes, maxima) if options.tail == "gamma" else familywise(magnitudes, maxima)


def _family(test: Test, c: int) -> list[int]:
    """Contrasts whose maxima are in the same units as this one's.

    In z all are, unless t contrasts are two-sided: a z of F says how improbable F is, |z| of t twice as much. Otherwise
    those of one kind, rank and degrees of freedom are.
    """
    options, mine = test.problem.options, test.models[c]
    same = []
    for other, model in enumerate(test.models):
        one_kind = model.contrast.kind == mine.contrast.kind
        if options.statistic_scale == "z":
            alike = one_kind or not options.two_sided
        else:
            alike = one_kind and (model.rank, model.df) == (mine.rank, mine.df)
        if alike:
            same.append(other)
    return same
