"""Subjects' maps in GIFTI files: one hemisphere, or left and right together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.gifti import Side, read_gifti, require_side
from thalgpu.engine.inputs.maps_images import require_component, require_no_component
from thalgpu.engine.inputs.maps_masks import tested_region
from thalgpu.engine.inputs.maps_names import participants_of, words_for
from thalgpu.engine.inputs.model import Region, SurfaceGrid
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError

_SIDES: dict[Side, str] = {"left": r"hemi-(L|lh|left)", "right": r"hemi-(R|rh|right)"}
_SHORT: dict[Side, str] = {"left": r"(lh|L)", "right": r"(rh|R)"}


@dataclass(frozen=True)
class _Surface:
    """All maps of one file, (n_vertices, n_maps)."""

    path: Path
    matrix: NDArray[Any]
    sha256: str


def read_surfaces(paths: Sequence[Path], components: Sequence[int], mask: str | None) -> tuple[MapStack, ...]:
    """Maps of `.func.gii` or `.shape.gii` files.

    Parameters
    ----------
    paths : files of one hemisphere, or as many of the left as of the right, in any order. Which it is, the name says
        (`hemi-L`, `lh.`, `.L.`), else the file's AnatomicalStructurePrimary. One file (or one pair) has a map a
        subject; otherwise each file (or pair) is a subject's, and left and right belong together by their sub-XX, or
        without one by their order.
    components : which maps of every subject's file, from 1.
    mask : `LEFT.gii,RIGHT.gii`, or for one hemisphere a `.gii`; None for all vertices.

    Raises
    ------
    InputError
        For unsound files, unknown or unpaired hemispheres, and numbers of vertices or maps that differ (both files
        named).
    """
    sides = [side_of(path) for path in paths]
    left, right = ([path for path, side in zip(paths, sides, strict=True) if side == one] for one in ("left", "right"))
    ids = participants_of(left or right)
    if left and right:
        right = _paired(left, right, ids)
    halves = [[_read(path) for path in half] for half in (left, right)]
    for half in halves:
        _require_same_vertices(half)
    grid = SurfaceGrid(*(len(half[0].matrix) if half else 0 for half in halves))
    region = tested_region(grid, mask, paths[0])
    subjects = list(zip(*(half for half in halves if half), strict=True))
    if len(subjects) == 1:
        require_no_component(paths[0], components)
        return (_subjects_in_one(subjects[0], region),)
    sources = {surface.path: surface.sha256 for subject in subjects for surface in subject}
    words, several = words_for(left or right, ids), len(set(components)) > 1
    return tuple(
        MapStack(
            paths[0],
            [_row(subject, component, region) for subject in subjects],
            words,
            ids,
            sources,
            f"component-{component}" if several else "",
            region,
        )
        for component in dict.fromkeys(components)
    )


def side_of(path: Path) -> Side:
    """The hemisphere that a file's name, or else its own metadata, says; InputError where both say nothing."""
    for side, entity in _SIDES.items():
        short = _SHORT[side]
        if re.search(rf"(^|_){entity}(?=[_.])", path.name) or re.search(rf"(^|[._]){short}\.", path.name):
            return side
    structure = read_gifti(path).structure.lower()
    for side in _SIDES:
        if structure.endswith(side):
            return side
    remedy = "name it …hemi-L… or …hemi-R…, or lh.… or rh.…"
    raise InputError(path, "neither its name nor its metadata say the hemisphere", remedy=remedy)


def _paired(left: Sequence[Path], right: Sequence[Path], ids: tuple[str, ...] | None) -> list[Path]:
    """The right files in the order of the left ones they belong to."""
    others = participants_of(right)
    if ids is None or others is None:
        if len(left) != len(right):
            odd = left[-1] if len(left) > len(right) else right[-1]
            reason = f"{len(left)} files of the left hemisphere and {len(right)} of the right"
            raise InputError(odd, reason, remedy="give both of every subject, or one hemisphere only")
        return list(right)
    unpaired = sorted(set(ids) ^ set(others))
    if unpaired:
        label = unpaired[0]
        path, missing = (left[ids.index(label)], "right") if label in ids else (right[others.index(label)], "left")
        more = f", as have {len(unpaired) - 1} other subjects" if len(unpaired) > 1 else ""
        reason = f"sub-{label} has no file of the {missing} hemisphere{more}"
        raise InputError(path, reason, remedy="give both of every subject, or one hemisphere only")
    return [right[others.index(label)] for label in ids]


def _read(path: Path) -> _Surface:
    image = read_gifti(path)
    require_side(path, image.structure, side_of(path))
    if not image.arrays:
        raise InputError(path, "no data arrays", remedy="give a .func.gii or .shape.gii file")
    n_vertices = len(image.arrays[0])
    # a mesh has arrays too: points of three coordinates, and triangles
    if any(intent in ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE") for intent in image.intents):
        raise InputError(
            path, "a mesh, not a map", remedy="give .func.gii or .shape.gii files, and the mesh as --surface"
        )
    if any(len(array) != n_vertices for array in image.arrays):
        raise InputError(path, "arrays of different lengths", at="Dim0", remedy="keep maps of one surface")
    matrix = np.concatenate([array.reshape(n_vertices, -1) for array in image.arrays], axis=1)
    return _Surface(path, matrix, image.sha256)


def _require_same_vertices(half: Sequence[_Surface]) -> None:
    for surface in half[1:]:
        if len(surface.matrix) != len(half[0].matrix):
            reason = f"{len(surface.matrix)} vertices where {half[0].path} has {len(half[0].matrix)}"
            raise InputError(surface.path, reason, remedy="resample one to the other's surface")


def _row(subject: Sequence[_Surface], component: int, region: Region) -> NDArray[Any]:
    for surface in subject:
        require_component(surface.path, component, surface.matrix.shape[1])
    return np.concatenate([surface.matrix[:, component - 1] for surface in subject])[region.flat]


def _subjects_in_one(surfaces: Sequence[_Surface], region: Region) -> MapStack:
    """One file, or one pair, with a map a subject."""
    n_subjects = surfaces[0].matrix.shape[1]
    for surface in surfaces[1:]:
        if surface.matrix.shape[1] != n_subjects:
            reason = f"{surface.matrix.shape[1]} maps where {surfaces[0].path} has {n_subjects}"
            raise InputError(surface.path, reason, remedy="give the same subjects' maps of both hemispheres")
    whole = np.concatenate([surface.matrix for surface in surfaces])[region.flat]
    words = tuple(f"map {number}" for number in range(1, n_subjects + 1))
    sources = {surface.path: surface.sha256 for surface in surfaces}
    return MapStack(surfaces[0].path, list(whole.T), words, None, sources, space=region)
