"""From the tests of an arm to its part of the study's page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalgpu.engine.inputs.study_settings import ARM_TITLES
from thalgpu.engine.inputs.subject_maps import SubjectMaps
from thalgpu.engine.pipelines.permute_meshes import meshes_under
from thalgpu.engine.pipelines.permute_outputs import PartResult
from thalgpu.engine.pipelines.study import StudyPrepared, StudyResult
from thalgpu.engine.pipelines.study_request import StudyRequest, gradients_request
from thalgpu.engine.pipelines.study_results import Tested
from thalgpu.engine.pipelines.study_summaries import Summary
from thalgpu.engine.report import study_measures as measured
from thalgpu.engine.report.permute_page import ALPHA, Unit
from thalgpu.engine.report.permute_words import STATISTICS
from thalgpu.engine.report.study_page import ArmPage, Picture
from thalgpu.engine.report.study_pictures import (
    Groups,
    bars_picture,
    rain_cloud_picture,
    scree_picture,
    slices_picture,
    surfaces_picture,
    template_pictures,
)

_SHOWN = 3
"""Gradients of the template that are drawn."""
_MOST_CLOUDS = 6
"""Rain clouds in a figure, and regions in a bar chart."""
_MEASURES = {"tfce": "TFCE", "cluster_mass": "cluster mass", "cluster_extent": "cluster extent"}


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
        measured=_measured(arm, request, prepared, result, tested),
        unit=_unit(tested[0].found[0].maps_of),
        rows=tuple(result.rows[arm]),
        pictures=(
            *_maps(tested),
            *_of_numbers(arm, result, [one for one in numbers if one.arm == arm]),
            *(_gradients(prepared, result) if arm == "gradients" else ()),
        ),
        reports=(
            *((f"test {folder.name}", f"tests/{folder.name}/report.html") for folder in folders),
            (f"measures ({command})", f"{command}/report.html"),
        ),
        adjusted=tuple(result.adjusted_rows.get(arm, ())),
        tfce=any(each.test.request.options.tfce for each in tested),
    )


def by_group(values: Mapping[str, Any], result: StudyResult) -> Groups:
    """Each group's members' values, in the study's order."""
    group_of = result.people.group_of
    return [
        (group, np.array([value for one, value in values.items() if group_of[one] == group]))
        for group in result.people.groups
    ]


def _unit(maps: SubjectMaps) -> Unit:
    if maps.space is None:
        return "feature"
    return "vertex" if maps.space.ijk is None else "voxel"


def _measured(
    arm: str, request: StudyRequest, prepared: StudyPrepared, result: StudyResult, tested: Sequence[Tested]
) -> str:
    """What was measured, for the methods section."""
    settings = prepared.study.arms[arm]
    maps = tested[0].found[0].maps_of
    match arm:
        case "gradients":
            plan, options = prepared.commands["gradients"].plan, gradients_request(request, prepared.study).options
            return measured.gradients_measured(options, plan.n_voxels, plan.n_targets, max(settings["components"]))
        case "volumes":
            return measured.volumes_measured(_spoken(maps), settings["icv"], "FreeSurfer's segmentation")
        case "thickness":
            return measured.thickness_measured(_spoken(maps), "FreeSurfer's surfaces")
        case "shape":
            assert maps.space is not None
            sizes = [int((maps.space.hemisphere == side).sum()) for side in sorted(set(maps.space.hemisphere.tolist()))]
            return measured.shape_measured(sizes, settings["shape_alignment"], settings["smooth"], "FSL FIRST")
    seeds = list(result.measured.seed_maps) or ["the thalamus"]
    return measured.connectivity_measured(seeds, maps.values.shape[1], "pairs of seed and target")


def _spoken(maps: SubjectMaps) -> list[str]:
    return [name.replace("_", " ") for name in maps.feature_names]


def _maps(tested: Sequence[Tested]) -> list[Picture]:
    """A figure a contrast and part, of maps that have a place; those where something is significant, or the best."""
    shown: list[tuple[float, Tested, PartResult]] = [
        (float(one.p.min()), each, one) for each in tested for one in each.found if one.maps_of.space is not None
    ]
    significant = [item for item in shown if item[0] <= ALPHA]
    chosen = significant or sorted(shown, key=lambda item: item[0])[:1]
    return [picture for _, each, one in chosen if (picture := _map(each, one)) is not None]


def _map(each: Tested, one: PartResult) -> Picture | None:
    space = one.maps_of.space
    assert space is not None
    statistic = STATISTICS.get(one.result.statistic, one.result.statistic)
    part = each.part_name(one)
    signed = one.result.contrast.kind == "t"
    common: dict[str, Any] = {
        "title": f"{one.result.contrast.name}{f', {part}' if part else ''}",
        "values": one.maps["stat"],
        "significant": one.p <= ALPHA,
        "label": f"{statistic} ({', '.join(f'{number:g}' for number in one.result.degrees)} df)",
        "signed": signed,
        "by": _MEASURES.get(one.deciding, f"the largest {f'|{statistic}|' if signed else statistic}"),
    }
    if space.ijk is not None:
        return slices_picture(region=space, **common)
    meshes = meshes_under(space, each.test.request.surface)
    return surfaces_picture(meshes=meshes, **common) if meshes else None


def _of_numbers(arm: str, result: StudyResult, numbers: Sequence[Summary]) -> list[Picture]:
    """Rain clouds of the arm's numbers; bars of regions where there are many."""
    if not numbers:
        return []
    if arm == "thickness":
        stacked = {one: np.array([summary.values[one] for summary in numbers]) for one in result.people.ids}
        names = [one.name.removeprefix("thickness ") for one in numbers]
        return [bars_picture(names, by_group(stacked, result), "grey-matter thickness (mm)")]
    units = {"volumes": " (mm³; asymmetry: a ratio)", "shape": " (mm)", "gradients": "", "connectivity": " (Fisher z)"}
    panels = [(one.name, by_group(one.values, result)) for one in numbers[:_MOST_CLOUDS]]
    return [rain_cloud_picture(panels, f"{ARM_TITLES[arm].lower()}{units[arm]}")]


def _gradients(prepared: StudyPrepared, result: StudyResult) -> list[Picture]:
    """Eigenvalues and template."""
    found = result.measured.results["gradients"]
    pictures: list[Picture] = []
    first = {one.record.participant_id: one.record for one in reversed(found.aligned)}
    lambdas = {one: first[one].lambdas for one in result.people.ids}
    template = found.templates[0]
    pictures.append(scree_picture(by_group(lambdas, result), template.lambdas))
    part = prepared.commands["gradients"].parts[0]
    pictures += template_pictures(template.gradients, template.covered, part.thalamus, _SHOWN)
    return pictures
