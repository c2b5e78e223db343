"""Group masks by vote: the elements that at least half of the subjects' own segmentations or masks hold."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from thalgpu.engine.inputs.headers import require_same_grid
from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, Subject
from thalgpu.engine.inputs.region_files import LabelImage, onto_axis, read_label_image
from thalgpu.engine.inputs.region_parts import region_from_labels
from thalgpu.errors import InputError, ThalgpuWarning

Part: TypeAlias = Literal["thalamus", "cortex"]

_NOT_CORTEX = {1000, 1004, 2000, 2004}
"""FreeSurfer's "unknown" and "corpus callosum" among the parcels of aparc."""

SEGMENTATION_LABELS: Mapping[Part, tuple[list[int], list[int]]] = {
    "thalamus": ([10], [49]),
    "cortex": ([3, *({*range(1000, 2000)} - _NOT_CORTEX)], [42, *({*range(2000, 3000)} - _NOT_CORTEX)]),
}
"""Left and right labels of aseg (3, 42: cortex) and aparcaseg (1000s, 2000s: its parcels)."""


def masks_of_segmentations(subjects: Sequence[Subject], grid: Grid, parts: Sequence[Part]) -> dict[Part, Region]:
    """Group masks from the subjects' FreeSurfer segmentations (`Subject.aseg`); empty when nobody has one.

    A voxel belongs to the thalamus when at least half of the segmentations label it 10 or 49, and to the cortex when at
    least half label it cortex. Its hemisphere is that of most of these labels, on a tie that of the sign of x. A
    segmentation that is damaged or not on `grid` has no vote; a warning names it.
    """
    files = {subject.participant_id: subject.aseg for subject in subjects if subject.aseg is not None}
    if not files:
        return {}
    left, right = ({part: np.zeros(0, dtype=np.int32) for part in parts} for _ in "LR")
    n_votes = 0
    for image in _voters(files, grid, len(subjects), "segmentation"):
        n_votes += 1
        for part in parts:
            for votes, labels in zip((left, right), SEGMENTATION_LABELS[part], strict=True):
                votes[part] = np.isin(image.values, labels) + (votes[part] if n_votes > 1 else 0)
    found: dict[Part, Region] = {}
    for part in parts:
        held = 2 * (left[part] + right[part]) >= n_votes
        sided = np.select([left[part] > right[part], right[part] > left[part]], [10, 49], 1)
        source = f"{part} in at least half of {n_votes} segmentations"
        image = LabelImage(source, grid, np.where(held, sided, 0), {}, freesurfer=True)
        found[part] = region_from_labels(_not_empty(image), parcels=False)
    return found


def mask_of_files(subjects: Sequence[Subject], grid: Grid, part: Part) -> Region | None:
    """The region of a list's column `thalamus` or `cortex`; None when it is empty.

    One file for all is taken as it is, so that a parcellation gives parcels for the cortex; else the elements that at
    least half of the files hold.
    """
    every = {subject.participant_id: getattr(subject, part) for subject in subjects}
    files: dict[str, Path] = {label: file for label, file in every.items() if file is not None}
    if not files:
        return None
    different = set(files.values())
    if len(different) == 1:
        return region_from_labels(_read_on(next(iter(different)), grid), parcels=part == "cortex")
    images = [image.values > 0 for image in _voters(files, grid, len(subjects), f"{part} mask")]
    held = 2 * np.sum(images, axis=0, dtype=np.int64) >= len(images)
    image = LabelImage(f"{part} in at least half of {len(images)} masks", grid, np.where(held, 1, 0), {})
    return region_from_labels(_not_empty(image), parcels=False)


def _voters(files: Mapping[str, Path], grid: Grid, n_subjects: int, kind: str) -> Iterator[LabelImage]:
    """Images on `grid` one by one; one warning names those without a vote, InputError when none has one."""
    refused: dict[str, InputError] = {}
    for label, file in files.items():
        try:
            image = _read_on(file, grid)
        except InputError as error:
            refused[label] = error
            continue
        yield image
    if len(refused) == len(files):
        raise next(iter(refused.values()))
    n_absent = n_subjects - len(files)
    if refused or n_absent:
        named = [f"sub-{label}: {error.reason}" for label, error in list(refused.items())[:3]]
        why = "; ".join([*([f"{n_absent} have none"] if n_absent else []), *named])
        what = f"{n_absent + len(refused)} of {n_subjects} subjects have no vote in the group's {kind}"
        warnings.warn(f"{what} ({why})", ThalgpuWarning, stacklevel=2)


def _read_on(file: Path, grid: Grid) -> LabelImage:
    return on_grid(read_label_image(str(file)), grid)


def on_grid(image: LabelImage, grid: Grid) -> LabelImage:
    """The image on the elements of `grid`; InputError that says how they differ when they do not fit."""
    if isinstance(grid, CiftiGrid) and isinstance(image.grid, CiftiGrid):
        return onto_axis(image, grid.axis)
    require_same_grid(image.source, image.grid, grid, owner="the scans")
    return image


def _not_empty(image: LabelImage) -> LabelImage:
    if not image.values.any():
        raise InputError(image.source, "no voxel at all", remedy="check that the segmentations are in a common space")
    return image
