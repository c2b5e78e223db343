"""Subjects' maps in NIfTI and CIFTI files: one file with a map a subject, or one file a subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis, ScalarAxis
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti, read_nifti
from thalgpu.engine.inputs.cifti import is_cifti, read_cifti
from thalgpu.engine.inputs.headers import require_same_grid, volume_grid
from thalgpu.engine.inputs.maps_masks import tested_region
from thalgpu.engine.inputs.maps_names import participant_of, participants_of, words_for
from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, VolumeGrid
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError


@dataclass(frozen=True)
class _Image:
    """All maps of one file: `matrix` (n_elements, n_maps) with the elements as they lie on disk; names in CIFTI."""

    path: Path
    grid: Grid
    matrix: NDArray[Any]
    names: tuple[str, ...]
    sha256: str

    @property
    def n_maps(self) -> int:
        return int(self.matrix.shape[1])

    def row(self, index: int, region: Region) -> NDArray[Any]:
        """One map at the elements of a region of the same grid."""
        places = region.flat
        if isinstance(self.grid, VolumeGrid):  # on disk the first axis runs fastest
            shape = self.grid.shape
            places = np.ravel_multi_index(np.unravel_index(places, shape), shape, order="F")
        row: NDArray[Any] = self.matrix[places, index]
        return row


def read_images(paths: Sequence[Path], components: Sequence[int], mask: str | None) -> tuple[MapStack, ...]:
    """Maps of NIfTI or CIFTI dscalar files, all on one grid.

    Parameters
    ----------
    paths : one file whose maps are the subjects, or one file a subject.
    components : which maps of every subject's file, from 1; several make several stacks.
    mask : `FILE[:LABELS]`; None for the whole grid.

    Raises
    ------
    InputError
        For unsound files, other grids (both files named), a map that a file does not have, and a subject given twice.
    """
    if len(paths) == 1:
        image = _read(paths[0])
        require_no_component(paths[0], components)
        return (_subjects_in_one(image, tested_region(image.grid, mask, image.path)),)
    ids = participants_of(paths)
    rows: dict[int, list[NDArray[Any]]] = {component: [] for component in components}
    sources: dict[Path, str] = {}
    region: Region | None = None
    for path in paths:
        image = _read(path)
        region = region or tested_region(image.grid, mask, image.path)
        require_same_grid(path, image.grid, region.grid, owner=str(paths[0]))
        for component, of_component in rows.items():
            require_component(path, component, image.n_maps)
            of_component.append(image.row(component - 1, region))
        sources[path] = image.sha256
    several = len(rows) > 1
    words = words_for(paths, ids)
    return tuple(
        MapStack(paths[0], found, words, ids, sources, f"component-{component}" if several else "", region)
        for component, found in rows.items()
    )


def require_component(path: Path, component: int, n_maps: int) -> None:
    """InputError unless a file has this map, counted from 1."""
    if not 1 <= component <= n_maps:
        has = "one map" if n_maps == 1 else f"{n_maps} maps"
        raise InputError(path, f"no component {component}: the file has {has}", remedy="choose another --component")


def require_no_component(path: Path, components: Sequence[int]) -> None:
    """InputError for a choice among the maps of one file, where each is another subject's."""
    if tuple(components) not in ((), (1,)):
        remedy = "leave out --component, or give one file a subject"
        raise InputError(path, "the maps of one file are the subjects, not components", remedy=remedy)


def _subjects_in_one(image: _Image, region: Region) -> MapStack:
    rows = [image.row(index, region) for index in range(image.n_maps)]
    ids = _participants_of_maps(image)
    words = tuple(f"map {number}" for number in range(1, image.n_maps + 1)) if ids is None else words_for((), ids)
    return MapStack(image.path, rows, words, ids, {image.path: image.sha256}, space=region)


def _participants_of_maps(image: _Image) -> tuple[str, ...] | None:
    """Participants where the name of every CIFTI map has a sub-XX, as after joining subjects' files."""
    labels = [label for name in image.names if (label := participant_of(Path(name)))]
    if not labels or len(labels) < image.n_maps:
        return None
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        reason = f"{labels.count(twice[0])} maps of sub-{twice[0]}"
        raise InputError(image.path, reason, at="XML", remedy="keep one map a participant")
    return tuple(labels)


def _read(path: Path) -> _Image:
    with CheckedStream(path) as stream:
        cifti = is_cifti(open_nifti(stream))
    return _read_cifti(path) if cifti else _read_nifti(path)


def _read_nifti(path: Path) -> _Image:
    image = read_nifti(path)
    x, y, z, *more = image.values.shape
    if len(more) > 1:
        raise InputError(path, f"{len(image.values.shape)} dimensions instead of 3 or 4", at="dim")
    matrix = image.values.reshape(x * y * z, more[0] if more else 1, order="F")
    return _Image(path, volume_grid((x, y, z), image.affine), matrix, (), image.sha256)


def _read_cifti(path: Path) -> _Image:
    image = read_cifti(path)
    maps, columns = image.axes
    if not isinstance(maps, ScalarAxis) or not isinstance(columns, BrainModelAxis):
        raise InputError(path, "not maps of grayordinates", at="XML", remedy="give a .dscalar.nii file")
    names = tuple(str(name) for name in maps.name)
    return _Image(path, CiftiGrid(len(columns), columns), image.matrix.T, names, image.sha256)
