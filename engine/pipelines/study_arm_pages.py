"""From the tests of an arm to its part of the study's page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalgpu.engine.inputs.study_settings import ARM_TITLES
from thalgpu.engine.inputs.subject_maps import SubjectMaps
from thalgpu.engine.pipelines.structure_sources import WORDS
from thalgpu.engine.pipelines.study_maps import arm_maps, by_group
from thalgpu.engine.pipelines.study_model import StudyPrepared, StudyResult
from thalgpu.engine.pipelines.study_request import StudyRequest, gradients_request
from thalgpu.engine.pipelines.study_results import Tested
from thalgpu.engine.pipelines.study_summaries import Summary
from thalgpu.engine.report import study_measures as measured
from thalgpu.engine.report.permute_page import Unit
from thalgpu.engine.report.study_page import ArmPage, Picture
from thalgpu.engine.report.study_pictures import (
    bars_picture,
    rain_cloud_picture,
    scree_picture,
    template_pictures,
)

_SHOWN = 3
"""Gradients of the template that are drawn."""
_MOST_CLOUDS = 6
"""Rain clouds in a figure."""
_LABELS = {
    "volumes": "thalamic volume (mm³)",
    "thickness": "grey-matter thickness (mm)",
    "shape": "mean displacement (mm)",
    "gradients": "range of the gradient",
    "connectivity": "mean connectivity (Fisher z)",
}
"""What the numbers of an arm are."""
_ASYMMETRY = "asymmetry"


def arm_page(
    arm: str, request: StudyRequest, prepared: StudyPrepared, result: StudyResult, numbers: Sequence[Summary]
) -> ArmPage:
    """Everything that the page shows of an arm."""
    tested = [each for each in result.tested if each.test.arm == arm]
    folders = [each.test.request.out for each in tested]
    command = "structure" if arm in ("volumes", "thickness", "shape") else arm
    return ArmPage(
        key=arm,
        title=ARM_TITLES[arm],
        measured=_measured(arm, request, prepared, tested),
        unit=_unit(tested[0].found[0].maps_of),
        rows=tuple(result.rows[arm]),
        pictures=(
            *(_gradients(prepared, result) if arm == "gradients" else ()),
            *arm_maps(tested, result.people),
            *_of_numbers(arm, result, [one for one in numbers if one.arm == arm]),
        ),
        reports=(
            *((f"test {folder.name}", f"tests/{folder.name}/report.html") for folder in folders),
            (f"measures ({command})", f"{command}/report.html"),
        ),
        adjusted=tuple(result.adjusted_rows.get(arm, ())),
        tfce=any(each.test.request.options.tfce for each in tested),
    )


def _unit(maps: SubjectMaps) -> Unit:
    if maps.space is None:
        return "feature"
    return "vertex" if maps.space.ijk is None else "voxel"


def _measured(arm: str, request: StudyRequest, prepared: StudyPrepared, tested: Sequence[Tested]) -> str:
    """What was measured, for the methods section."""
    settings = prepared.study.arms[arm]
    maps = tested[0].found[0].maps_of
    match arm:
        case "gradients":
            plan, options = prepared.commands["gradients"].plan, gradients_request(request, prepared.study).options
            return measured.gradients_measured(options, plan.n_voxels, plan.n_targets, max(settings["components"]))
        case "volumes":
            return measured.volumes_measured(_spoken(maps), settings["icv"], _source(prepared, "volumes"))
        case "thickness":
            return measured.thickness_measured(_spoken(maps), _source(prepared, "thickness"))
        case "shape":
            assert maps.space is not None
            sizes = [int((maps.space.hemisphere == side).sum()) for side in sorted(set(maps.space.hemisphere.tolist()))]
            source = _source(prepared, "shape")
            return measured.shape_measured(sizes, settings["shape_alignment"], settings["smooth"], source)
    seeds = list(prepared.commands["connectivity"].seeds.names)
    cortex = prepared.commands["connectivity"].atlas or prepared.commands["connectivity"].cortex
    targets = "cortical regions" if cortex.names else "cortical voxels or vertices"
    return measured.connectivity_measured(seeds, cortex.n_units, targets)


def _source(prepared: StudyPrepared, measure: Any) -> str:
    """What a measure of structure was read from, in words."""
    return WORDS[measure, prepared.commands["structure"].sources[measure]]


def _spoken(maps: SubjectMaps) -> list[str]:
    return [name.replace("_", " ") for name in maps.feature_names]


def _of_numbers(arm: str, result: StudyResult, numbers: Sequence[Summary]) -> list[Picture]:
    """Rain clouds of the arm's numbers; bars of regions. Asymmetry is no volume, and gets a figure of its own."""
    if not numbers:
        return []
    if arm == "thickness":
        stacked = {one: np.array([summary.values[one] for summary in numbers]) for one in result.people.ids}
        names = [one.name.removeprefix("thickness ") for one in numbers]
        return [bars_picture(names, by_group(stacked, result.people), _LABELS[arm])]
    ratios = [one for one in numbers if _ASYMMETRY in one.name]
    sizes = [one for one in numbers if one not in ratios][:_MOST_CLOUDS]
    pictures = []
    for shown, label in ((sizes, _LABELS[arm]), (ratios, "asymmetry, (left − right) / mean")):
        if shown:
            panels = [(one.name.removeprefix(f"{arm} "), by_group(one.values, result.people)) for one in shown]
            pictures.append(rain_cloud_picture(panels, label))
    return pictures


def _gradients(prepared: StudyPrepared, result: StudyResult) -> list[Picture]:
    """Template and eigenvalues."""
    found = result.measured.results["gradients"]
    first = {one.record.participant_id: one.record for one in reversed(found.aligned)}
    lambdas: Mapping[str, Any] = {one: first[one].lambdas for one in result.people.ids}
    template, part = found.templates[0], prepared.commands["gradients"].parts[0]
    return [
        *template_pictures(template.gradients, template.covered, part.thalamus, _SHOWN),
        scree_picture(by_group(lambdas, result.people), template.lambdas),
    ]
