"""What a user asks of `thalgpu structure`, and what a run answers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard, ShardDone
from thalgpu.engine.inputs.s1_names import Atlas
from thalgpu.engine.outputs.structure_names import Measure, Side
from thalgpu.engine.structure.alignment import ShapeAlignment

IcvMethod: TypeAlias = Literal["covariate", "residual", "proportion"]

MEASURES: tuple[Measure, ...] = ("volumes", "thickness", "shape")


@dataclass(frozen=True)
class StructureRequest:
    """Everything that a user asks of `thalgpu structure`.

    Attributes
    ----------
    subjects : the list: labels, or a table that names files.
    out : output folder.
    freesurfer : FreeSurfer's SUBJECTS_DIR, or None.
    aseg_tables, aparc_tables : tables of `asegstats2table` and `aparcstats2table`.
    meshes : folder of meshes with corresponding vertices, or None.
    measures : those that are wanted, which must then have a source; none for all that have one.
    icv : what is done about the intracranial volume: nothing but to write it down, residuals, or proportions.
    shape_alignment : how meshes are brought into one position.
    smooth : FWHM in mm of the smoothing of displacement on the mesh; 0 for none.
    template_left, template_right : meshes that are brought onto label images; None for the subjects' average.
    s1 : which atlas says where S1 is.
    s1_labels : parcellation on the surface of the list's thickness maps, `FILE` or `LEFT,RIGHT`, or None.
    participants : table that gets a column `icv`, or None.
    workers : processes, or None for one a core.
    overwrite : replace results that were made with other options.
    scheduler : Dask cluster that does the work, or None for this machine.
    shard : the share of the subjects' records that is made, without what is the group's; None for all.
    """

    subjects: Path
    out: Path = Path("thalgpu-structure")
    freesurfer: Path | None = None
    aseg_tables: tuple[Path, ...] = ()
    aparc_tables: tuple[Path, ...] = ()
    meshes: Path | None = None
    measures: tuple[Measure, ...] = ()
    icv: IcvMethod = "covariate"
    shape_alignment: ShapeAlignment = "rigid"
    smooth: float = 0.0
    template_left: Path | None = None
    template_right: Path | None = None
    s1: Atlas = "aparc"
    s1_labels: str | None = None
    participants: Path | None = None
    workers: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None


@dataclass(frozen=True)
class ShapeQuality:
    """Quality of one mesh, a row of shape_qc.tsv.

    Attributes
    ----------
    participant_id : without "sub-".
    side : "L" or "R".
    distance : root mean squared distance of its vertices from the mean shape's, mm.
    mean_displacement, max_displacement : of the absolute displacement, mm.
    residual : mean distance between the registered template and the surface of the label image, mm; None for meshes.
    outlier : whether the distance is far above the others'.
    """

    participant_id: str
    side: Side
    distance: float
    mean_displacement: float
    max_displacement: float
    residual: float | None
    outlier: bool


@dataclass
class StructureResult:
    """What a run did.

    Attributes
    ----------
    out : the output folder.
    volumes, icv, thickness, thickness_area, participants, shape_qc : tables that were written, or None.
    displacement : side → maps, in the order of the ids.
    thickness_maps : side → S1 maps on the common surface, in the order of the ids.
    templates : side → the mesh (`.surf.gii`) that displacement lives on.
    common : side → the mesh that thickness maps live on, where it is known.
    quality : one a mesh.
    measured : measure → how many subjects have it.
    failures : participant id → what went wrong first; other measures of that person may be there.
    warnings : remarks on the whole run.
    n_subjects : in the list.
    n_skipped : records that were found on disk and verified.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    shard : what a shard has done; None for a whole run.
    """

    out: Path
    volumes: Path | None = None
    icv: Path | None = None
    thickness: Path | None = None
    thickness_area: Path | None = None
    participants: Path | None = None
    shape_qc: Path | None = None
    displacement: dict[Side, list[Path]] = field(default_factory=dict)
    thickness_maps: dict[Side, list[Path]] = field(default_factory=dict)
    templates: dict[Side, Path] = field(default_factory=dict)
    common: dict[Side, Path] = field(default_factory=dict)
    quality: list[ShapeQuality] = field(default_factory=list)
    measured: dict[Measure, int] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    n_subjects: int = 0
    n_skipped: int = 0
    seconds: float = 0.0
    interrupted: int | None = None
    shard: ShardDone | None = None
