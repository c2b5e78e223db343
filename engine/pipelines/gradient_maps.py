"""Aligned gradients of all subjects, out of an output folder of `thalgpu gradients`."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti
from thalgpu.engine.inputs.cifti import open_cifti
from thalgpu.engine.inputs.headers import volume_grid
from thalgpu.engine.inputs.maps_images import require_component
from thalgpu.engine.inputs.maps_masks import mask_values
from thalgpu.engine.inputs.model import CiftiGrid, Region, VolumeGrid
from thalgpu.engine.inputs.region_parts import region_from_elements
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.store import DatasetSpec, Record, read_attributes, read_record
from thalgpu.errors import InputError, ThalgpuWarning

_ALIGNED = re.compile(r"sub-([A-Za-z0-9]+)_(?:hemi-([LR])_)?seg-thalamus_desc-aligned_gradients\.h5")
_RUN_AGAIN = "run thalgpu gradients on this folder again"


def read_gradient_maps(out: Path, components: Sequence[int], mask: str | None) -> tuple[MapStack, ...]:
    """One measure a hemisphere (where these were embedded apart) and component.

    Parameters
    ----------
    out : an output folder of `thalgpu gradients`.
    components : numbers of components, from 1.
    mask : `FILE[:LABELS]` that narrows the thalamus; None for all of it.

    Returns
    -------
    Subjects ascending by id, the same in every measure. Elements are the voxels of the thalamus.

    Raises
    ------
    InputError
        For a folder without aligned gradients, a damaged record, subjects that are not aligned to one template, or that
        lack a hemisphere, and a component that was not computed.

    Warns
    -----
    ThalgpuWarning
        When the gradients were not aligned (`--alignment none`): signs and order of components may differ between
        subjects, so that their values are hardly comparable.
    """
    parts = _find_records(out)
    several = len(components) > 1
    found = []
    for side, records in parts.items():
        rows, covered = _read_rows(records, components)
        region = region_of(next(iter(records.values())), rows.shape[1])
        if mask is not None:
            inside = mask_values(region.grid, mask, out)[region.flat]
            if not inside.any():
                raise InputError(
                    mask, f"no voxel of the thalamus of {out} is inside", remedy="give a mask that overlaps"
                )
            covered = [here & inside for here in covered]
        sources = {path: file_sha256(path) for path in records.values()}
        words = tuple(f"sub-{label}" for label in records)
        for position, component in enumerate(components):
            names = [f"hemi-{side}" if side else "", f"component-{component}" if several else ""]
            found.append(
                MapStack(
                    out,
                    list(rows[:, :, position]),
                    words,
                    tuple(records),
                    sources,
                    "_".join(name for name in names if name),
                    region,
                    covered=covered,
                )
            )
    return tuple(found)


def _find_records(out: Path) -> dict[str, dict[str, Path]]:
    """Aligned records by hemisphere ("" for both in one) and participant, ascending."""
    parts: dict[str, dict[str, Path]] = {}
    for path in sorted(out.glob("sub-*/func/*seg-thalamus_desc-aligned_gradients.h5")):
        if match := _ALIGNED.fullmatch(path.name):
            parts.setdefault(match[2] or "", {})[match[1]] = path
    if not parts:
        remedy = "give the --out of thalgpu gradients, or name the maps themselves"
        raise InputError(out, "no aligned gradients in this folder", remedy=remedy)
    parts = {side: dict(sorted(records.items())) for side, records in sorted(parts.items())}
    everyone = set().union(*parts.values())
    for side, records in parts.items():
        if lacking := sorted(everyone - set(records)):
            part = f"hemisphere {side}" if side else "both hemispheres in one"
            others = f" (and {len(lacking) - 1} others)" if len(lacking) > 1 else ""
            raise InputError(out, f"sub-{lacking[0]}{others} has no gradients of {part}", remedy=_RUN_AGAIN)
    return parts


def _read_rows(
    records: dict[str, Path], components: Sequence[int]
) -> tuple[NDArray[np.float32], list[NDArray[np.bool_]]]:
    """The components of every subject, (n_subjects, n_voxels, n_components), and the voxels that each scan covers."""
    rows: list[NDArray[np.float32]] = []
    covered: list[NDArray[np.bool_]] = []
    first: Record | None = None
    n_unaligned = 0
    for path in records.values():
        record = _read_record(path)
        first = first or record
        aligned = record.datasets["aligned"]
        if rows and (len(aligned) != len(rows[0]) or record.attributes["template"] != first.attributes["template"]):
            other = next(iter(records.values()))
            raise InputError(path, f"not aligned to the template that {other} is aligned to", remedy=_RUN_AGAIN)
        for component in components:
            require_component(path, component, aligned.shape[1])
        rows.append(aligned[:, [component - 1 for component in components]])
        covered.append(record.datasets["covered"].astype(bool))
        n_unaligned += np.array_equal(record.datasets["rotation"], np.eye(aligned.shape[1]))
    if n_unaligned == len(rows):
        what = "the gradients were made with --alignment none, so that components may not mean the same in all subjects"
        warnings.warn(f"{what} — run thalgpu gradients with --alignment procrustes", ThalgpuWarning, stacklevel=4)
    return np.stack(rows), covered


def _read_record(path: Path) -> Record:
    expected = {
        "aligned": DatasetSpec("float32", (None, None)),
        "rotation": DatasetSpec("float64", (None, None)),
        "covered": DatasetSpec("uint8", (None,)),
    }
    record = read_record(path, expected)
    if record.datasets["covered"].shape != record.datasets["aligned"].shape[:1] or "template" not in record.attributes:
        raise InputError(path, "not an aligned record of thalgpu", remedy=_RUN_AGAIN)
    return record


def region_of(record: Path, n_voxels: int) -> Region:
    """Where the voxels of a subject's record lie, its own or the aligned one: on the grid of the maps beside it."""
    stem = record.name.removesuffix("_gradients.h5").removesuffix("_desc-aligned")
    maps = sorted(record.parent.glob(f"{stem}_stat-gradients_boldmap.*nii*"))
    if not maps:
        raise InputError(record, "the maps beside it are missing", remedy=_RUN_AGAIN)
    own = record.with_name(f"{stem}_gradients.h5")
    if maps[0].name.endswith(".dscalar.nii"):
        with CheckedStream(maps[0]) as stream:
            axis: Any = open_cifti(stream).axes[1]
        region = region_from_elements(str(record.parent), CiftiGrid(len(axis), axis), np.arange(len(axis)))
    else:
        with CheckedStream(maps[0]) as stream:
            header = open_nifti(stream)
        x, y, z = header.shape[:3]
        region = _region_of_voxels(own, volume_grid((x, y, z), header.affine), n_voxels)
    if len(region.flat) != n_voxels:
        raise InputError(record, f"{n_voxels} voxels where {maps[0]} has {len(region.flat)}", remedy=_RUN_AGAIN)
    return region


def _region_of_voxels(own: Path, grid: VolumeGrid, n_voxels: int) -> Region:
    if "voxel_ijk" not in read_attributes(own)["datasets"]:
        raise InputError(own, "it does not say where its voxels are", at="voxel_ijk", remedy=_RUN_AGAIN)
    ijk = read_record(own, {"voxel_ijk": DatasetSpec("int32", (n_voxels, 3))}).datasets["voxel_ijk"]
    if (ijk < 0).any() or (ijk >= grid.shape).any():
        raise InputError(own, "voxels outside the maps beside it", at="voxel_ijk", remedy=_RUN_AGAIN)
    flat = np.ravel_multi_index(tuple(ijk.T), grid.shape)
    if not (np.diff(flat) > 0).all():
        raise InputError(own, "voxels out of order", at="voxel_ijk", remedy=_RUN_AGAIN)
    return region_from_elements(str(own.parent), grid, flat)
