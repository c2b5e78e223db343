"""Masks and label images: what `FILE[:LABELS]` means, and the integer label of every element of the file's grid."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis, LabelAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti, read_bytes, read_nifti
from thalgpu.engine.inputs.cifti import is_cifti, read_cifti
from thalgpu.engine.inputs.gifti import Side, read_gifti, require_side
from thalgpu.engine.inputs.headers import require_same_grid, volume_grid
from thalgpu.engine.inputs.model import CiftiGrid, Grid, SurfaceGrid
from thalgpu.errors import InputError

_ROUNDING = 1e-3
"""How far a label stored as a scaled or floating value may be from a whole number."""

_COUNTABLE = 1 << 16


@dataclass(frozen=True)
class LabelImage:
    """A label for every element of a grid.

    Attributes
    ----------
    source : the text that named it, for messages.
    grid : of the file itself.
    values : (n_elements,) int64, C order; 0 outside.
    names : label → name, where the file (or the table beside it) has one.
    freesurfer : whether the labels are FreeSurfer's, which say the hemisphere.
    """

    source: str
    grid: Grid
    values: NDArray[np.int64]
    names: Mapping[int, str]
    freesurfer: bool = False

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels that occur, ascending, without 0."""
        found = _occurring(self.values)
        return found[found > 0]


def read_label_image(text: str) -> LabelImage:
    """Read `FILE[:LABELS]`.

    Parameters
    ----------
    text : FILE is a 3-D NIfTI, a CIFTI dlabel or dscalar with one map, or a pair `LEFT.gii,RIGHT.gii` (label, shape or
        func with one map each). LABELS are separated by commas: whole numbers; ranges such as 1001-1035, both ends of
        which must occur, and between them what occurs is taken; or names from the file's own table, or for a NIfTI from
        the `.tsv` of the same name (columns `index` and `name`). Without LABELS all are taken.

    Returns
    -------
    LabelImage
        Labels that were not asked for are 0.

    Raises
    ------
    InputError
        For an unsound file, several maps, values that are no labels, labels that do not occur, and an empty image.
    """
    files, labels = _split(text)
    if len(files) == 2:
        image = _surfaces(text, files[0], files[1])
    elif _holds_cifti(files[0]):
        image = _cifti(text, files[0])
    else:
        image = _volume(text, files[0])
    if not image.values.any():
        raise InputError(files[0], "the mask is empty", remedy="give an image that is not 0 inside the region")
    return image if labels is None else _only(image, files[0], labels)


def onto_axis(image: LabelImage, axis: Any) -> LabelImage:
    """The labels of a CIFTI image on the grayordinates of a scan, vertex by vertex and voxel by voxel.

    Grayordinates that only the image has (medial wall, subcortex) are left out; those that only the scan has are
    outside. Nothing is interpolated: surfaces must have the same number of vertices, volumes the same shape and affine.
    """
    assert isinstance(image.grid, CiftiGrid)
    own: Any = image.grid.axis
    values = np.zeros(len(axis), dtype=np.int64)
    for name, part, model in own.iter_structures():
        if name not in own.nvertices or name not in axis.nvertices:
            continue
        if own.nvertices[name] != axis.nvertices[name]:
            reason = f"{own.nvertices[name]} vertices of {name} where the scans have {axis.nvertices[name]}"
            raise InputError(image.source, reason, remedy="give it on the surface of the scans")
        whole = np.zeros(own.nvertices[name], dtype=np.int64)
        whole[model.vertex] = image.values[part]
        there = axis.name == name
        values[there] = whole[axis.vertex[there]]
    if own.volume_shape is not None and axis.volume_shape is not None:
        volumes = (volume_grid(one.volume_shape, one.affine) for one in (own, axis))
        require_same_grid(image.source, *volumes, owner="the scans")
        volume = np.zeros(own.volume_shape, dtype=np.int64)
        volume[tuple(own.voxel[own.volume_mask].T)] = image.values[own.volume_mask]
        values[axis.volume_mask] = volume[tuple(axis.voxel[axis.volume_mask].T)]
    if not values.any():
        raise InputError(image.source, "none of its elements is among the scans' grayordinates")
    return replace(image, grid=CiftiGrid(len(axis), axis), values=values)


def absolute_argument(text: str) -> str:
    """The same `FILE[:LABELS]` with absolute paths, so that it means the same in every working directory."""
    files, labels = _split(text)
    return ",".join(str(path.absolute()) for path in files) + (f":{labels}" if labels else "")


def _split(text: str) -> tuple[tuple[Path, ...], str | None]:
    """Files and LABELS of `FILE[:LABELS]` or `LEFT.gii,RIGHT.gii[:LABELS]`; a file of exactly that name comes first."""
    if os.path.isfile(text):  # unlike Path.is_file, False for a name that is too long
        return (Path(text),), None
    file, colon, labels = text.rpartition(":")
    if not colon:
        file = text
    elif not labels.strip():
        raise InputError(text, "no label after the colon", remedy="write e.g. aseg.nii.gz:10,49")
    parts = file.split(",")
    if len(parts) == 2 and all(part.lower().endswith(".gii") for part in parts):
        return (Path(parts[0]), Path(parts[1])), labels if colon else None
    if file.lower().endswith(".gii"):
        raise InputError(file, "a surface needs both hemispheres", remedy="write LEFT.gii,RIGHT.gii")
    return (Path(file),), labels if colon else None


