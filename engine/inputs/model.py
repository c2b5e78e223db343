"""What the readers return: subjects and their runs, regions on a grid, and cleaned time series."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, MIDLINE = -1, 1, 0


@dataclass(frozen=True)
class Run:
    """One scan of one subject, and what belongs to it.

    Attributes
    ----------
    bold : 4-D NIfTI or CIFTI dtseries.
    surfaces : left and right `func.gii` for surface targets, or None.
    confounds : confounds TSV, or None.
    censored : True when volumes have been removed already (XCP-D), so that filters and scrubbing must not run again.
    session, run : the BIDS entities, or None.
    """

    bold: Path
    surfaces: tuple[Path, Path] | None = None
    confounds: Path | None = None
    censored: bool = False
    session: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class Subject:
    """One person and all runs, in order.

    Attributes
    ----------
    participant_id : without the prefix "sub-"; letters and digits only.
    runs : at least one; they are cleaned one by one and joined in time.
    line : line of the subject list, for messages.
    thalamus, cortex : regions of this subject's own, or None.
    aseg : a segmentation with FreeSurfer labels on the scan's grid (aseg or aparcaseg), or None.
    mesh_left, mesh_right, freesurfer_dir : for the structural arms; not read by the gradients.
    """

    participant_id: str
    runs: tuple[Run, ...]
    line: int
    thalamus: Path | None = None
    cortex: Path | None = None
    aseg: Path | None = None
    mesh_left: Path | None = None
    mesh_right: Path | None = None
    freesurfer_dir: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the subject's time series are made from, in reading order."""
        found: list[Path] = []
        for run in self.runs:
            found += [run.bold, *(run.surfaces or ()), *([run.confounds] if run.confounds else [])]
        return tuple(found)


@dataclass(frozen=True)
class VolumeGrid:
    """Voxels of a 3-D image: its shape and its affine (4 × 4 nested tuples, mm)."""

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class CiftiGrid:
    """Grayordinates of a CIFTI brain-models axis: how many, and the axis in nibabel's form.

    Attributes
    ----------
    n_grayordinates : length of the axis.
    axis : nibabel.cifti2.BrainModelAxis; compared by its own equality.
    """

    n_grayordinates: int
    axis: object = field(repr=False)


@dataclass(frozen=True)
class SurfaceGrid:
    """Vertices of a left and a right surface, left first."""

    n_left: int
    n_right: int


Grid: TypeAlias = VolumeGrid | CiftiGrid | SurfaceGrid


@dataclass(frozen=True)
class Region:
    """A set of elements (voxels, grayordinates or vertices) on a grid; a parcellation when `names` is not empty.

    Attributes
    ----------
    source : where it came from, for messages and sidecars.
    grid : the grid that `flat` points into.
    flat : (n_elements,) int64, ascending: C-order index into a volume, CIFTI column, or vertex (left, then right).
    hemisphere : (n_elements,) int8, LEFT, RIGHT or MIDLINE.
    ijk : (n_elements, 3) int32 voxel indices; None where the elements are not all voxels.
    xyz : (n_elements, 3) float64 mm; None where the elements are not all voxels.
    parcel : (n_elements,) int32 position in `names` of each element's parcel; None for a mask.
    names : parcel names in ascending label order; empty for a mask, whose elements are the units themselves.
    parcel_hemisphere : (n_parcels,) int8; None for a mask.
    """

    source: str
    grid: Grid
    flat: NDArray[np.int64]
    hemisphere: NDArray[np.int8]
    ijk: NDArray[np.int32] | None = None
    xyz: NDArray[np.float64] | None = None
    parcel: NDArray[np.int32] | None = None
    names: tuple[str, ...] = ()
    parcel_hemisphere: NDArray[np.int8] | None = None

    @property
    def n_units(self) -> int:
        """Rows of a connectivity matrix: parcels of a parcellation, elements of a mask."""
        return len(self.names) if self.parcel is not None else len(self.flat)

    @property
    def unit_hemisphere(self) -> NDArray[np.int8]:
        """(n_units,) hemisphere of each unit."""
        return self.hemisphere if self.parcel_hemisphere is None else self.parcel_hemisphere


@dataclass(frozen=True)
class SubjectSeries:
    """One subject's cleaned, joined time series.

    Attributes
    ----------
    seed : (n_timepoints, n_voxels) float32; all zero where `seed_covered` is False.
    target : (n_timepoints, n_targets) float32; all zero where `target_covered` is False.
    seed_covered, target_covered : (n_voxels,) and (n_targets,) bool: finite and varying in every run.
    tr : repetition time in s; None where a scan's header has none and no filter needs it.
    n_volumes : volumes read, over all runs.
    n_kept : n_timepoints, those left after dropping and scrubbing.
    sha256 : file → SHA-256 (hex) of every file read, in reading order.
    mean_fd : mean framewise displacement in mm over the volumes read, or None when unknown.
    """

    seed: NDArray[np.float32]
    target: NDArray[np.float32]
    seed_covered: NDArray[np.bool_]
    target_covered: NDArray[np.bool_]
    tr: float | None
    n_volumes: int
    n_kept: int
    sha256: dict[Path, str]
    mean_fd: float | None = None
