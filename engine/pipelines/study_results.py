"""What all arms found: corrected within each arm and over all of them, and the table of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thalgpu.engine.inference.joint_arms import Arm, JointArms, join_arms
from thalgpu.engine.inputs.model import LEFT, RIGHT, SurfaceGrid
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.pipelines.permute_outputs import PartResult
from thalgpu.engine.pipelines.study_tests import ArmTest
from thalgpu.engine.report.permute_page import ALPHA
from thalgpu.engine.report.permute_words import STATISTICS
from thalgpu.engine.report.study_page import ResultRow

_EFFECTS = {"hedges_g": "Hedges g", "partial_r": "partial r", "partial_eta_squared": "partial η²"}
_SIDES = {LEFT: " left", RIGHT: " right"}


@dataclass(frozen=True)
class Tested:
    """A test of an arm and what it found."""

    test: ArmTest
    found: Sequence[PartResult]

    def part_name(self, one: PartResult) -> str:
        """Of a part, among all parts of the arm: "gradient 1", "L gradient 2", a seed."""
        name = one.maps_of.name.replace("hemi-", "").replace("_", " ").replace("component-", "gradient ")
        return " ".join(word for word in (self.test.part, name) if word)


def join(tested: Sequence[Tested], fingerprint: str) -> dict[str, JointArms]:
    """Contrast → how its arms are corrected together."""
    contrasts = dict.fromkeys(one.result.contrast.name for each in tested for one in each.found)
    return {contrast: join_arms(_arms(tested, contrast, fingerprint)) for contrast in contrasts}


def _arms(tested: Sequence[Tested], contrast: str, fingerprint: str) -> list[Arm]:
    maxima: dict[str, dict[str, Any]] = {}
    for each in tested:
        for one in each.found:
            if one.result.contrast.name == contrast:
                maxima.setdefault(each.test.arm, {})[each.part_name(one)] = one.null[one.deciding]
    return [Arm(name, parts, fingerprint) for name, parts in maxima.items()]


def result_rows(tested: Sequence[Tested], joined: Mapping[str, JointArms]) -> dict[str, tuple[ResultRow, ...]]:
    """Arm → a row a contrast and part, all parts of a contrast together."""
    rows: dict[str, list[ResultRow]] = {}
    for contrast, joint in joined.items():
        for each in tested:
            for one in each.found:
                if one.result.contrast.name == contrast:
                    rows.setdefault(each.test.arm, []).append(_row(each, one, joint))
    return {arm: tuple(of_arm) for arm, of_arm in rows.items()}


def _row(each: Tested, one: PartResult, joint: JointArms) -> ResultRow:
    best = peak_of(one)
    p = one.p.min()
    effect = one.result.effect
    return ResultRow(
        contrast=one.result.contrast.name,
        part=each.part_name(one),
        statistic=STATISTICS.get(one.result.statistic, one.result.statistic),
        df=", ".join(f"{number:g}" for number in one.result.degrees),
        peak=float(one.maps["stat"][best]),
        where=place_of(one, best),
        effect_name=_EFFECTS[effect],
        effect=float(one.maps[effect][best]),
        low=float(one.maps[f"{effect}_low"][best]),
        high=float(one.maps[f"{effect}_high"][best]),
        p_fwe=float(p),
        p_arm=float(joint.p_arm(each.test.arm, p)),
        p_joint=float(joint.p_joint(each.test.arm, p)),
        n_significant=int((one.p <= ALPHA).sum()),
        n_features=len(one.p),
    )


def peak_of(one: PartResult) -> int:
    """The feature with the largest statistic among those with the smallest corrected p."""
    smallest = one.p <= one.p.min() * (1 + 1e-9)
    return int(np.argmax(np.where(smallest, np.abs(one.maps["stat"]), -1.0)))


def place_of(one: PartResult, feature: int) -> str:
    """Where a feature is, in words."""
    maps = one.maps_of
    if maps.space is None:
        return maps.feature_names[feature] if maps.feature_names else f"feature {maps.kept[feature] + 1}"
    if maps.space.xyz is not None:
        return "x {:.0f}, y {:.0f}, z {:.0f}".format(*maps.space.xyz[feature])
    hemisphere, vertex, grid = int(maps.space.hemisphere[feature]), int(maps.space.flat[feature]), maps.space.grid
    if isinstance(grid, SurfaceGrid) and hemisphere == RIGHT:
        vertex -= grid.n_left  # left and right are counted together
    return f"vertex {vertex}{_SIDES.get(hemisphere, '')}"


def write_rows(path: Path, rows: Mapping[str, Sequence[ResultRow]], titles: Mapping[str, str]) -> None:
    """`results.tsv`: a row an arm, contrast and part."""
    columns = list(ResultRow.__dataclass_fields__)
    table = [
        {"arm": titles[arm], **{name: getattr(row, name) for name in columns}} for arm, of in rows.items() for row in of
    ]
    write_table(path, ["arm", *columns], table)
