"""`thalgpu structure`: options in, plan, progress, summary, exit code out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, show_progress
from thalgpu.cli._options import (
    RUNNING,
    InsecureOption,
    LogJsonOption,
    SchedulerOption,
    ShardOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
    option,
    plain,
)
from thalgpu.cli._runs import print_scheduler

if TYPE_CHECKING:
    from thalgpu.engine.outputs.structure_names import Measure
    from thalgpu.engine.pipelines.structure_prepare import StructurePrepared
    from thalgpu.engine.pipelines.structure_request import StructureRequest, StructureResult

INPUT, VOLUMES, THICKNESS, SHAPE = "Input", "Volumes", "Thickness", "Shape"


class Icv(StrEnum):
    """What is done about the size of the head."""

    COVARIATE = "covariate"
    RESIDUAL = "residual"
    PROPORTION = "proportion"


class ShapeAlignment(StrEnum):
    """How meshes are brought into one position."""

    RIGID = "rigid"
    SIMILARITY = "similarity"
    NONE = "none"


class S1(StrEnum):
    """Which atlas says where S1 is."""

    APARC = "aparc"
    BA = "ba"
    GLASSER = "glasser"


def structure(
    context: typer.Context,
    subjects: Annotated[Path, option(INPUT, "Subject list: labels, or a TSV that names files.")],
    out: Annotated[Path, option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path("thalgpu-structure"),
    freesurfer: Annotated[Path | None, option(INPUT, "FreeSurfer's SUBJECTS_DIR.", metavar="DIR")] = None,
    aseg_table: Annotated[
        list[Path] | None, option(INPUT, "Table of asegstats2table (repeatable).", metavar="FILE")
    ] = None,
    aparc_table: Annotated[
        list[Path] | None, option(INPUT, "Table of aparcstats2table (repeatable).", metavar="FILE")
    ] = None,
    meshes: Annotated[
        Path | None, option(INPUT, "Folder of meshes, such as FIRST's …-L_Thal_first.vtk.", metavar="DIR")
    ] = None,
    participants: Annotated[
        Path | None, option(INPUT, "Table that gets a column icv, in OUT/participants.tsv.", metavar="FILE")
    ] = None,
    measures: Annotated[
        str | None,
        option(INPUT, "volumes, thickness, shape. [default: all that have a source]", metavar="NAME,NAME…"),
    ] = None,
    config: ConfigOption = None,
    icv: Annotated[Icv, option(VOLUMES, "Write it down, or adjust volumes for it.")] = Icv.COVARIATE,
    s1: Annotated[S1, option(THICKNESS, "Postcentral gyrus, Brodmann's or Glasser's areas 1, 2, 3a, 3b.")] = S1.APARC,
    s1_labels: Annotated[
        str | None,
        option(THICKNESS, "Parcellation of thickness maps in the list, FILE or LEFT,RIGHT. [default: fsaverage's]"),
    ] = None,
    shape_alignment: Annotated[
        ShapeAlignment, option(SHAPE, "What is removed: position and orientation, size too, or nothing.")
    ] = ShapeAlignment.RIGID,
    smooth: Annotated[float, option(SHAPE, "Smooth displacement on the mesh, FWHM in mm.")] = 0.0,
    template_left: Annotated[
        Path | None, option(SHAPE, "Mesh for label images. [default: their average]", metavar="MESH")
    ] = None,
    template_right: Annotated[Path | None, option(SHAPE, "The same of the right.", metavar="MESH")] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    shard: ShardOption = None,
    overwrite: Annotated[bool, option(RUNNING, "Replace results of other options.", "--overwrite")] = False,
    dry_run: Annotated[bool, option(RUNNING, "Check the files' names, print the plan, stop.", "--dry-run")] = False,
    verbose: Annotated[
        int, option(RUNNING, "All options in the plan; -vv: tracebacks too.", "-v", "--verbose", count=True)
    ] = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Volumes of the thalamus, thickness of S1, and the shape of the thalamus, of every subject.

    Run it again to add subjects or to go on after a crash: what is done is verified and skipped.
    """
    from thalgpu.engine.pipelines.structure import run_structure
    from thalgpu.engine.pipelines.structure_prepare import prepare_structure

    request = read_request(context.params)
    prepared = prepare_structure(request)
    _print_plan(request, prepared, verbose=verbose)
    print_scheduler(request)
    if dry_run:
        _print_concerns(prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_structure(request, progress, prepared=prepared)
    _print_result(result, as_json=log_json)
    raise typer.Exit(_exit_code(result))


def read_request(values: dict[str, Any]) -> "StructureRequest":
    """The request that the options spell; UsageError for a measure that does not exist."""
    from dataclasses import fields

    from thalgpu.engine.pipelines.structure_request import MEASURES, StructureRequest
    from thalgpu.errors import UsageError

    given = plain(values)
    given["aseg_tables"] = tuple(given["aseg_table"] or ())
    given["aparc_tables"] = tuple(given["aparc_table"] or ())
    wanted = [name.strip() for name in (given["measures"] or "").split(",") if name.strip()]
    unknown = [name for name in wanted if name not in MEASURES]
    if unknown:
        raise UsageError(f"--measures {unknown[0]}", remedy=f"choose of {', '.join(MEASURES)}")
    given["measures"] = tuple(measure for measure in MEASURES if measure in wanted)
    return StructureRequest(**{field.name: given[field.name] for field in fields(StructureRequest)})


def _print_plan(request: "StructureRequest", prepared: "StructurePrepared", *, verbose: int) -> None:
    from thalgpu.engine.pipelines.structure_folder import resolved_options
    from thalgpu.engine.pipelines.structure_sources import WORDS
    from thalgpu.engine.plan import format_bytes

    print_line(f"subjects    {len(prepared.subjects)} listed, {len(prepared.rejected)} lack something")
    for measure, source in prepared.sources.items():
        n_subjects = len(prepared.rows.get(measure, ())) or sum(task.measure == measure for task in prepared.tasks)
        print_line(f"{measure:<11} {_subjects(n_subjects)}, from {WORDS[measure, source]}")
    if prepared.common is not None and prepared.sources.get("thickness") == "surfaces":
        print_line(f"vertices    S1 on {prepared.common.folder.path}")
    workers = f"{prepared.workers} worker{'s' if prepared.workers > 1 else ''}"
    print_line(f"output      {request.out}, up to {format_bytes(prepared.disk_bytes)}, {workers}")
    if verbose:
        for name, value in resolved_options(request, prepared).items():
            print_line(f"  {name} = {value}")


def _print_concerns(prepared: "StructurePrepared") -> None:
    """What a run would say at its end, for a dry run."""
    for remark in prepared.warnings:
        print_line(f"warning: {remark}")
    for participant_id, error in prepared.rejected.items():
        print_line(f"failed: sub-{participant_id}: {error}")


def _print_result(result: "StructureResult", *, as_json: bool) -> None:
    for remark in result.warnings:
        print_line(f"warning: {remark}")
    for participant_id, error in result.failures.items():
        print_line(f"failed: sub-{participant_id}: {error}")
    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
    elif result.shard is not None:
        print_line(result.shard.words)
    else:
        _print_measures(result)
        print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        n_measured = max(result.measured.values(), default=0)
        print_json(event="result", finished=n_measured, failed=len(result.failures), out=str(result.out))


def _print_measures(result: "StructureResult") -> None:
    """What can be tested now, and the meshes that somebody should look at."""
    tables: dict[Measure, Path | None] = {"volumes": result.volumes, "thickness": result.thickness}
    lines = [(str(measure), result.measured[measure], str(path)) for measure, path in tables.items() if path]
    for side, maps in result.displacement.items():
        files = f"{result.out}/sub-*/anat/*hemi-{side}*displacement.shape.gii"
        lines.append((f"shape {side}", len(maps), f"{files} --surface {result.templates[side]} --tfce"))
    for side, maps in result.thickness_maps.items():
        mesh = f" --surface {result.common[side]} --tfce" if side in result.common else ""
        lines.append((f"vertices {side}", len(maps), f"{result.out}/sub-*/anat/*hemi-{side}_thickness.shape.gii{mesh}"))
    for measure, n_subjects, arguments in lines:
        print_line(f"{measure:<11} {_subjects(n_subjects)}: thalgpu permute {arguments} …")
    outlying = [f"sub-{one.participant_id} {one.side}" for one in result.quality if one.outlier]
    if outlying:
        shown = ", ".join(outlying[:8]) + (f" and {len(outlying) - 8} more" if len(outlying) > 8 else "")
        print_line(f"look at the meshes of {shown}: far from the mean shape (shape_qc.tsv)")
    print_line(
        f"{result.n_subjects - len(result.failures)} of {result.n_subjects} subjects have everything, "
        f"{len(result.failures)} lack something, {result.n_skipped} records verified, not made again, "
        f"{result.seconds:.1f} s"
    )


def _subjects(count: int) -> str:
    return f"{count} subject{'s' if count != 1 else ''}"


def _exit_code(result: "StructureResult") -> int:
    if result.interrupted is not None:
        return result.interrupted
    return 3 if result.failures else 0
