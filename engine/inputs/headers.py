"""What a functional image is, read from its first bytes: for the plan, and to compare grids before reading data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis, SeriesAxis
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti
from thalgpu.engine.inputs.cifti import CiftiHeader, is_cifti, open_cifti
from thalgpu.engine.inputs.gifti import read_gifti_shape, require_side
from thalgpu.engine.inputs.model import CiftiGrid, Grid, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.nifti import NiftiHeader
from thalgpu.errors import InputError

MIN_VOLUMES = 10
"""Fewer volumes than this are no resting-state scan, whatever the cleaning."""

AFFINE_TOLERANCE = 1e-3
"""mm by which two affines may differ."""

_SHORTEST_TR, _LONGEST_TR = 0.02, 30.0


@dataclass(frozen=True)
class ImageHeader:
    """A functional image before its data are read.

    Attributes
    ----------
    grid : where the values lie.
    n_timepoints : number of volumes.
    tr : repetition time in s as the header gives it, or None where it gives none (GIFTI never does).
    bytes : size of the uncompressed data.
    """

    grid: Grid
    n_timepoints: int
    tr: float | None
    bytes: int


def read_header(path: Path) -> ImageHeader:
    """Header of a 4-D NIfTI or a CIFTI dtseries, told apart by content; only the first bytes are read.

    Raises
    ------
    InputError
        When the file is unsound, is not a time series, or has fewer than `MIN_VOLUMES` volumes.
    """
    with CheckedStream(path) as stream:
        nifti = open_nifti(stream)
        if not is_cifti(nifti):
            return volume_header(nifti, path)
        return cifti_header(open_cifti(stream), path)


def read_surface_header(paths: tuple[Path, Path]) -> ImageHeader:
    """Header of a left and a right `func.gii`, whose numbers of volumes must agree and whose sides must be right."""
    left, right = (read_gifti_shape(path) for path in paths)
    require_side(paths[0], left.structure, "left")
    require_side(paths[1], right.structure, "right")
    n_volumes = left.n_timepoints
    if n_volumes != right.n_timepoints:
        raise InputError(paths[1], f"{right.n_timepoints} volumes where the left hemisphere {paths[0]} has {n_volumes}")
    _require_volumes(n_volumes, paths[0])
    n_bytes = 4 * n_volumes * (left.n_vertices + right.n_vertices)
    return ImageHeader(SurfaceGrid(left.n_vertices, right.n_vertices), n_volumes, None, n_bytes)


def volume_header(nifti: NiftiHeader, path: Path) -> ImageHeader:
    """The grid and length of a 4-D NIfTI."""
    if len(nifti.shape) == 3:
        raise InputError(path, f"a single 3-D volume {nifti.shape}", at="dim", remedy="give the 4-D time series")
    if len(nifti.shape) != 4:
        raise InputError(path, f"{len(nifti.shape)} dimensions instead of 4", at="dim")
    x, y, z, n_volumes = nifti.shape
    _require_volumes(n_volumes, path)
    return ImageHeader(volume_grid((x, y, z), nifti.affine), n_volumes, nifti.step, nifti.size)


def cifti_header(cifti: CiftiHeader, path: Path) -> ImageHeader:
    """The grid and length of a dense series."""
    series, columns = cifti.axes
    if not isinstance(series, SeriesAxis) or not isinstance(columns, BrainModelAxis):
        raise InputError(path, "not a dense time series", at="XML", remedy="give a .dtseries.nii file")
    _require_volumes(cifti.shape[0], path)
    tr = float(series.step) if series.unit == "SECOND" else None
    return ImageHeader(CiftiGrid(cifti.shape[1], columns), cifti.shape[0], tr, cifti.nifti.size)


def volume_grid(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> VolumeGrid:
    """A grid from a shape and a (4, 4) affine."""
    return VolumeGrid(shape, tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in affine))


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids agree: shapes exactly, affines within `AFFINE_TOLERANCE`, CIFTI axes by their own equality."""
    if isinstance(one, VolumeGrid) and isinstance(other, VolumeGrid):
        close = np.allclose(one.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE)
        return one.shape == other.shape and bool(close)
    return one == other


def require_same_grid(
    path: Path | str, found: Grid, expected: Grid, *, owner: str, remedy: str = "resample one to the other's space"
) -> None:
    """InputError in words unless the grid found in `path` is that of `owner`; nothing is ever resampled."""
    if same_grid(found, expected):
        return
    if isinstance(found, VolumeGrid) and isinstance(expected, VolumeGrid):
        words = _volumes_differ(found, expected)
    elif (
        isinstance(found, CiftiGrid)
        and isinstance(expected, CiftiGrid)
        and found.n_grayordinates == expected.n_grayordinates
    ):
        words = f"other grayordinates, {found.n_grayordinates} as well"
    else:
        words = f"{_in_words(found)}, not {_in_words(expected)}"
    raise InputError(path, f"its grid differs from that of {owner}: {words}", remedy=remedy)


def _volumes_differ(found: VolumeGrid, expected: VolumeGrid) -> str:
    """How the first differs from the second: shape, voxel sizes, directions, else where the first voxel lies."""
    one, other = np.array(found.affine), np.array(expected.affine)
    sizes, others = (np.linalg.norm(affine[:3, :3], axis=0) for affine in (one, other))
    axes, directions = ("".join(map(str, aff2axcodes(affine))) for affine in (one, other))
    words = [f"shape {found.shape}, not {expected.shape}"] if found.shape != expected.shape else []
    if not np.allclose(sizes, others, rtol=0, atol=AFFINE_TOLERANCE):
        words.append(f"voxels of {_triple(sizes, ' × ')} mm, not {_triple(others, ' × ')} mm")
    if axes != directions:
        words.append(f"axes point to {axes}, not {directions}")
    elif not words and not np.allclose(one[:3, :3], other[:3, :3], rtol=0, atol=AFFINE_TOLERANCE):
        words.append("axes of another direction (rotated or sheared)")
    if not words:
        words.append(f"first voxel at ({_triple(one[:3, 3])}) mm, not ({_triple(other[:3, 3])}) mm")
    return "; ".join(words)


def _triple(values: NDArray[np.float64], between: str = ", ") -> str:
    return between.join(f"{value:.6g}" for value in values)


def _in_words(grid: Grid) -> str:
    match grid:
        case VolumeGrid(shape):
            return f"a volume {shape}"
        case CiftiGrid(n):
            return f"CIFTI with {n} grayordinates"
        case SurfaceGrid(n_left, n_right):
            return f"surfaces with {n_left} and {n_right} vertices"


def repetition_time(
    path: Path, header_tr: float | None, override: float | None, *, needed: bool = True
) -> float | None:
    """Seconds between volumes: `override` when given, else the header's.

    InputError for one that cannot be believed; a missing one (None or 0) is None unless it is `needed`.
    """
    tr = header_tr if override is None else override
    remedy = "give it in seconds with --tr"
    if not needed and override is None and not tr:
        return None
    if tr is None or tr == 0:
        raise InputError(path, "the repetition time is missing or 0", at="TR", remedy=remedy)
    if not _SHORTEST_TR <= tr <= _LONGEST_TR:
        hint = " (milliseconds labelled as seconds?)" if tr > _LONGEST_TR else ""
        raise InputError(path, f"a repetition time of {tr:g} s is not credible{hint}", at="TR", remedy=remedy)
    return tr


def _require_volumes(n_volumes: int, path: Path) -> None:
    if n_volumes < MIN_VOLUMES:
        raise InputError(path, f"{n_volumes} volumes; at least {MIN_VOLUMES} are needed", at="dim")
