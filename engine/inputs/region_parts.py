"""From labels to a region: elements, hemispheres, parcels; and parts of a region."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.headers import AFFINE_TOLERANCE
from thalgpu.engine.inputs.model import LEFT, MIDLINE, RIGHT, CiftiGrid, Grid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.region_files import LabelImage

FREESURFER_LEFT = (3, 10, *range(1000, 2000), *range(11100, 11200))
FREESURFER_RIGHT = (42, 49, *range(2000, 3000), *range(12100, 12200))
"""FreeSurfer's labels of cortex, thalamus and cortical parcels (Desikan-Killiany, Destrieux)."""


def region_from_labels(image: LabelImage, *, parcels: bool) -> Region:
    """The region of all elements with a label: a parcellation when `parcels` and several labels occur, else a mask.

    The hemisphere of an element is that of its FreeSurfer label (when they are), else that of its CIFTI or GIFTI
    structure, else the sign of x in mm (RAS: x < 0 is left, 0 the midline). A parcel's is that of most of its elements.
    A label that occurs on both surfaces of a GIFTI pair makes two parcels, as atlases number each surface anew.
    """
    flat = np.flatnonzero(image.values).astype(np.int64)
    region = region_from_elements(image.source, image.grid, flat)
    labels = image.values[flat]
    if image.freesurfer:
        sided = np.select([np.isin(labels, FREESURFER_LEFT), np.isin(labels, FREESURFER_RIGHT)], [LEFT, RIGHT], MIDLINE)
        region = replace(region, hemisphere=np.where(sided == MIDLINE, region.hemisphere, sided).astype(np.int8))
    if not parcels or len(np.unique(labels)) == 1:
        return region
    names: Mapping[int, str] = {int(label): image.names.get(int(label), str(label)) for label in np.unique(labels)}
    if isinstance(image.grid, SurfaceGrid):
        labels, names = _per_surface(labels, region.hemisphere == RIGHT, names)
    present, parcel = np.unique(labels, return_inverse=True)
    return replace(
        region,
        parcel=parcel.astype(np.int32),
        names=tuple(names[int(label)] for label in present),
        parcel_hemisphere=np.sign(np.bincount(parcel, weights=region.hemisphere)).astype(np.int8),
    )


def region_from_elements(source: str, grid: Grid, flat: NDArray[np.int64]) -> Region:
    """A mask of the given elements, with their places and hemispheres."""
    if isinstance(grid, SurfaceGrid):
        return Region(source, grid, flat, np.where(flat < grid.n_left, LEFT, RIGHT).astype(np.int8))
    if isinstance(grid, CiftiGrid):
        axis: Any = grid.axis
        ijk, affine, names = axis.voxel[flat], axis.affine, axis.name[flat]
        all_voxels = bool(axis.volume_mask[flat].all())
    else:
        ijk, affine, names = np.stack(np.unravel_index(flat, grid.shape), axis=1), np.asarray(grid.affine), None
        all_voxels = True
    hemisphere = np.full(len(flat), MIDLINE, dtype=np.int8)
    xyz = None
    if all_voxels:
        xyz = ijk @ np.asarray(affine, dtype=np.float64)[:3, :3].T + np.asarray(affine, dtype=np.float64)[:3, 3]
        hemisphere = np.where(np.abs(xyz[:, 0]) < AFFINE_TOLERANCE, MIDLINE, np.sign(xyz[:, 0])).astype(np.int8)
    if names is not None:
        hemisphere[np.char.endswith(names.astype(str), "_LEFT")] = LEFT
        hemisphere[np.char.endswith(names.astype(str), "_RIGHT")] = RIGHT
    return Region(source, grid, flat, hemisphere, ijk.astype(np.int32) if all_voxels else None, xyz)


def subset(region: Region, units: NDArray[np.bool_]) -> Region:
    """The region without the units (parcels, or elements of a mask) where `units` (n_units,) is False."""
    if units.shape != (region.n_units,):
        raise ValueError(f"{units.shape} flags for {region.n_units} units")
    return without_elements(region, ~(units if region.parcel is None else units[region.parcel]))


def without_elements(region: Region, left_out: NDArray[np.bool_]) -> Region:
    """The region without the elements where `left_out` (n_elements,) is True; parcels that are empty then go too."""
    keep = ~left_out
    smaller = replace(
        region,
        flat=region.flat[keep],
        hemisphere=region.hemisphere[keep],
        ijk=None if region.ijk is None else region.ijk[keep],
        xyz=None if region.xyz is None else region.xyz[keep],
    )
    if region.parcel is None or region.parcel_hemisphere is None:
        return smaller
    present, parcel = np.unique(region.parcel[keep], return_inverse=True)
    return replace(
        smaller,
        parcel=parcel.astype(np.int32),
        names=tuple(region.names[i] for i in present),
        parcel_hemisphere=region.parcel_hemisphere[present],
    )


def region_key(region: Region) -> str:
    """SHA-256 (hex) over grid, elements, parcels and names: equal for equal regions, wherever their files lie."""
    digest = hashlib.sha256()
    for array in _grid_arrays(region.grid):
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(region.flat.astype("<i8").tobytes())
    if region.parcel is not None:
        digest.update(region.parcel.astype("<i4").tobytes())
    digest.update(repr(region.names).encode())
    return digest.hexdigest()


def source_name(region: Region) -> str:
    """Where a region came from, without folders: the same wherever the files lie."""
    return re.sub(r"[^\s,:]*/", "", region.source)


def _grid_arrays(grid: Grid) -> list[NDArray[Any]]:
    if isinstance(grid, VolumeGrid):
        return [np.array(grid.shape, dtype="<i8"), np.array(grid.affine, dtype="<f8")]
    if isinstance(grid, SurfaceGrid):
        return [np.array([grid.n_left, grid.n_right], dtype="<i8")]
    axis: Any = grid.axis
    sizes = [axis.nvertices.get(name, 0) for name in axis.name]
    arrays = [
        np.char.encode(axis.name.astype(str), "utf-8"),
        *(np.array(x, dtype="<i8") for x in (axis.vertex, axis.voxel, sizes)),
    ]
    if axis.volume_shape is not None:
        arrays += [np.array(axis.volume_shape, dtype="<i8"), np.array(axis.affine, dtype="<f8")]
    return arrays


def _per_surface(
    labels: NDArray[np.int64], right: NDArray[np.bool_], names: Mapping[int, str]
) -> tuple[NDArray[np.int64], Mapping[int, str]]:
    """Labels and names told apart by surface where both surfaces use one label."""
    shared = np.intersect1d(labels[right], labels[~right])
    if not shared.size:
        return labels, names
    shift = int(labels.max()) + 1
    told = {label: f"L_{name}" for label, name in names.items()} | {
        label + shift: f"R_{name}" for label, name in names.items()
    }
    return np.where(right, labels + shift, labels), told
