"""What a statistic is called."""

from typing import Literal, TypeAlias

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.regression import Model

Statistic: TypeAlias = Literal["t", "f", "v", "g", "r", "rsq"]


def statistic_name(model: Model, options: InferenceOptions) -> Statistic:
    """The statistic that a model gives under these options, before any change to the z scale.

    Returns
    -------
    "t" or "f"; "v" or "g" where variance groups differ; "r" or "rsq" if correlations are asked for.
    """
    is_t = model.contrast.kind == "t"
    if options.pearson:
        return "r" if is_t else "rsq"
    if model.groups is not None:
        return "v" if is_t else "g"
    return "t" if is_t else "f"
