"""Which voxels, grayordinates or vertices are the thalamus and the cortex: named by the user, or found."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.gifti import read_gifti
from thalgpu.engine.inputs.group_masks import Part, mask_of_files, masks_of_segmentations, on_grid
from thalgpu.engine.inputs.headers import ImageHeader, read_header, read_surface_header, require_same_grid
from thalgpu.engine.inputs.images import require_surfaces
from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, Subject, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.region_files import read_label_image
from thalgpu.engine.inputs.region_parts import (
    region_from_elements,
    region_from_labels,
    region_key,
    subset,
    without_elements,
)
from thalgpu.engine.inputs.template_atlas import atlas_region
from thalgpu.errors import InputError, ThalgpuWarning

__all__ = ["check_grids", "find_regions", "read_region", "region_key", "subset", "usable_subjects"]

FEWEST_VOXELS = 5
"""A thalamus of fewer voxels is a mistake in the mask or in its labels."""

FEWEST_PARCELS = 10
"""Fewer targets than this are more likely a mask with one label a hemisphere than a parcellation."""

STRUCTURES: dict[Part, tuple[str, ...]] = {
    "thalamus": ("CIFTI_STRUCTURE_THALAMUS_LEFT", "CIFTI_STRUCTURE_THALAMUS_RIGHT"),
    "cortex": ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"),
}


def find_regions(subjects: Sequence[Subject], *, thalamus: str | None, cortex: str | None) -> tuple[Region, Region]:
    """The thalamus (always voxels or grayordinates) and the cortex (voxels, vertices or parcels).

    Parameters
    ----------
    subjects : at least one.
    thalamus, cortex : `FILE[:LABELS]` as in `read_label_image`, or None to find the region by itself. For the thalamus
        the labels are joined into one mask, for its gradients are voxel-wise; for the cortex several labels make
        parcels and a single value makes a mask.

    Returns
    -------
    thalamus, cortex : Region
        Without common elements: the thalamus' are taken out of the cortex, with a warning.

    Raises
    ------
    InputError
        When a file cannot be used, a region is empty or too small, or nothing was found: then it says what to give.

    Notes
    -----
    A region that is not named is, in this order: the list's column `thalamus` or `cortex` (one file for all, or the
    elements in at least half of the subjects' files); the scans' own structures (CIFTI thalamus and cortex; for the
    cortex all vertices of `func.gii` surfaces that vary over time); the voxels in at least half of the segmentations
    beside the scans; TemplateFlow's atlas of the scans' space. What is found by vote is on the grid of most scans.
    """
    example, grid = _usual_scan(subjects)
    named: dict[Part, str | None] = {"thalamus": thalamus, "cortex": cortex}
    found: dict[Part, Region] = {}
    for part, text in named.items():
        if text is not None:
            found[part] = _named(text, grid, parcels=part == "cortex")
        elif region := mask_of_files(subjects, grid, part) or _own_structures(example, grid, part):
            found[part] = region
    missing = [part for part in named if part not in found]
    if missing:
        found |= masks_of_segmentations(subjects, grid, missing)
    for part in named:
        if part not in found:
            found[part] = atlas_region(example.runs[0].bold, grid, part)
    return _checked(found["thalamus"], found["cortex"])


def read_region(text: str, grid: Grid, *, parcels: bool = True) -> Region:
    """A label image or mask `FILE[:LABELS]` on the given grid, one mask or parcels where it has several labels.

    InputError that names both grids when they differ; a CIFTI image is matched vertex by vertex and voxel by voxel.
    """
    return region_from_labels(on_grid(read_label_image(text), grid), parcels=parcels)


def check_grids(subject: Subject, regions: Sequence[Region]) -> tuple[ImageHeader, ...]:
    """Headers of the subject's scans, once they lie on the regions' grids (shape, and affine within 1e-3 mm).

    Raises
    ------
    InputError
        A scan that is unsound, lies on another grid (both are named), or has no surfaces where the targets do.
    """
    headers = []
    for run in subject.runs:
        header = read_header(run.bold)
        for region in regions:
            if not isinstance(region.grid, SurfaceGrid):
                require_same_grid(run.bold, header.grid, region.grid, owner=region.source)
            else:
                surfaces = require_surfaces(run, region)
                found = read_surface_header(surfaces).grid
                require_same_grid(surfaces[0], found, region.grid, owner=region.source)
        headers.append(header)
    return tuple(headers)


def usable_subjects(
    subjects: Sequence[Subject], regions: Sequence[Region]
) -> tuple[tuple[Subject, ...], dict[str, InputError], list[tuple[ImageHeader, ...]]]:
    """Subjects whose scans' headers fit the regions, the others with the reason, and the headers.

    InputError when there is none.
    """
    usable, headers = [], []
    rejected: dict[str, InputError] = {}
    for subject in subjects:
        try:
            scans = check_grids(subject, regions)
        except InputError as error:
            rejected[subject.participant_id] = error
        else:
            usable.append(subject)
            headers.append(scans)
    if not usable:
        raise next(iter(rejected.values()))
    return tuple(usable), rejected, headers


def _usual_scan(subjects: Sequence[Subject]) -> tuple[Subject, Grid]:
    """A subject whose first scan is sound, and its grid: for volumes the grid that most subjects have.

    A CIFTI's axis takes long to parse, hence the first sound one is taken; what differs is refused subject by subject.
    """
    grids: list[tuple[Subject, Grid]] = []
    refused: InputError | None = None
    for subject in subjects:
        try:
            grid = read_header(subject.runs[0].bold).grid
        except InputError as error:
            refused = refused or error
            continue
        if isinstance(grid, CiftiGrid) and not grids:
            return subject, grid
        grids.append((subject, grid))
    if not grids:
        raise refused or InputError("", "the list names no subject")
    count = Counter(_rounded(grid) for _, grid in grids)
    return next((subject, grid) for subject, grid in grids if _rounded(grid) == count.most_common(1)[0][0])


def _rounded(grid: Grid) -> object:
    """Something hashable that is equal for grids that count as the same, but for rare cases at the rounding's edge."""
    return (grid.shape, np.round(grid.affine, 2).tobytes()) if isinstance(grid, VolumeGrid) else type(grid)


