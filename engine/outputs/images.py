"""Maps on a region's grid as NIfTI, CIFTI or GIFTI files, and back; the same maps give the same bytes."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import ScalarAxis
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_nifti
from thalgpu.engine.inputs.cifti import read_cifti
from thalgpu.engine.inputs.headers import require_same_grid, volume_grid
from thalgpu.engine.inputs.model import CiftiGrid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.outputs.atomic import write_bytes
from thalgpu.engine.outputs.names import map_suffix
from thalgpu.engine.outputs.store import DatasetSpec, read_attributes, read_record
from thalgpu.errors import InputError, ThalgpuError

_AFFINE_TOLERANCE_MM = 1e-3
_ALIGNED = 2
"""NIfTI's code of coordinates that are aligned to something: a volume does not say what its space is called."""

_ELSEWHERE = "give maps on the grid of --thalamus, or a group's gradients.h5"


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a map are: NIfTI's intent as nibabel names it, its parameters, and a name for people."""

    intent: str = "estimate"
    parameters: tuple[float, ...] = ()
    name: str = "gradients"


def write_maps(
    path: Path | Sequence[Path],
    values: NDArray[Any],
    region: Region,
    map_names: Sequence[str],
    meaning: Meaning | None = None,
) -> tuple[Path, ...]:
    """Write one map a column, zero outside the region.

    Parameters
    ----------
    path : one file, or for a surface the left and the right one; its ending must be the grid's (`names.map_suffix`).
    values : (n_units, n_maps), or (n_units,) for a single map, which is 3-D in a volume; stored as float32. A parcel's
        value goes to all its elements.
    region : where the units lie. Volume: 4-D `.nii.gz`, whole grid, sform and qform from the grid's affine. CIFTI:
        `.dscalar.nii` of the region's grayordinates only. Surface: two `.func.gii` of all vertices.
    map_names : (n_maps,) names, kept in CIFTI and GIFTI; NIfTI has no place for them.
    meaning : of the numbers, where they are no gradients.

    Returns
    -------
    The files written.

    Raises
    ------
    ResourceError
        When a file cannot be written.
    ThalgpuError
        When a value is NaN or Inf: no such number may leave the engine.

    Notes
    -----
    gzip is zlib's, without time and name: ISA-L chooses its code path, and so the bytes, by the CPU. Nearly all of a
    volume is zero, so that level 1 takes half the time of level 6 for a file of 0.3 instead of 0.1 MB.
    """
    paths = (path,) if isinstance(path, Path) else tuple(path)
    columns = values[:, None] if values.ndim == 1 else values
    if columns.shape != (region.n_units, len(map_names)):
        raise ValueError(f"{values.shape} are not {len(map_names)} maps of {region.n_units} units")
    if any(not one.name.endswith(map_suffix(region.grid)) for one in paths):
        raise ValueError(f"{paths[0].name} is no name for maps on a {type(region.grid).__name__}")
    if not np.isfinite(values).all():
        raise ThalgpuError("maps hold NaN or Inf and are not written", where=str(paths[0]))
    elements = np.asarray(values if region.parcel is None else values[region.parcel], dtype=np.float32)
    for one, content in zip(paths, encode_maps(elements, region, map_names, meaning), strict=True):
        write_bytes(one, content)
    return paths


def read_maps(path: Path, region: Region) -> NDArray[np.float32]:
    """Maps of a file at the units of a region, as (n_units, n_maps) float32; a parcel's value is its elements' mean.

    Parameters
    ----------
    path : 3-D or 4-D NIfTI on the region's grid (affine within 1e-3 mm), a CIFTI dscalar of the whole grid or of just
        the region's grayordinates, or a group's `gradients.h5`.

    Raises
    ------
    InputError
        When the file is damaged, lies on another grid, or in the region holds NaN or Inf or nothing but 0. The file is
        the user's own: the remedy is another one, never to remove it.
    """
    read = _reader(path)
    elements = read(path, region)
    if not np.isfinite(elements).all():
        raise InputError(path, "its maps hold NaN or Inf in the region", remedy="fill or mask them")
    if not elements.any():
        raise InputError(path, "its maps are 0 everywhere in the region", remedy=_ELSEWHERE)
    if region.parcel is None or len(elements) == region.n_units:
        return elements.astype(np.float32)
    sizes = np.bincount(region.parcel, minlength=region.n_units)
    sums = [np.bincount(region.parcel, weights=column, minlength=region.n_units) for column in elements.T]
    means: NDArray[np.float64] = np.stack(sums, axis=1) / sizes[:, None]
    return means.astype(np.float32)


