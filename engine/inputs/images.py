"""The time series of regions, taken out of a run's files while they are read; each file is read once.

A 4-D NIfTI lies on disk volume after volume, so one volume at a time is decompressed and only the regions' voxels are
kept: memory grows with the regions, not with the image. A CIFTI dtseries lies grayordinate after grayordinate and is
read in blocks of them; a functional GIFTI holds one array a volume.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti
from thalgpu.engine.inputs.cifti import is_cifti, open_cifti
from thalgpu.engine.inputs.gifti import read_gifti
from thalgpu.engine.inputs.headers import (
    ImageHeader,
    cifti_header,
    read_surface_header,
    require_same_grid,
    volume_header,
)
from thalgpu.engine.inputs.model import Region, Run, SurfaceGrid
from thalgpu.engine.inputs.nifti import NiftiHeader
from thalgpu.errors import InputError

Series = NDArray[np.float32]

_CIFTI_BLOCK = 2048
"""Grayordinates read at a time."""


@dataclass(frozen=True)
class RunSeries:
    """What one run's images hold in some regions.

    Attributes
    ----------
    series : one (n_volumes, n_elements) float32 array a region, in order; not finite where the file is not.
    n_volumes : number of volumes.
    tr : repetition time in s from the header, or None.
    sha256 : file → SHA-256 (hex) of the files read.
    """

    series: tuple[Series, ...]
    n_volumes: int
    tr: float | None
    sha256: dict[Path, str]


def extract(run: Run, regions: Sequence[Region]) -> RunSeries:
    """The series of every element of the regions, from one run.

    A NIfTI of more than four axes is a time series as well when those after the fourth have length 1, as some
    programs write (x, y, z, t, 1).

    Regions on surfaces come from the run's `func.gii` pair, all others from its bold image, which is read even when no
    region lies on it, because it gives the repetition time.

    Raises
    ------
    InputError
        For files that are unsound, and for a region on another grid (shape, or affine by more than 1e-3 mm).
    """
    in_bold = [region for region in regions if not isinstance(region.grid, SurfaceGrid)]
    header, found, sha256 = _from_bold(run.bold, in_bold)
    digests = {run.bold: sha256}
    in_order, of_bold = [], iter(found)
    for region in regions:
        if isinstance(region.grid, SurfaceGrid):
            in_order.append(_from_surfaces(run, region, region.grid, header.n_timepoints, digests))
        else:
            in_order.append(next(of_bold))
    return RunSeries(tuple(in_order), header.n_timepoints, header.tr, digests)


def require_surfaces(run: Run, region: Region) -> tuple[Path, Path]:
    """The run's func.gii pair; InputError where it has none."""
    if run.surfaces is None:
        raise InputError(
            run.bold,
            f"the region {region.source} lies on surfaces, but the run has no func.gii pair",
            remedy="list it in the columns surface_left and surface_right",
        )
    return run.surfaces


def _from_bold(path: Path, regions: Sequence[Region]) -> tuple[ImageHeader, list[Series], str]:
    with CheckedStream(path) as stream:
        nifti = open_nifti(stream)
        if is_cifti(nifti):
            cifti = open_cifti(stream)
            header = cifti_header(cifti, path)
        else:
            header = volume_header(nifti, path)
            stream.read(nifti.offset)
        for region in regions:
            require_same_grid(path, header.grid, region.grid, owner=region.source)
        take = _grayordinates if is_cifti(nifti) else _voxels
        series = take(stream, nifti, header, regions)
        return header, series, stream.finish()


def _voxels(stream: CheckedStream, nifti: NiftiHeader, header: ImageHeader, regions: Sequence[Region]) -> list[Series]:
    """The regions' voxels of each volume in turn; on disk the first axis runs fastest."""
    shape = nifti.shape[:3]
    places = [np.ravel_multi_index(np.unravel_index(region.flat, shape), shape, order="F") for region in regions]
    series = [np.empty((header.n_timepoints, len(place)), np.float32) for place in places]
    size = nifti.size // header.n_timepoints
    for t in range(header.n_timepoints):
        volume = np.frombuffer(stream.read(size), nifti.dtype)
        for out, place in zip(series, places, strict=True):
            out[t] = _values(volume[place], nifti)
    return series


def _grayordinates(
    stream: CheckedStream, nifti: NiftiHeader, header: ImageHeader, regions: Sequence[Region]
) -> list[Series]:
    """The regions' grayordinates block by block; on disk the time axis runs fastest."""
    n_timepoints, n_grayordinates = header.n_timepoints, nifti.shape[5] if len(nifti.shape) == 6 else 1
    series = [np.empty((n_timepoints, len(region.flat)), np.float32) for region in regions]
    row = n_timepoints * nifti.dtype.itemsize
    for start in range(0, n_grayordinates, _CIFTI_BLOCK):
        stop = min(start + _CIFTI_BLOCK, n_grayordinates)
        block = np.frombuffer(stream.read((stop - start) * row), nifti.dtype).reshape(stop - start, n_timepoints)
        for out, region in zip(series, regions, strict=True):
            first, last = np.searchsorted(region.flat, (start, stop))
            out[:, first:last] = _values(block[region.flat[first:last] - start], nifti).T
    return series


def _values(stored: NDArray[np.generic], nifti: NiftiHeader) -> Series:
    """Values of stored numbers as float32; what float32 cannot hold becomes infinite and is masked later."""
    with np.errstate(over="ignore", invalid="ignore"):
        if nifti.scaled:
            stored = stored.astype(np.float64) * nifti.slope + nifti.inter
        return stored.astype(np.float32)


def _from_surfaces(run: Run, region: Region, grid: SurfaceGrid, n_volumes: int, digests: dict[Path, str]) -> Series:
    """A region's vertices, left then right; the digests of the two files are added to `digests`."""
    surfaces = require_surfaces(run, region)
    header = read_surface_header(surfaces)
    require_same_grid(surfaces[0], header.grid, grid, owner=region.source)
    if header.n_timepoints != n_volumes:
        raise InputError(surfaces[0], f"{header.n_timepoints} volumes where {run.bold} has {n_volumes}")
    left = region.flat < grid.n_left
    halves = []
    for path, vertices, n_vertices in zip(
        surfaces, (region.flat[left], region.flat[~left] - grid.n_left), (grid.n_left, grid.n_right), strict=True
    ):
        image = read_gifti(path, vertices=vertices, n_vertices=n_vertices)
        digests[path] = image.sha256
        # not -1: of no vertices at all it cannot be worked out
        columns = [array.reshape(len(vertices), math.prod(array.shape[1:])) for array in image.arrays]
        with np.errstate(over="ignore", invalid="ignore"):
            half = np.concatenate(columns, axis=1).T.astype(np.float32)
        if len(half) != n_volumes:
            raise InputError(path, f"{len(half)} volumes where {run.bold} has {n_volumes}")
        halves.append(half)
    return np.concatenate(halves, axis=1)
