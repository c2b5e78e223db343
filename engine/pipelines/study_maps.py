"""Maps of an arm's tests as figures: each contrast's statistic, and group means where groups differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalgpu.engine.pipelines.permute_meshes import meshes_under
from thalgpu.engine.pipelines.permute_outputs import PartResult
from thalgpu.engine.pipelines.study_people import People
from thalgpu.engine.pipelines.study_results import Tested
from thalgpu.engine.report.permute_page import ALPHA
from thalgpu.engine.report.permute_words import STATISTICS
from thalgpu.engine.report.study_page import Picture
from thalgpu.engine.report.study_pictures import Groups, group_maps_picture, slices_picture, surfaces_picture

_MEASURES = {"tfce": "TFCE", "cluster_mass": "cluster mass", "cluster_extent": "cluster extent"}

Item = tuple[Tested, PartResult]


def by_group(values: Mapping[str, Any], people: People) -> Groups:
    """Each group's members' values, in the study's order."""
    return [
        (group, np.array([value for one, value in values.items() if people.group_of[one] == group]))
        for group in people.groups
    ]


def arm_maps(tested: Sequence[Tested], people: People) -> list[Picture]:
    """Every contrast and part with something significant, or the one that comes closest; on one scale of colours."""
    items = [(each, one) for each in tested for one in each.found if one.maps_of.space is not None]
    found = [item for item in items if item[1].p.min() <= ALPHA]
    chosen = found or sorted(items, key=lambda item: float(item[1].p.min()))[:1]
    limit = max((float(np.abs(one.maps["stat"]).max()) for _, one in chosen if _signed(one)), default=None)
    pictures = [_map(each, one, limit) for each, one in chosen]
    return [picture for picture in (*_means(chosen, people), *pictures) if picture is not None]


def _signed(one: PartResult) -> bool:
    return one.result.contrast.kind == "t"


def _map(each: Tested, one: PartResult, limit: float | None) -> Picture | None:
    space = one.maps_of.space
    assert space is not None
    common: dict[str, Any] = {
        "title": _title(each, one),
        "values": one.maps["stat"],
        "significant": one.p <= ALPHA,
        "label": f"{_statistic(one)} ({', '.join(f'{number:g}' for number in one.result.degrees)} df)",
        "signed": _signed(one),
        "by": _by(one),
        "limit": limit if _signed(one) else None,
    }
    if space.ijk is not None:
        return slices_picture(region=space, **common)
    meshes = meshes_under(space, each.test.request.surface)
    return surfaces_picture(meshes=meshes, **common) if meshes else None


def _means(chosen: Sequence[Item], people: People) -> list[Picture]:
    """Group means of each part in which all groups differ, or without such a test any two."""
    tests = [item for item in chosen if not _signed(item[1])] or list(chosen)
    parts = {each.part_name(one): (each, one) for each, one in reversed(tests)}
    return [
        group_maps_picture(
            _title(each, one),
            by_group(dict(zip(one.maps_of.ids or (), one.maps_of.values, strict=True)), people),
            one.p <= ALPHA,
            one.maps_of.space,
            each.part_name(one) or each.test.arm,
            _by(one),
        )
        for each, one in parts.values()
        if one.maps_of.space is not None and one.maps_of.space.ijk is not None
    ]


def _title(each: Tested, one: PartResult) -> str:
    part = each.part_name(one)
    return f"{one.result.contrast.name}{f', {part}' if part else ''}"


def _statistic(one: PartResult) -> str:
    return STATISTICS.get(one.result.statistic, one.result.statistic)


def _by(one: PartResult) -> str:
    name = _statistic(one)
    return _MEASURES.get(one.deciding, f"the largest {f'|{name}|' if _signed(one) else name}")