def _holds_cifti(path: Path) -> bool:
    if path.name.lower().endswith(".gii"):
        raise InputError(path, "a surface needs both hemispheres", remedy="write LEFT.gii,RIGHT.gii")
    with CheckedStream(path) as stream:
        return is_cifti(open_nifti(stream))


def _volume(text: str, path: Path) -> LabelImage:
    image = read_nifti(path)
    if image.values.ndim != 3:
        reason = f"{image.values.ndim} dimensions where a mask or label image has 3"
        raise InputError(path, reason, at="dim", remedy="keep one volume")
    x, y, z = image.values.shape
    values = _as_labels(image.values.ravel(order="C"), path)
    grid = volume_grid((x, y, z), image.affine)
    return LabelImage(text, grid, values, _names_beside(path), _has_freesurfer_labels(values))


def _occurring(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """np.unique of labels, by counting instead of sorting where they are small, as nearly all are."""
    return np.flatnonzero(np.bincount(values)) if values.max(initial=0) < _COUNTABLE else np.unique(values)


def _has_freesurfer_labels(values: NDArray[np.int64]) -> bool:
    """Whether both thalami, cortices or precentral gyri occur, and none of the small labels only other atlases use."""
    present = set(_occurring(values).tolist())
    return not present & {1, 6, 9} and ({10, 49} <= present or {3, 42} <= present or {1024, 2024} <= present)


def _cifti(text: str, path: Path) -> LabelImage:
    image = read_cifti(path)
    maps, columns = image.axes
    if not isinstance(columns, BrainModelAxis):
        raise InputError(path, "no map of grayordinates", at="XML", remedy="give a dlabel.nii or dscalar.nii")
    _require_one_map(path, image.matrix.shape[0])
    table = maps.label[0] if isinstance(maps, LabelAxis) else {}
    names = {int(label): str(name) for label, (name, _) in table.items()}
    return LabelImage(text, CiftiGrid(len(columns), columns), _as_labels(image.matrix[0], path), names)


def _surfaces(text: str, left: Path, right: Path) -> LabelImage:
    values, names = [], {}
    sides: tuple[Side, Side] = ("left", "right")
    for path, side in zip((left, right), sides, strict=True):
        image = read_gifti(path)
        require_side(path, image.structure, side)
        _require_one_map(path, len(image.arrays))
        values.append(_as_labels(image.arrays[0].ravel(), path))
        names.update(image.labels)
    return LabelImage(text, SurfaceGrid(len(values[0]), len(values[1])), np.concatenate(values), names)


def _require_one_map(path: Path, n_maps: int) -> None:
    if n_maps != 1:
        raise InputError(path, f"{n_maps} maps where a mask or label image has one", remedy="keep one map")


def _as_labels(values: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Whole numbers ≥ 0; NaN, which some programs write outside the brain, becomes 0."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), 0, values)
        if not np.isfinite(values).all():
            raise InputError(path, "infinite values", remedy="give a mask or a label image")
    odd = values[np.abs(values - np.rint(values)) > _ROUNDING] if values.dtype.kind == "f" else values[:0]
    if odd.size:
        reason = f"neither mask nor label image: it holds values such as {float(odd[0]):g}"
        raise InputError(path, reason, remedy="threshold a probability map first")
    if values.size and (values.min() < -_ROUNDING or values.max() > np.iinfo(np.int32).max):
        low, high = float(values.min()), float(values.max())
        raise InputError(path, f"labels from {low:g} to {high:g}; they must not be negative", remedy="set outside to 0")
    whole: NDArray[np.int64] = (np.rint(values) if values.dtype.kind == "f" else values).astype(np.int64)
    return whole


def _names_beside(path: Path) -> dict[int, str]:
    """Names from the BIDS table beside a label image, with or without its resolution in the name; empty without one."""
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    candidates = (path.with_name(f"{name}.tsv") for name in (stem, re.sub(r"_res-[A-Za-z0-9]+", "", stem)))
    table = next((file for file in candidates if file.is_file()), None)
    if table is None:
        return {}
    rows = [line.split("\t") for line in read_bytes(table).data.decode("utf-8-sig", errors="replace").splitlines()]
    if not rows or not {"index", "name"} <= set(rows[0]):
        return {}
    index, name = rows[0].index("index"), rows[0].index("name")
    long_enough = (row for row in rows[1:] if len(row) > max(index, name))
    return {int(row[index]): row[name].strip() for row in long_enough if row[index].isdecimal()}


def _only(image: LabelImage, path: Path, text: str) -> LabelImage:
    """The image with all labels but those asked for set to 0."""
    kept = [label for token in text.split(",") for label in _asked(image, path, token.strip())]
    return replace(image, values=np.where(np.isin(image.values, kept), image.values, 0))


def _asked(image: LabelImage, path: Path, token: str) -> Iterable[int]:
    """Labels that one word of LABELS means and that occur in the image."""
    interval = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", token)
    labels = image.labels
    if interval:
        low, high = int(interval[1]), int(interval[2] or interval[1])
        found = labels[(labels >= low) & (labels <= high)].tolist()
        absent = [str(end) for end in (low, high) if end not in found]
    else:
        named = {label for label, name in image.names.items() if name.casefold() == token.casefold()}
        found = [label for label in labels.tolist() if label in named]
        absent = [] if found else [token]
    if absent:
        shown = ", ".join(f"{label} {image.names.get(label, '')}".strip() for label in labels[:8].tolist())
        more = f" and {len(labels) - 8} others" if len(labels) > 8 else ""
        raise InputError(path, f"label {absent[0]!r} does not occur", at=token, remedy=f"it has {shown}{more}")
    return list(found)
