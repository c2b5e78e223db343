"""What is reported of a contrast as the subjects are: the statistic, the estimate, an effect size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.effect_sizes import effect_sizes
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.regression import Model
from thalgpu.engine.inference.scales import to_r, to_r_squared
from thalgpu.kernels._namespace import to_host


@dataclass(frozen=True)
class Description:
    """One contrast, before permutations.

    Attributes
    ----------
    statistic : "t", "f"; "v", "g" where variance groups differ; "r", "rsq" as correlations.
    effect : name of the effect size.
    maps : stat, the effect size with its 95 % confidence limits (…_low, …_high), and a t contrast's estimate.
    """

    statistic: str
    effect: str
    maps: dict[str, NDArray[np.float64]]


def describe(model: Model, matrix: NDArray[np.float64], options: InferenceOptions) -> Description:
    """The description of a contrast; `matrix` is the design's."""
    is_t = model.contrast.kind == "t"
    stat = to_host(model.observed)
    statistic = ("t" if is_t else "f") if model.groups is None else ("v" if is_t else "g")
    if options.pearson:
        statistic = "r" if is_t else "rsq"
        stat = to_r(stat, model.df) if is_t else to_r_squared(stat, model)
    size = effect_sizes(model, matrix)
    maps = {"stat": stat, size.name: size.value, f"{size.name}_low": size.low, f"{size.name}_high": size.high}
    if is_t:
        maps["estimate"] = to_host(model.estimate)
    return Description(statistic, size.name, maps)
