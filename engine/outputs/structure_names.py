"""Where the outputs of `thalgpu structure` lie: pure functions from the folder, the subject and the side to paths."""

from pathlib import Path
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["L", "R"]
Measure: TypeAlias = Literal["volumes", "thickness", "shape"]

SIDES: tuple[Side, Side] = ("L", "R")
STRUCTURES: dict[Side, str] = {"L": "ThalamusLeft", "R": "ThalamusRight"}
CORTEX: dict[Side, str] = {"L": "CortexLeft", "R": "CortexRight"}
"""What GIFTI's AnatomicalStructurePrimary says of each side; no reader knows a thalamus, but it ends in the side."""


def anat_folder(out: Path, participant_id: str) -> Path:
    """Folder of one subject's files; `participant_id` without "sub-", letters and digits."""
    if not participant_id.isalnum():
        raise ValueError(f"participant {participant_id!r} is not a label of letters and digits")
    return out / f"sub-{participant_id}" / "anat"


def measure_record(out: Path, participant_id: str, measure: Measure) -> Path:
    """Write-once record of what a subject's own files say of one measure."""
    return anat_folder(out, participant_id) / f"sub-{participant_id}_desc-{measure}_structure.h5"


def registered_record(out: Path, participant_id: str) -> Path:
    """Write-once record of the template mesh brought onto the subject's label image."""
    return anat_folder(out, participant_id) / f"sub-{participant_id}_desc-registered_structure.h5"


def displacement_map(out: Path, participant_id: str, side: Side) -> Path:
    """Displacement of every vertex, mm."""
    name = f"sub-{participant_id}_hemi-{side}_seg-thalamus_stat-displacement.shape.gii"
    return anat_folder(out, participant_id) / name


def thickness_map(out: Path, participant_id: str, side: Side) -> Path:
    """Thickness inside S1 on the common surface, mm."""
    return anat_folder(out, participant_id) / f"sub-{participant_id}_hemi-{side}_thickness.shape.gii"


def template_mesh(out: Path, side: Side, suffix: str = ".surf.gii") -> Path:
    """The mean shape, as `.surf.gii` or `.vtk`."""
    return out / "group" / f"hemi-{side}_seg-thalamus_desc-template{suffix}"


def common_mesh(out: Path, side: Side) -> Path:
    """The cortical surface that maps of thickness lie on."""
    return out / "group" / f"hemi-{side}_desc-common.surf.gii"
