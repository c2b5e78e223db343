"""Where every output lies: pure functions from the output folder, the subject and the hemisphere to paths.

Entities stand in the order that BIDS prescribes (sub, hemi, seg, desc), `stat` and the suffix last. `hemi` names the
thalamus of a separate embedding. Files on surfaces come in pairs, and there `hemi` names the surface; the thalamus of a
separate embedding then moves into the segmentation's label (`seg-thalamusL`).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from thalgpu.engine.inputs.model import CiftiGrid, Grid, SurfaceGrid

Side: TypeAlias = Literal["L", "R"]

_FISHER_Z = "_stat-fisherz_boldmap"


@dataclass(frozen=True)
class SubjectPaths:
    """Outputs of one subject and one embedding.

    Attributes
    ----------
    maps : aligned gradient maps.
    sidecar : JSON beside them.
    record : the subject's own write-once record: gradients, lambdas, affinity.
    aligned : record of what depends on the template.
    projections : gradient maps projected onto the targets; two files (left, right) on surfaces.
    """

    maps: Path
    sidecar: Path
    record: Path
    aligned: Path
    projections: tuple[Path, ...]


@dataclass(frozen=True)
class GroupPaths:
    """Outputs of the group for one embedding: template maps, their JSON, the record; and the summary of all."""

    maps: Path
    sidecar: Path
    record: Path
    summary: Path


def subject_paths(
    out: Path,
    participant_id: str,
    hemisphere: Side | None = None,
    grid: Grid | None = None,
    *,
    target_grid: Grid | None = None,
) -> SubjectPaths:
    """Paths of one subject's outputs.

    Parameters
    ----------
    participant_id : without "sub-"; letters and digits, as the subject list has made sure.
    hemisphere : of a separate embedding, or None for both thalami in one.
    grid, target_grid : of the thalamus and of the targets; they decide the kind of the maps and of the projections, and
        None means a volume.
    """
    folder, subject = _folder(out, participant_id), f"sub-{participant_id}_"
    stem = f"{subject}{_hemi(hemisphere)}seg-thalamus"
    maps = folder / f"{stem}_stat-gradients_boldmap"
    return SubjectPaths(
        maps=_with(maps, map_suffix(grid)),
        sidecar=_with(maps, ".json"),
        record=folder / f"{stem}_gradients.h5",
        aligned=folder / f"{stem}_desc-aligned_gradients.h5",
        projections=_projections(folder, subject, hemisphere, target_grid),
    )


def group_paths(out: Path, hemisphere: Side | None = None, grid: Grid | None = None) -> GroupPaths:
    """Paths of the group's outputs; parameters as `subject_paths`."""
    folder = out / "group"
    maps = folder / f"{_hemi(hemisphere)}seg-thalamus_desc-template_stat-gradients_boldmap"
    return GroupPaths(
        maps=_with(maps, map_suffix(grid)),
        sidecar=_with(maps, ".json"),
        record=folder / f"{_hemi(hemisphere)}gradients.h5",
        summary=folder / "summary.tsv",
    )


@dataclass(frozen=True)
class ConnectivityPaths:
    """Outputs of one subject's seed connectivity.

    Attributes
    ----------
    record : the subject's own write-once record: maps, matrix, coverage.
    sidecar : JSON of all maps, which BIDS' rule of inheritance makes theirs: a pattern of one seed finds its maps only.
    """

    record: Path
    sidecar: Path

    def maps(self, seed: str, grid: Grid) -> tuple[Path, ...]:
        """The map of one seed; two files (left, right) on surfaces."""
        ending = f"seed-{seed}{_FISHER_Z}{map_suffix(grid)}"
        subject = self.record.name.removesuffix("connectivity.h5")
        if isinstance(grid, SurfaceGrid):
            sides = (side for side, n_vertices in (("L", grid.n_left), ("R", grid.n_right)) if n_vertices)
            return tuple(self.record.with_name(f"{subject}hemi-{side}_{ending}") for side in sides)
        return (self.record.with_name(f"{subject}{ending}"),)


def connectivity_paths(out: Path, participant_id: str) -> ConnectivityPaths:
    """Paths of one subject's seed connectivity; `participant_id` as `subject_paths`."""
    folder, subject = _folder(out, participant_id), f"sub-{participant_id}"
    return ConnectivityPaths(folder / f"{subject}_connectivity.h5", folder / f"{subject}{_FISHER_Z}.json")


def is_seed_map(path: Path) -> bool:
    """Whether a file's name is that of a seed's map, where 0 means: no signal."""
    return re.search(rf"_seed-[A-Za-z0-9]+{_FISHER_Z}\.", path.name) is not None


def map_suffix(grid: Grid | None) -> str:
    """File name ending of maps on a grid."""
    if isinstance(grid, CiftiGrid):
        return ".dscalar.nii"
    return ".func.gii" if isinstance(grid, SurfaceGrid) else ".nii.gz"


def _folder(out: Path, participant_id: str) -> Path:
    if not participant_id.isalnum():
        raise ValueError(f"participant {participant_id!r} is not a label of letters and digits")
    return out / f"sub-{participant_id}" / "func"


def _projections(folder: Path, subject: str, hemisphere: Side | None, cortex: Grid | None) -> tuple[Path, ...]:
    ending = f"_stat-projections_boldmap{map_suffix(cortex)}"
    if isinstance(cortex, SurfaceGrid):
        return tuple(folder / f"{subject}hemi-{side}_seg-thalamus{hemisphere or ''}{ending}" for side in "LR")
    return (folder / f"{subject}{_hemi(hemisphere)}seg-thalamus{ending}",)


def _hemi(hemisphere: Side | None) -> str:
    return f"hemi-{hemisphere}_" if hemisphere else ""


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
