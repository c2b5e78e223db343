"""Numbers a person: what every arm comes down to, for rain clouds, correlations with severity, and measures.tsv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.inputs.subject_maps import SubjectMaps
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.study_results import Tested

Floats = NDArray[np.float64]

_MOST_COLUMNS = 24
"""Columns of a table that are each a measure; of a wider one, or of a map, the mean is."""


@dataclass(frozen=True)
class Summary:
    """One measure of every tested person.

    Attributes
    ----------
    arm, name : of the arm, and what is measured.
    values : participant → number.
    """

    arm: str
    name: str
    values: Mapping[str, float]


def summaries(tested: Sequence[Tested]) -> list[Summary]:
    """Every column of small tables; the range of a gradient; the mean of other maps and of large tables."""
    found: list[Summary] = []
    for each in tested:
        for one in {one.number: one for one in each.found}.values():  # every contrast is of the same maps
            ids = one.maps_of.ids or ()
            found += [
                Summary(each.test.arm, name, dict(zip(ids, column.tolist(), strict=True)))
                for name, column in _columns(each.test.arm, each.part_name(one), one.maps_of)
            ]
    return found


def write_summaries(path: Path, found: Sequence[Summary]) -> None:
    """`measures.tsv`: a row a participant."""
    ids = list(found[0].values) if found else []
    rows = [{"participant_id": f"sub-{one}", **{summary.name: summary.values[one] for summary in found}} for one in ids]
    write_table(path, ["participant_id", *(summary.name for summary in found)], rows)


def _columns(arm: str, part: str, maps: SubjectMaps) -> list[tuple[str, Floats]]:
    values = maps.values
    if arm == "gradients":
        return [(f"range of {part or 'gradient 1'}", values.max(axis=1) - values.min(axis=1))]
    if maps.space is None and values.shape[1] <= _MOST_COLUMNS:
        names = [name.replace("_", " ") for name in maps.feature_names]
        return [(f"{arm} {name}", values[:, i]) for i, name in enumerate(names)]
    if arm == "shape" and maps.space is not None:
        sides = {LEFT: "left", RIGHT: "right"}
        there = maps.space.hemisphere
        return [
            (f"mean displacement {sides[side]}", values[:, there == side].mean(axis=1))
            for side in sides
            if (there == side).any()
        ]
    return [(f"mean {arm} {part}".strip(), values.mean(axis=1))]
