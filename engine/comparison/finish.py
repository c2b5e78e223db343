"""From counts and null maxima of a comparison to p-values, part by part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import TIE, BlockResult, Study
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.engine.inference.corrections import false_discovery, familywise, joint_maxima, uncorrected
from thalgpu.engine.inference.model import Part
from thalgpu.engine.inference.null_maxima import Measure
from thalgpu.engine.inference.spatial import tfce_powers

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PartResult:
    """One comparison's maps of one component, or one number of every component.

    Attributes
    ----------
    part : which.
    maps : name → (n_features,): stat, p, p_fwe, p_fdr; for maps p_fwe_joint over the components, and with TFCE tfce,
        p_tfce, p_fwe_tfce, p_fdr_tfce, p_fwe_joint_tfce.
    null : measure → (n_perm,) maxima, the identity first; of numbers in units of their null SDs,
        one-sided ones from their null mean.
    """

    part: Part
    maps: dict[str, Floats]
    null: dict[Measure, Floats]


def finish(study: Study, number: int, observed: dict[Measure, Floats], result: BlockResult) -> tuple[PartResult, ...]:
    """Results of a comparison, a part each; `result` is that of all permutations."""
    if result.null.stretches != ((0, study.comparisons[number].permutations.n_perm),):
        raise ValueError(f"the permutations {result.null.stretches} are not all there are")
    return tuple(_part(study, number, observed, result, i) for i in range(len(study.parts)))


def _part(study: Study, number: int, observed: dict[Measure, Floats], result: BlockResult, i: int) -> PartResult:
    part = study.parts[i]
    columns = slice(part.start, part.stop)
    is_map = part.name not in SCALARS
    n_perm = result.null.stretches[0][1]
    maps: dict[str, Floats] = {}
    null: dict[Measure, Floats] = {}
    for measure in result.null.maxima:
        if measure == "tfce" and not is_map:
            continue
        ending = "" if measure == "stat" else f"_{measure}"
        maxima, values = result.null.maxima[measure][0], observed[measure][columns]
        reached = np.abs(values) * (1 - TIE)
        p = uncorrected(result.null.counts[measure][0, columns], n_perm)
        null[measure] = maxima[i]
        maps |= {
            measure: values,
            f"p{ending}": p,
            f"p_fdr{ending}": false_discovery(p),
            f"p_fwe{ending}": _familywise(study.standardised(number, part, reached), maxima[i]),
        }
        if is_map:
            units = _units(study, number, measure)
            joint = joint_maxima(list(maxima[: len(units)] / units[:, None]))
            maps[f"p_fwe_joint{ending}"] = _familywise(reached / units[i], joint)
    return PartResult(part, maps, null)


def _familywise(reached: Floats, maxima: Floats) -> Floats:
    """`familywise` in units of the largest maximum: gradients are small, and 1e-12 is a tie to it."""
    largest = np.abs(maxima).max() or 1.0
    return familywise(reached / largest, maxima / largest)


def _units(study: Study, number: int, measure: Measure) -> Floats:
    """(n_components,) what a component's maxima are divided by before they are joined: gradients differ in size."""
    spreads = study.spreads[number]
    if measure == "stat" or study.neighbours is None:
        return spreads
    units: Floats = spreads ** (tfce_powers(study.neighbours, study.options)[0] + 1)
    return units
