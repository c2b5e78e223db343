"""What a user may have missed: an effect in the direction that was not tested."""

from collections.abc import Iterator, Sequence

import numpy as np

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.scales import t_to_z
from thalgpu.engine.pipelines.permute_outputs import PartResult
from thalgpu.engine.report.permute_page import ALPHA


def untested_directions(found: Sequence[PartResult], options: InferenceOptions) -> tuple[str, ...]:
    """A remark on each t contrast, tested in one direction, whose largest effect is in the other and would stand out.

    As if the null distribution had two equal sides; of v on the z scale with the ordinary degrees of freedom.
    """
    return () if options.two_sided else tuple(_untested(found, options))


def _untested(found: Sequence[PartResult], options: InferenceOptions) -> Iterator[str]:
    for one in found:
        lowest, highest = float(one.maps["stat"].min()), float(one.maps["stat"].max())
        if one.result.contrast.kind == "f" or -lowest <= highest:
            continue
        size = np.array([-lowest])
        reached = t_to_z(size, one.result.df) if options.statistic_scale == "z" else size
        if (one.null["stat"] >= reached).mean() <= ALPHA:
            part = f" ({one.maps_of.name})" if one.maps_of.name else ""
            yield (
                f"{one.result.contrast.name}{part}: {one.result.statistic} goes down to −{-lowest:.2f}, and only "
                "contrast > 0 was tested; --two-sided tests both directions"
            )
