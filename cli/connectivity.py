"""`thalgpu connectivity`: options in, plan, progress, summary table, exit code out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import (
    INPUT,
    REGIONS,
    ConfoundsOption,
    CortexOption,
    DerivativesOption,
    DetrendOption,
    DropFirstOption,
    DryRunOption,
    FwhmOption,
    HighPassOption,
    InputTypeOption,
    InsecureOption,
    LogJsonOption,
    LowPassOption,
    MemoryOption,
    OverwriteOption,
    SchedulerOption,
    ScrubOption,
    ShardOption,
    SubjectsOption,
    ThalamusOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    TrOption,
    VerboseOption,
    WorkersOption,
    option,
    plain,
)
from thalgpu.cli._runs import exit_code, names_of, print_concerns, print_failures, print_scheduler, read_cleaning

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.connectivity import ConnectivityResult
    from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityPrepared, ConnectivityRequest

RESULTS = "Results"


def connectivity(
    context: typer.Context,
    subjects: SubjectsOption,
    out: Annotated[Path, option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path(
        "thalgpu-connectivity"
    ),
    derivatives: DerivativesOption = None,
    input_type: InputTypeOption = None,
    config: ConfigOption = None,
    thalamus: ThalamusOption = None,
    cortex: CortexOption = None,
    seed: Annotated[
        list[str] | None,
        option(REGIONS, "A further seed, e.g. S1=atlas.nii.gz:1022,2022 (repeatable).", metavar="NAME=FILE[:LABELS]"),
    ] = None,
    nuclei: Annotated[
        str | None, option(REGIONS, "Label image of thalamic nuclei, each of them a seed.", metavar="FILE")
    ] = None,
    atlas: Annotated[
        str | None, option(REGIONS, "Parcellation for the tables. [default: the cortex' own parcels]", metavar="FILE")
    ] = None,
    min_coverage: Annotated[
        float, option(REGIONS, "Least share of targets, and of each seed's voxels, with a signal.")
    ] = 0.8,
    maps: Annotated[
        bool | None,
        option(RESULTS, "A map a seed and subject. [default: if targets are no parcels]", "--maps/--no-maps"),
    ] = None,
    matrix: Annotated[bool, option(RESULTS, "The table of all pairs of regions.", "--matrix/--no-matrix")] = True,
    confounds: ConfoundsOption = "none",
    high_pass: HighPassOption = None,
    low_pass: LowPassOption = None,
    scrub_fd: ScrubOption = None,
    drop_first: DropFirstOption = 0,
    detrend: DetrendOption = True,
    fwhm: FwhmOption = 0.0,
    tr: TrOption = None,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    shard: ShardOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Seed maps (thalamus, its halves and nuclei, S1 …) and region matrices of every subject, as Fisher's z.

    Run it again to add subjects or to go on after a crash: what is done is verified and skipped.
    """
    from thalgpu.engine.pipelines.connectivity import prepare_connectivity, run_connectivity

    request = read_request(context.params)
    prepared = prepare_connectivity(request)
    _print_plan(request, prepared, verbose=verbose)
    print_scheduler(request)
    if dry_run:
        print_concerns(prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_connectivity(request, progress, prepared)
    _print_result(result, as_json=log_json)
    raise typer.Exit(exit_code(result))


def read_request(values: dict[str, Any]) -> "ConnectivityRequest":
    """The request that the options spell; UsageError when one cannot be read."""
    from dataclasses import fields

    from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityRequest

    given = plain(values)
    given["seed"] = tuple(given["seed"] or ())
    return ConnectivityRequest(
        cleaning=read_cleaning(given),
        **{field.name: given[field.name] for field in fields(ConnectivityRequest) if field.name in given},
    )


def _print_plan(request: "ConnectivityRequest", prepared: "ConnectivityPrepared", *, verbose: int) -> None:
    from thalgpu.engine.plan import format_bytes

    plan = prepared.plan
    maps = "with maps" if prepared.writes_maps else "without maps"
    parcels = f"{plan.n_parcels} parcels" if plan.n_parcels else "no parcels: seeds with each other"
    lines = [
        f"subjects    {plan.n_subjects} usable, {len(prepared.rejected)} rejected",
        f"seeds       {', '.join(prepared.seeds.names)}",
        f"thalamus    {len(prepared.thalamus.flat)} voxels  ({prepared.thalamus.source})",
        f"targets     {plan.n_targets}, {maps}  ({prepared.cortex.source})",
        f"tables      {parcels}; {len(prepared.pairs)} pairs of regions without a common element",
        f"volumes     up to {plan.n_timepoints} a subject",
        f"workers     {plan.workers} of up to {format_bytes(plan.worker_bytes)}, "
        f"{format_bytes(plan.memory_bytes)} allowed",
        f"output      {request.out}, up to {format_bytes(plan.disk_bytes)}",
    ]
    for line in lines:
        print_line(line)
    if verbose:
        for field in names_of(type(request.cleaning)):
            print_line(f"  {field} = {getattr(request.cleaning, field)}")


def _print_result(result: "ConnectivityResult", *, as_json: bool) -> None:
    rows = [
        [
            f"sub-{record.participant_id}",
            f"{record.n_targets_covered}/{record.n_targets}",
            f"{record.n_kept}/{record.n_volumes}",
            "–" if record.mean_fd is None else f"{record.mean_fd:.2f}",
            "verified" if record.skipped else f"{record.seconds:.1f}",
        ]
        for record in result.records
    ]
    if rows:
        print_table("Subjects", ["subject", "targets", "volumes", "mean FD", "seconds"], rows)
    for remark in result.warnings:
        print_line(f"warning: {remark}")
    print_failures(result)
    n_skipped = sum(record.skipped for record in result.records)
    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
    elif result.shard is not None:
        print_line(result.shard.words)
    else:
        print_line(
            f"{len(result.records)} finished ({n_skipped} verified, not computed again), "
            f"{len(result.failures)} failed, {result.seconds:.1f} s"
        )
        if result.maps:
            print_line(f"maps: thalgpu permute {result.out}/sub-*/func/*seed-thalamus_*")
        for path in result.tables.values():
            print_line(f"table: thalgpu permute {path}")
        print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        print_json(event="result", finished=len(result.records), failed=len(result.failures), out=str(result.out))
