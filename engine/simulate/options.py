"""What a simulated cohort is made from; everything in it follows from these options."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from thalgpu.errors import UsageError

Kind: TypeAlias = Literal["volume", "cifti", "surface"]
Size: TypeAlias = Literal["small", "mni2mm"]
Layout: TypeAlias = Literal["plain", "fmriprep"]

STUDY_GROUPS: Final = ("neuCLBP", "nonneuCLBP", "HC")
STUDY_GROUP_SIZE: Final = 28


@dataclass(frozen=True)
class SizePlan:
    """What a size means.

    Attributes
    ----------
    shape, voxel_size, origin : of the volume grid: voxels, mm, mm of voxel (0, 0, 0); x runs from right to left.
    half_axes : of the head, mm.
    shell : thickness of the cortex as a fraction of them.
    n_thalamus : voxels of both thalami.
    n_vertices : of each hemisphere's surface, the medial wall among them.
    n_timepoints : when none is asked for.
    resolution, surface_space, den : for file names.
    """

    shape: tuple[int, int, int]
    voxel_size: float
    origin: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    shell: float
    n_thalamus: int
    n_vertices: int
    n_timepoints: int
    resolution: int
    surface_space: str
    den: str


SIZES: Final[dict[Size, SizePlan]] = {
    "small": SizePlan(
        (24, 28, 20), 4.0, (46.0, -72.0, -30.0), (44.0, 52.0, 36.0), 0.08, 280, 642, 200, 4, "fsaverage3", "1k"
    ),
    "mni2mm": SizePlan(
        (91, 109, 91), 2.0, (90.0, -126.0, -72.0), (68.0, 86.0, 62.0), 0.0364, 2248, 10242, 300, 2, "fsaverage5", "10k"
    ),
}


@dataclass(frozen=True)
class CohortOptions:
    """A cohort; two with equal options are equal byte for byte, and one with more subjects begins like one with fewer.

    Attributes
    ----------
    subjects : how many; see `group_of`.
    groups : their names; nonneuCLBP, or else the first of several, carries the effect.
    seed : of everything random.
    kind : "volume" NIfTI; "cifti" dtseries; "surface" NIfTI for the thalamus and func.gii for the cortex.
    size : "small" or "mni2mm".
    timepoints : of each run; None for the size's own.
    tr : repetition time, s.
    noise : 0 for none, 1 for realistic.
    runs : scans a person.
    effect : SDs by which the first gradient's posterior-lateral end is moved in one group; 0 for the null.
    layout : "fmriprep" adds what fMRIPrep writes besides: dataset_description.json, masks and segmentations.
    study : add what the other arms of a study need: FreeSurfer's stats, thalamus meshes, and study.toml.
    shape_effect : mm by which the thalamus is flatter in neuCLBP, or else in the first of several groups; 0 for the
        null. Volumes and thicknesses have no effect in any group.
    """

    subjects: int = 12
    groups: tuple[str, ...] = STUDY_GROUPS
    seed: int = 0
    kind: Kind = "volume"
    size: Size = "small"
    timepoints: int | None = None
    tr: float = 2.0
    noise: float = 1.0
    runs: int = 1
    effect: float = 0.8
    layout: Layout = "plain"
    study: bool = False
    shape_effect: float = 1.0

    def __post_init__(self) -> None:
        """UsageError for what cannot be simulated."""
        _require(self.subjects >= 1, f"{self.subjects} subjects", "--subjects must be 1 or more")
        _require(self.runs >= 1, f"{self.runs} runs", "--runs must be 1 or more")
        _require(self.seed >= 0, f"seed {self.seed}", "--seed must be 0 or more")
        _require(0.0 < self.tr <= 20.0, f"a TR of {self.tr:g} s", "--tr must be above 0 and at most 20 s")
        _require(0.0 <= self.noise <= 10.0, f"noise {self.noise:g}", "--noise must lie between 0 and 10")
        _require(-5.0 <= self.effect <= 5.0, f"an effect of {self.effect:g}", "--effect must lie between -5 and 5")
        shape = self.shape_effect
        _require(-3.0 <= shape <= 3.0, f"a shape effect of {shape:g} mm", "--shape-effect must lie between -3 and 3 mm")
        volumes = self.n_timepoints
        _require(10 <= volumes <= 32_767, f"{volumes} time points", "--timepoints must lie between 10 and 32767")
        _require(bool(self.groups), "no groups", "give --groups one name or more, separated by commas")
        for group in self.groups:
            allowed = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", group) is not None
            _require(allowed, f"group name {group!r}", "use letters and digits")
        _require(len(set(self.groups)) == len(self.groups), "a group is named twice", "name every group once")
        _require(self.kind in ("volume", "cifti", "surface"), f"kind {self.kind!r}", "use volume, cifti or surface")
        _require(self.size in SIZES, f"size {self.size!r}", f"use {' or '.join(SIZES)}")
        _require(self.layout in ("plain", "fmriprep"), f"layout {self.layout!r}", "use plain or fmriprep")
        if self.study:
            _require(self.kind == "volume", f"a study of {self.kind} files", "use --kind volume")
            _require(len(self.groups) > 1, "a study of one group", "give --groups two names or more")

    @property
    def n_timepoints(self) -> int:
        """Volumes of each run."""
        if self.timepoints is not None:
            return self.timepoints
        return SIZES[self.size].n_timepoints if self.size in SIZES else 10

    def group_of(self, index: int) -> str:
        """A person's group; groups take turns, so that more subjects change none of the earlier."""
        return self.groups[index % len(self.groups)]

    @property
    def affected_group(self) -> str | None:
        """The group whose first gradient differs; None when nobody's does."""
        return self._carrier("nonneuCLBP") if self.effect != 0.0 else None

    @property
    def shape_group(self) -> str | None:
        """The group whose thalamus differs in shape; None when nobody's does."""
        return self._carrier("neuCLBP") if self.study and self.shape_effect != 0.0 else None

    def _carrier(self, preferred: str) -> str | None:
        """The group that an effect is planted in: the preferred one, or else the first of several."""
        if preferred in self.groups:
            return preferred
        return self.groups[0] if len(self.groups) > 1 else None


def _require(holds: bool, what: str, remedy: str) -> None:
    if not holds:
        raise UsageError(f"{what} cannot be simulated", remedy=remedy)