def encode_maps(
    elements: NDArray[np.float32], region: Region, names: Sequence[str], meaning: Meaning | None = None
) -> tuple[bytes, ...]:
    """Bytes of the file, or of one a hemisphere that has vertices, left first.

    Parameters
    ----------
    elements : (n_elements, n_maps), or (n_elements,) for a single map, which is 3-D in a volume.
    """
    meaning = meaning or Meaning()
    match region.grid:
        case VolumeGrid() as grid:
            return (_nifti(elements, region, grid, meaning),)
        case CiftiGrid() as grid:
            return (_dscalar(elements, region, grid, names),)
        case SurfaceGrid(n_left, n_right):
            whole = np.zeros((n_left + n_right, *elements.shape[1:]), dtype=np.float32)
            whole[region.flat] = elements
            halves = (("CortexLeft", whole[:n_left]), ("CortexRight", whole[n_left:]))
            return tuple(_gifti(half, structure, names, meaning) for structure, half in halves if len(half))


def _nifti(elements: NDArray[np.float32], region: Region, grid: VolumeGrid, meaning: Meaning) -> bytes:
    volume = np.zeros((*grid.shape, *elements.shape[1:]), dtype=np.float32, order="F")
    volume[np.unravel_index(region.flat, grid.shape)] = elements
    affine = np.array(grid.affine)
    image = Nifti1Image(volume, affine)
    image.set_sform(affine, code=_ALIGNED)
    image.set_qform(affine, code=_ALIGNED)
    if not np.allclose(image.get_qform(), affine, atol=_AFFINE_TOLERANCE_MM):  # a quaternion cannot say shears
        image.set_qform(None, code=0)
    image.header.set_xyzt_units("mm")
    image.header.set_intent(meaning.intent, meaning.parameters, name=meaning.name)
    image.header["descrip"] = b"thalgpu"
    return zlib.compress(image.to_bytes(), 1, wbits=31)


def _dscalar(elements: NDArray[np.float32], region: Region, grid: CiftiGrid, names: Sequence[str]) -> bytes:
    rows = elements.reshape(len(elements), -1).T.copy()
    image = Cifti2Image(rows, (ScalarAxis(list(names)), _restricted(grid, region)))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
    return bytes(image.to_bytes())


def _gifti(vertices: NDArray[np.float32], structure: str, names: Sequence[str], meaning: Meaning) -> bytes:
    arrays = [
        GiftiDataArray(
            np.ascontiguousarray(column),
            intent=meaning.intent,
            datatype="NIFTI_TYPE_FLOAT32",
            meta=GiftiMetaData(Name=name),
        )
        for column, name in zip(vertices.reshape(len(vertices), -1).T, names, strict=True)
    ]
    meta = GiftiMetaData(AnatomicalStructurePrimary=structure)
    return bytes(GiftiImage(meta=meta, darrays=arrays).to_bytes())


def _reader(path: Path) -> Callable[[Path, Region], NDArray[Any]]:
    if path.name.endswith(".h5"):
        return _from_record
    if path.name.endswith((".dscalar.nii", ".dscalar.nii.gz")):
        return _from_cifti
    if path.name.endswith((".nii", ".nii.gz")):
        return _from_nifti
    raise InputError(path, "not a kind of file that maps are read from", remedy=_ELSEWHERE)


def _from_record(path: Path, region: Region) -> NDArray[Any]:
    expected = {"template": DatasetSpec("float32", (region.n_units, None))}
    try:
        if region.ijk is not None and region.parcel is None and "voxel_ijk" in read_attributes(path)["datasets"]:
            expected["voxel_ijk"] = DatasetSpec("int32", (region.n_units, 3))
        stored = read_record(path, expected).datasets
    except InputError as error:  # the store's remedy is to remove a record and run again, which made it
        field = str(error.where).removeprefix(str(path)).removeprefix(":")
        raise InputError(path, error.reason, at=field or None, remedy=_ELSEWHERE) from error
    if region.ijk is not None and "voxel_ijk" in stored and not np.array_equal(stored["voxel_ijk"], region.ijk):
        raise InputError(path, "the template was made for other voxels", at="voxel_ijk", remedy=_ELSEWHERE)
    return stored["template"]


def _from_nifti(path: Path, region: Region) -> NDArray[Any]:
    image, grid = read_nifti(path), region.grid
    if not isinstance(grid, VolumeGrid) or image.values.ndim not in (3, 4):
        raise InputError(path, "not maps on the grid of the region", remedy=_ELSEWHERE)
    x, y, z = image.values.shape[:3]
    require_same_grid(path, volume_grid((x, y, z), image.affine), grid, owner=region.source, remedy=_ELSEWHERE)
    maps = image.values if image.values.ndim == 4 else image.values[..., None]
    chosen: NDArray[Any] = maps[np.unravel_index(region.flat, grid.shape)]
    return chosen


def _from_cifti(path: Path, region: Region) -> NDArray[Any]:
    image, grid = read_cifti(path), region.grid
    if not isinstance(grid, CiftiGrid):
        raise InputError(path, "not maps on the grid of the region", remedy=_ELSEWHERE)
    if image.axes[1] == grid.axis:
        return image.matrix.T[region.flat]
    if image.axes[1] == _restricted(grid, region):
        return image.matrix.T
    raise InputError(path, "its grayordinates are not those of the region", remedy=_ELSEWHERE)


def _restricted(grid: CiftiGrid, region: Region) -> Any:
    axis: Any = grid.axis
    return axis[region.flat]
