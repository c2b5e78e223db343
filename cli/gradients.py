"""`thalgpu gradients`: options in, plan, progress, summary table, exit code out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import (
    INPUT,
    REGIONS,
    Alignment,
    Approach,
    ConfoundsOption,
    CortexOption,
    DerivativesOption,
    DetrendOption,
    DropFirstOption,
    DryRunOption,
    FwhmOption,
    GpusOption,
    Graph,
    Hemisphere,
    HighPassOption,
    InputTypeOption,
    InsecureOption,
    Keep,
    Kernel,
    LogJsonOption,
    LowPassOption,
    MemoryOption,
    OverwriteOption,
    Recipe,
    SchedulerOption,
    ScrubOption,
    ShardOption,
    SubjectsOption,
    Targets,
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
    from thalgpu.engine.pipelines.gradients import GradientsResult
    from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared

GRADIENTS = "Gradients"


def gradients(
    context: typer.Context,
    subjects: SubjectsOption,
    out: Annotated[Path, option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path("thalgpu-out"),
    derivatives: DerivativesOption = None,
    input_type: InputTypeOption = None,
    config: ConfigOption = None,
    thalamus: ThalamusOption = None,
    cortex: CortexOption = None,
    nuclei: Annotated[
        str | None, option(REGIONS, "Label image of thalamic nuclei, for the summary table.", metavar="FILE")
    ] = None,
    hemisphere: Annotated[Hemisphere, option(REGIONS, "Both thalami in one embedding, one, or each.")] = (
        Hemisphere.BOTH
    ),
    targets: Annotated[Targets, option(REGIONS, "The whole cortex, or that of the same side.")] = Targets.ALL,
    min_coverage: Annotated[float, option(REGIONS, "Least share of voxels and of targets with a signal.")] = 0.8,
    recipe: Annotated[
        Recipe,
        option(GRADIENTS, "brainspace or congrads: sets the next five, each of which can be given.", metavar="NAME"),
    ] = Recipe.BRAINSPACE,
    kernel: Annotated[
        Kernel | None,
        option(
            GRADIENTS,
            "normalized_angle, cosine, pearson, spearman, gaussian or eta2. [default: the recipe's]",
            metavar="NAME",
        ),
    ] = None,
    sparsity: Annotated[
        float | None, option(GRADIENTS, "Share of each row set to zero. [default: the recipe's]")
    ] = None,
    fisher_z: Annotated[
        bool | None,
        option(GRADIENTS, "Fisher-transform correlations. [default: the recipe's]", "--fisher-z/--no-fisher-z"),
    ] = None,
    approach: Annotated[
        Approach | None,
        option(GRADIENTS, "Diffusion map, Laplacian eigenmap or components. [default: the recipe's]"),
    ] = None,
    graph: Annotated[
        Graph | None, option(GRADIENTS, "All pairs, or congrads' smallest connected graph. [default: the recipe's]")
    ] = None,
    n_components: Annotated[int, option(GRADIENTS, "Number of gradients.")] = 10,
    alpha: Annotated[float, option(GRADIENTS, "Diffusion map's anisotropy, 0 to 1.")] = 0.5,
    diffusion_time: Annotated[float, option(GRADIENTS, "Diffusion map's time; 0: all times.")] = 0.0,
    alignment: Annotated[Alignment, option(GRADIENTS, "How subjects are brought onto the template.")] = (
        Alignment.PROCRUSTES
    ),
    template: Annotated[str, option(GRADIENTS, "pooled, pooled-connectivity, generalised, or a file.")] = "pooled",
    n_align: Annotated[
        int | None, option(GRADIENTS, "Components that are aligned. [default: 10, or all if fewer]")
    ] = None,
    trend_surface: Annotated[int, option(GRADIENTS, "Order of the trend-surface model; 0: none.")] = 0,
    keep: Annotated[list[Keep] | None, option(GRADIENTS, "Write this too (repeatable).")] = None,
    confounds: ConfoundsOption = "none",
    high_pass: HighPassOption = None,
    low_pass: LowPassOption = None,
    scrub_fd: ScrubOption = None,
    drop_first: DropFirstOption = 0,
    detrend: DetrendOption = True,
    fwhm: FwhmOption = 0.0,
    tr: TrOption = None,
    gpus: GpusOption = None,
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
    """Connectivity gradients of every subject's thalamus, aligned to one template.

    Run it again to add subjects or to go on after a crash: what is done is verified and skipped.
    """
    from thalgpu.engine.pipelines.gradients import run_gradients
    from thalgpu.engine.pipelines.prepare import prepare

    request = read_request(context.params)
    prepared = prepare(request)
    print_plan(request, prepared, verbose=verbose)
    print_scheduler(request)
    if dry_run:
        print_concerns(prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_gradients(request, progress, prepared=prepared)
    print_result(result, as_json=log_json)
    raise typer.Exit(exit_code(result))


def read_request(values: dict[str, Any]) -> "GradientsRequest":
    """The request that the options spell; UsageError when one cannot be read."""
    from dataclasses import fields

    from thalgpu.engine.config import GradientOptions, recipe
    from thalgpu.engine.pipelines.group_stage import POOLS
    from thalgpu.engine.pipelines.prepare import GradientsRequest

    given = plain(values)
    given["keep"] = tuple(item.value for item in values["keep"] or ())
    if given["template"] not in POOLS:
        given["template"] = str(Path(given["template"]).absolute())
    if given["n_align"] is None:
        given["n_align"] = min(10, given["n_components"])
    shaping = {name: given[name] for name in names_of(GradientOptions) if given[name] is not None}
    return GradientsRequest(
        options=recipe(given["recipe"], **shaping),
        cleaning=read_cleaning(given),
        **{field.name: given[field.name] for field in fields(GradientsRequest) if field.name in given},
    )


def print_plan(request: "GradientsRequest", prepared: "Prepared", *, verbose: int) -> None:
    """What is about to be done, and with -v every option."""
    from thalgpu.engine.plan import format_bytes

    plan, options = prepared.plan, request.options
    split = {"separate": "left and right apart", "both": "both together"}.get(options.hemisphere, options.hemisphere)
    lines = [
        f"subjects    {plan.n_subjects} usable, {len(prepared.rejected)} rejected",
        f"thalamus    {plan.n_voxels} voxels, hemispheres: {split}  ({prepared.thalamus.source})",
        f"cortex      {plan.n_targets} targets, {options.targets}  ({prepared.cortex.source})",
        f"volumes     up to {plan.n_timepoints} a subject",
        f"gradients   {options.n_components} × {options.approach} of {options.kernel}, sparsity {options.sparsity:g}, "
        f"template {options.template}",
        f"device      {plan.device}, {plan.workers} worker{'s' if plan.workers > 1 else ''} "
        f"of up to {format_bytes(plan.worker_bytes)}, {format_bytes(plan.memory_bytes)} allowed"
        + (f", {format_bytes(plan.device_bytes)} on the device" if plan.gpus else ""),
        f"output      {request.out}, up to {format_bytes(plan.disk_bytes)}",
    ]
    for line in lines:
        print_line(line)
    if verbose:
        for field in (*names_of(type(options)), *names_of(type(request.cleaning))):
            value = getattr(options, field) if hasattr(options, field) else getattr(request.cleaning, field)
            print_line(f"  {field} = {value}")


def print_result(result: "GradientsResult", *, as_json: bool) -> None:
    """What was done: a row a subject, remarks, failures."""
    rows = []
    for one in result.aligned:
        record = one.record
        hemisphere = f" {record.hemisphere}" if record.hemisphere else ""
        correlation = one.summary["gradient1_r_template"]
        rows.append(
            [
                f"sub-{record.participant_id}{hemisphere}",
                f"{record.n_covered}/{record.n_voxels}",
                f"{record.n_kept}/{record.n_volumes}",
                "  ".join(f"{value:.3g}" for value in record.lambdas[:3]),
                "–" if correlation is None else f"{correlation:.3f}",
                "verified" if record.skipped else f"{record.seconds:.1f}",
            ]
        )
    if rows:
        print_table("Subjects", ["subject", "voxels", "volumes", "eigenvalues", "r(template)", "seconds"], rows)
    for remark in result.warnings:
        print_line(f"warning: {remark}")
    _print_subject_warnings(result)
    print_failures(result)
    n_skipped = sum(one.record.skipped for one in result.aligned)
    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
    elif result.shard is not None:
        print_line(result.shard.words)
    else:
        print_line(
            f"{len(result.aligned)} finished ({n_skipped} verified, not computed again), "
            f"{len(result.failures)} failed, {result.seconds:.1f} s"
        )
        print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        print_json(event="result", finished=len(result.aligned), failed=len(result.failures), out=str(result.out))


def _print_subject_warnings(result: "GradientsResult") -> None:
    """The same remark for many subjects is told once."""
    told: dict[str, list[str]] = {}
    for one in result.aligned:
        for remark in one.record.warnings:
            told.setdefault(remark, []).append(f"sub-{one.record.participant_id}")
    for remark, who in told.items():
        print_line(f"warning: {who[0]}{f' and {len(who) - 1} more' if len(who) > 1 else ''}: {remark}")