def _named(text: str, grid: Grid, *, parcels: bool) -> Region:
    image = read_label_image(text)
    # A volume or a surface keeps its own grid, so that a scan on another one is refused alone, with both grids named.
    if isinstance(grid, CiftiGrid) and isinstance(image.grid, CiftiGrid):
        image = on_grid(image, grid)
    return region_from_labels(image, parcels=parcels)


def _own_structures(example: Subject, grid: Grid, part: Part) -> Region | None:
    """What the scans' files say themselves: CIFTI structures, or for the cortex the vertices of their surfaces."""
    run = example.runs[0]
    if isinstance(grid, CiftiGrid):
        flat = np.flatnonzero(np.isin(grid.axis.name, STRUCTURES[part]))  # type: ignore[attr-defined]  # nibabel's axis
        return region_from_elements(f"{part} of {run.bold.name}", grid, flat) if flat.size else None
    if part == "thalamus" or run.surfaces is None:
        return None
    read_surface_header(run.surfaces)  # before their vertices are believed: sides and lengths
    left, right = (_varying_vertices(file) for file in run.surfaces)
    flat = np.flatnonzero(np.concatenate([left, right]))
    source = f"vertices of {run.surfaces[0].name} and {run.surfaces[1].name}"
    return region_from_elements(source, SurfaceGrid(len(left), len(right)), flat)


def _varying_vertices(file: Path) -> NDArray[np.bool_]:
    """(n_vertices,) whether a vertex has a finite signal that varies over time; the medial wall has none."""
    arrays = read_gifti(file).arrays
    if len({len(array) for array in arrays}) != 1:
        raise InputError(file, "no time series: its arrays differ in length, or there is none")
    series = np.column_stack([array.reshape(len(array), -1) for array in arrays])
    varies: NDArray[np.bool_] = np.isfinite(series).all(axis=1) & (series != series[:, :1]).any(axis=1)
    return varies


def _checked(thalamus: Region, cortex: Region) -> tuple[Region, Region]:
    """Both regions without common elements; InputError when one is too small or they lie on different grids."""
    if isinstance(thalamus.grid, SurfaceGrid):
        raise InputError(thalamus.source, "a thalamus has no surface", remedy="give a volume or a CIFTI image")
    if len(thalamus.flat) < FEWEST_VOXELS:
        reason = f"the thalamus has {len(thalamus.flat)} voxels; at least {FEWEST_VOXELS} are needed"
        raise InputError(thalamus.source, reason, remedy="check the mask and its labels")
    if not isinstance(cortex.grid, SurfaceGrid):
        cortex = _without_thalamus(cortex, thalamus)
    if not len(cortex.flat):
        raise InputError(cortex.source, "no target is left", remedy="check the mask and its labels")
    if cortex.parcel is not None and cortex.n_units < FEWEST_PARCELS:
        what = f"only {cortex.n_units} parcels as targets ({cortex.source}) — for voxels give a mask of 0 and 1"
        warnings.warn(what, ThalgpuWarning, stacklevel=3)
    return thalamus, cortex


def _without_thalamus(cortex: Region, thalamus: Region) -> Region:
    require_same_grid(cortex.source, cortex.grid, thalamus.grid, owner=thalamus.source)
    shared = np.isin(cortex.flat, thalamus.flat)
    if not shared.any():
        return cortex
    what = f"{int(shared.sum())} elements of {cortex.source} belong to {thalamus.source} and are no targets"
    warnings.warn(what, ThalgpuWarning, stacklevel=4)
    return without_elements(cortex, shared)
