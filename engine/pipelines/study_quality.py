"""Quality of every tested person's measures, for the study's page."""

from collections.abc import Mapping

import numpy as np

from thalgpu.engine.pipelines.study_maps import by_group
from thalgpu.engine.pipelines.study_model import StudyResult
from thalgpu.engine.report.study_page import Picture, QualityPage, SubjectQuality
from thalgpu.engine.report.study_pictures import rain_cloud_picture
from thalgpu.engine.structure.quality import OUTLIER_Z, robust_z

_MOTION = 0.5
"""Mean framewise displacement in mm above which a person stands out (Power et al. 2012 censor single volumes at it)."""
_LOW_CORRELATION = 0.5
"""Correlation of the first gradient with the template below which a person stands out."""

Column = Mapping[str, float | None]


def quality_page(result: StudyResult) -> QualityPage | None:
    """Motion, volumes, coverage, agreement with the template and mesh distance; None where nothing is known."""
    columns: dict[str, Column] = {}
    flags: dict[str, list[str]] = {one: [] for one in result.people.ids}
    criteria: list[str] = []
    _scans(result, columns, flags, criteria)
    _meshes(result, flags, criteria, columns)
    _numbers(result, flags, criteria)
    if not columns:
        return None
    rows = tuple(
        SubjectQuality(
            f"sub-{one}",
            (result.people.group_of[one], *(_cell(column.get(one)) for column in columns.values())),
            tuple(flags[one]),
        )
        for one in result.people.ids
    )
    return QualityPage(("group", *columns), rows, tuple(criteria), tuple(_pictures(result, columns)))


def _scans(result: StudyResult, columns: dict[str, Column], flags: dict[str, list[str]], criteria: list[str]) -> None:
    found = result.measured.results.get("gradients")
    if found is None:
        return
    one_of = {one.record.participant_id: one for one in found.aligned}
    records = {one: each.record for one, each in one_of.items()}
    columns["mean FD (mm)"] = {one: record.mean_fd for one, record in records.items()}
    columns["volumes kept"] = {one: record.n_kept for one, record in records.items()}
    columns["voxels with a signal (%)"] = {
        one: 100 * record.n_covered / record.n_voxels for one, record in records.items()
    }
    columns["r with the template"] = {one: each.summary["gradient1_r_template"] for one, each in one_of.items()}
    criteria += [
        f"mean framewise displacement above {_MOTION:g} mm",
        f"correlation of the first gradient with the template below {_LOW_CORRELATION:g}",
    ]
    for one in flags:
        fd, r = columns["mean FD (mm)"].get(one), columns["r with the template"].get(one)
        if fd is not None and fd > _MOTION:
            flags[one].append(f"mean FD {fd:.2f} mm")
        if r is not None and r < _LOW_CORRELATION:
            flags[one].append(f"r with the template {r:.2f}")


def _meshes(result: StudyResult, flags: dict[str, list[str]], criteria: list[str], columns: dict[str, Column]) -> None:
    found = result.measured.results.get("structure")
    if found is None or not found.quality:
        return
    for side in ("L", "R"):
        distances = {row.participant_id: row.distance for row in found.quality if row.side == side}
        if distances:
            columns[f"distance from the mean shape, {side} (mm)"] = distances
    for row in found.quality:
        if row.outlier and row.participant_id in flags:
            flags[row.participant_id].append(f"shape {row.side} {row.distance:.2f} mm from the mean")
    criteria.append(f"a shape whose distance from the mean is an outlier (robust z above {OUTLIER_Z:g})")


def _numbers(result: StudyResult, flags: dict[str, list[str]], criteria: list[str]) -> None:
    """Volumes and thickness far from the others'."""
    numbers = [one for one in result.numbers if one.arm in ("volumes", "thickness")]
    for summary in numbers:
        scores = robust_z(np.array(list(summary.values.values())))
        for one, score in zip(summary.values, scores.tolist(), strict=True):
            if abs(score) > OUTLIER_Z:
                flags[one].append(f"{summary.name} (robust z {score:.1f})")
    if numbers:
        criteria.append(f"a volume or thickness with a robust z beyond ±{OUTLIER_Z:g}")


def _pictures(result: StudyResult, columns: Mapping[str, Column]) -> list[Picture]:
    motion = {one: value for one, value in columns.get("mean FD (mm)", {}).items() if value is not None}
    motion = {one: value for one, value in motion.items() if one in result.people.group_of}
    if not motion:
        return []
    return [
        rain_cloud_picture([("mean FD", by_group(motion, result.people))], "motion: mean framewise displacement (mm)")
    ]


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3g}"
