"""Vertex-wise cortical thickness, and the vertices of S1 and its areas by a parcellation of the same surface."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis, LabelAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti
from thalgpu.engine.inputs.cifti import is_cifti, read_cifti
from thalgpu.engine.inputs.freesurfer_binary import read_annotation, read_mgh, read_morph
from thalgpu.engine.inputs.gifti import Side, read_gifti, require_side
from thalgpu.engine.inputs.s1_names import AREAS, S1, Atlas, s1_area
from thalgpu.engine.inputs.vtk_mesh import as_float64
from thalgpu.errors import InputError

_THINNEST, _THICKEST = -0.1, 10.0
"""mm; averages across people go slightly below 0 in the medial wall."""


@dataclass(frozen=True)
class ThicknessMap:
    """Thickness of one hemisphere.

    Attributes
    ----------
    path, sha256 : the file.
    values : (n_vertices,) float64 mm; 0 where it is not known.
    known : (n_vertices,) bool; False where the file has no value or NaN (medial wall).
    """

    path: Path
    sha256: str
    values: NDArray[np.float64]
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class S1Parcels:
    """Vertices of S1 on the surface of one hemisphere.

    Attributes
    ----------
    masks : "S1" and each area of the atlas → (n_vertices,) bool, not empty; S1 is the union of the areas.
    sha256 : files read → SHA-256.
    """

    masks: Mapping[str, NDArray[np.bool_]]
    sha256: Mapping[Path, str]

    @property
    def n_vertices(self) -> int:
        """Vertices of the surface."""
        return len(self.masks[S1])


def read_thickness_map(path: Path, side: Side) -> ThicknessMap:
    """Thickness in mm at each vertex of one hemisphere.

    Parameters
    ----------
    path : `.gii` with one array, CIFTI dscalar with one map (of both hemispheres or one), `.mgh` or `.mgz`, or
        FreeSurfer's `?h.thickness`.
    side : hemisphere that is wanted; files that say another are refused.

    Raises
    ------
    InputError
        For unsound files, several maps, and values that are no thickness (below 0 or above 10 mm).
    """
    name = path.name.lower()
    if name.endswith((".gii", ".gii.gz")):
        image = read_gifti(path)
        require_side(path, image.structure, side)
        _require_one(path, len(image.arrays))
        values, sha256 = as_float64(_one_axis(path, image.arrays[0])), image.sha256
    elif name.endswith((".nii", ".nii.gz")):
        values, sha256 = _cifti_row(path, side)
    elif name.endswith((".mgh", ".mgz")):
        mgh = read_mgh(path)
        values, sha256 = as_float64(_one_axis(path, mgh.values)), mgh.sha256
    else:
        values, sha256 = read_morph(path)
    known = np.isfinite(values)
    values = np.where(known, values, 0.0)
    if not known.any() or not values.any():
        raise InputError(path, "no value but 0 and NaN", remedy="give a map of cortical thickness")
    low, high = float(values.min()), float(values.max())
    if low < _THINNEST or high > _THICKEST:
        reason = f"values from {low:g} to {high:g} are no thickness in mm"
        raise InputError(path, reason, remedy="give thickness, not curvature, area or a statistic")
    return ThicknessMap(path, sha256, values, known)


def read_s1_parcels(path: Path, side: Side, atlas: Atlas) -> S1Parcels:
    """S1 in a parcellation: `.annot`, `.label.gii` or CIFTI dlabel, by the names of its parcels (see `s1_area`).

    InputError when it lacks S1 or one of the atlas's areas, and for unsound files.
    """
    if path.name.lower().endswith((".gii", ".gii.gz")):
        image = read_gifti(path)
        require_side(path, image.structure, side)
        _require_one(path, len(image.arrays))
        labels, names, sha256 = _one_axis(path, image.arrays[0]), image.labels, image.sha256
    elif path.name.lower().endswith((".nii", ".nii.gz")):
        labels, names, sha256 = _cifti_labels(path, side)
    else:
        annotation = read_annotation(path)
        labels, names, sha256 = annotation.labels, dict(enumerate(annotation.names)), annotation.sha256
    masks: dict[str, NDArray[np.bool_]] = {}
    for label, name in names.items():
        area = s1_area(name)
        if area is not None and area.atlas == atlas and area.side in (None, side):
            mask = np.asarray(labels == label)
            masks[area.area] = masks[area.area] | mask if area.area in masks else mask
    return s1_parcels(path, masks, atlas, {path: sha256})


def s1_parcels(
    path: Path, masks: Mapping[str, NDArray[np.bool_]], atlas: Atlas, sha256: Mapping[Path, str]
) -> S1Parcels:
    """Parcels with S1 as the union of the areas; InputError, in the name of `path`, for an area without vertices."""
    wanted = AREAS[atlas] or (S1,)
    missing = [area for area in wanted if area not in masks or not masks[area].any()]
    if missing:
        raise InputError(path, f"no vertex of {missing[0]}", remedy=f"give a parcellation with the names of {atlas}")
    whole = np.logical_or.reduce([masks[area] for area in wanted])
    return S1Parcels({S1: whole, **{area: masks[area] for area in AREAS[atlas]}}, sha256)


def require_same_surface(thickness: ThicknessMap, parcels: S1Parcels) -> None:
    """InputError unless the map and the parcels have one number of vertices and the map is known all over S1."""
    if len(thickness.values) != parcels.n_vertices:
        where = next(iter(parcels.sha256))
        reason = f"{len(thickness.values)} vertices where {where} has {parcels.n_vertices}"
        raise InputError(thickness.path, reason, remedy="give both on one surface")
    lacking = np.count_nonzero(parcels.masks[S1] & ~thickness.known)
    if lacking:
        reason = f"{lacking} vertices of S1 have no thickness"
        raise InputError(thickness.path, reason, remedy="write the map again over the whole cortex")


def _cifti_row(path: Path, side: Side) -> tuple[NDArray[np.float64], str]:
    """The only map of a dscalar on all vertices of one hemisphere, NaN where the file has none."""
    image = read_cifti(path)
    _require_one(path, image.matrix.shape[0])
    vertices, part, n_vertices = _hemisphere(path, image.axes[1], side)
    values = np.full(n_vertices, np.nan)
    values[vertices] = as_float64(image.matrix[0, part])
    return values, image.sha256


def _cifti_labels(path: Path, side: Side) -> tuple[NDArray[np.int64], dict[int, str], str]:
    """Labels of the first map of a dlabel on all vertices of one hemisphere, −1 outside, and their names."""
    with CheckedStream(path) as stream:
        if not is_cifti(open_nifti(stream)):
            raise InputError(path, "not a CIFTI file", remedy="give a .dlabel.nii, .label.gii or .annot")
    image = read_cifti(path)
    maps, columns = image.axes
    if not isinstance(maps, LabelAxis):
        raise InputError(path, "no map of labels", at="XML", remedy="give a .dlabel.nii")
    _require_one(path, image.matrix.shape[0])
    vertices, part, n_vertices = _hemisphere(path, columns, side)
    labels = np.full(n_vertices, -1, np.int64)
    row = image.matrix[0, part]
    if not np.isfinite(row).all() or np.abs(row).max(initial=0) >= 2**31:
        raise InputError(path, "labels that are no whole numbers", remedy="write the parcellation again")
    labels[vertices] = np.rint(row).astype(np.int64)
    return labels, {int(label): str(name) for label, (name, _) in maps.label[0].items()}, image.sha256


def _hemisphere(path: Path, columns: Any, side: Side) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Vertices of a hemisphere's cortex in a CIFTI file, their columns, and how many its surface has."""
    structure = f"CIFTI_STRUCTURE_CORTEX_{side.upper()}"
    if not isinstance(columns, BrainModelAxis) or structure not in columns.nvertices:
        raise InputError(path, f"no map of the {side} cortex", at="XML", remedy="give a dscalar.nii of the cortex")
    part = np.flatnonzero(columns.name == structure)
    return columns.vertex[part].astype(np.int64), part, int(columns.nvertices[structure])


def _one_axis(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """The values of a surface, whose other axes have length 1."""
    if values.size != max(values.shape):
        raise InputError(path, f"shape {values.shape} where one value a vertex is expected", remedy="keep one map")
    return values.ravel()


def _require_one(path: Path, n_maps: int) -> None:
    if n_maps != 1:
        raise InputError(path, f"{n_maps} maps where one is expected", remedy="keep one map")
