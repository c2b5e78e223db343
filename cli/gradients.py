"""`thalgpu gradients`: options in, plan, progress, summary table, exit code out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import Alignment, Approach, Graph, Hemisphere, Keep, Kernel, Recipe, Targets
from thalgpu.errors import UsageError

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.gradients import GradientsResult
    from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared

STRATEGIES = ("24p", "36p", "acompcor", "none")
INPUT, REGIONS, GRADIENTS, CLEANING, RUNNING = "Input", "Regions", "Gradients", "Cleaning", "Running"


def gradients(
    context: typer.Context,
    subjects: Annotated[
        Path, typer.Option(help="Subject list: scans, participant labels, or a TSV.", rich_help_panel=INPUT)
    ],
    out: Annotated[Path, typer.Option(help="Output folder.", rich_help_panel=INPUT)] = Path("thalgpu-out"),
    derivatives: Annotated[
        Path | None, typer.Option(help="fMRIPrep, XCP-D or HCP folder of the labels.", rich_help_panel=INPUT)
    ] = None,
    input_type: Annotated[
        str | None,
        typer.Option(help="fmriprep, xcpd or hcp, and a space: LAYOUT[:SPACE[+SURFACE]].", rich_help_panel=INPUT),
    ] = None,
    config: ConfigOption = None,
    thalamus: Annotated[
        str | None, typer.Option(help="Mask or label image, FILE[:LABELS].", rich_help_panel=REGIONS)
    ] = None,
    cortex: Annotated[
        str | None, typer.Option(help="Mask (voxels) or labels (parcels), FILE[:LABELS].", rich_help_panel=REGIONS)
    ] = None,
    nuclei: Annotated[
        str | None, typer.Option(help="Label image of nuclei, for the summary table.", rich_help_panel=REGIONS)
    ] = None,
    hemisphere: Annotated[Hemisphere, typer.Option(help="Which thalamus.", rich_help_panel=REGIONS)] = Hemisphere.BOTH,
    targets: Annotated[Targets, typer.Option(help="Which cortex.", rich_help_panel=REGIONS)] = Targets.ALL,
    min_coverage: Annotated[
        float, typer.Option(help="Least fraction of voxels and of targets with a signal.", rich_help_panel=REGIONS)
    ] = 0.8,
    recipe: Annotated[
        Recipe, typer.Option(help="Sets kernel, sparsity, Fisher z, approach, graph.", rich_help_panel=GRADIENTS)
    ] = Recipe.BRAINSPACE,
    kernel: Annotated[Kernel | None, typer.Option(help="[default: the recipe's]", rich_help_panel=GRADIENTS)] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(help="Fraction of each row set to zero. [default: the recipe's]", rich_help_panel=GRADIENTS),
    ] = None,
    fisher_z: Annotated[
        bool | None,
        typer.Option(
            "--fisher-z/--no-fisher-z",
            help="Fisher-transform correlations. [default: the recipe's]",
            rich_help_panel=GRADIENTS,
        ),
    ] = None,
    approach: Annotated[
        Approach | None, typer.Option(help="[default: the recipe's]", rich_help_panel=GRADIENTS)
    ] = None,
    graph: Annotated[Graph | None, typer.Option(help="[default: the recipe's]", rich_help_panel=GRADIENTS)] = None,
    n_components: Annotated[int, typer.Option(help="Number of gradients.", rich_help_panel=GRADIENTS)] = 10,
    alpha: Annotated[float, typer.Option(help="Diffusion map's anisotropy.", rich_help_panel=GRADIENTS)] = 0.5,
    diffusion_time: Annotated[
        float, typer.Option(help="Diffusion map's time; 0: all times.", rich_help_panel=GRADIENTS)
    ] = 0.0,
    alignment: Annotated[
        Alignment, typer.Option(help="Onto the template.", rich_help_panel=GRADIENTS)
    ] = Alignment.PROCRUSTES,
    template: Annotated[
        str,
        typer.Option(help="pooled, pooled-connectivity, generalised, or a file.", rich_help_panel=GRADIENTS),
    ] = "pooled",
    n_align: Annotated[
        int | None,
        typer.Option(help="Components in the alignment. [default: 10, or all if fewer]", rich_help_panel=GRADIENTS),
    ] = None,
    trend_surface: Annotated[
        int, typer.Option(help="Order of the trend-surface model; 0: none.", rich_help_panel=GRADIENTS)
    ] = 0,
    keep: Annotated[
        list[Keep] | None, typer.Option(help="Write this too (repeatable).", rich_help_panel=GRADIENTS)
    ] = None,
    confounds: Annotated[
        str, typer.Option(help="24p, 36p, acompcor, none, or NAME,NAME,…", rich_help_panel=CLEANING)
    ] = "none",
    high_pass: Annotated[float | None, typer.Option(help="Hz.", rich_help_panel=CLEANING)] = None,
    low_pass: Annotated[float | None, typer.Option(help="Hz.", rich_help_panel=CLEANING)] = None,
    scrub_fd: Annotated[
        float | None, typer.Option(help="Leave out volumes above this displacement, mm.", rich_help_panel=CLEANING)
    ] = None,
    drop_first: Annotated[int, typer.Option(help="Leave out this many first volumes.", rich_help_panel=CLEANING)] = 0,
    detrend: Annotated[bool, typer.Option(help="Remove a linear trend.", rich_help_panel=CLEANING)] = True,
    fwhm: Annotated[float, typer.Option(help="Smoothing inside each region, mm.", rich_help_panel=CLEANING)] = 0.0,
    tr: Annotated[
        float | None, typer.Option(help="Repetition time in s, instead of the header's.", rich_help_panel=CLEANING)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes. [default: one a core]", min=1, rich_help_panel=RUNNING)
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory allowed, e.g. 16GB. [default: what is free]", rich_help_panel=RUNNING)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results made with other options.", rich_help_panel=RUNNING)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check headers, print the plan, stop.", rich_help_panel=RUNNING)
    ] = False,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="-vv: tracebacks.", rich_help_panel=RUNNING)
    ] = 0,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.", rich_help_panel=RUNNING)
    ] = False,
) -> None:
    """Connectivity gradients of every subject's thalamus, aligned to one template.

    Run it again to add subjects or to go on after a crash: what is done is verified and skipped.
    """
    from thalgpu.engine.pipelines.gradients import run_gradients
    from thalgpu.engine.pipelines.prepare import prepare

    request = _request(context.params)
    prepared = prepare(request)
    _print_plan(request, prepared, verbose=verbose)
    if dry_run:
        return
    with show_progress(as_json=log_json) as progress:
        result = run_gradients(request, progress, prepared=prepared)
    _print_result(result, as_json=log_json)
    raise typer.Exit(_exit_code(result))


def _request(values: dict[str, Any]) -> "GradientsRequest":
    """The request that the options spell; UsageError when one cannot be read."""
    from dataclasses import fields

    from thalgpu.engine.config import CleaningOptions, GradientOptions, recipe
    from thalgpu.engine.pipelines.prepare import GradientsRequest
    from thalgpu.engine.plan import parse_bytes

    plain: dict[str, Any] = {
        name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()
    }
    plain["keep"] = tuple(item.value for item in values["keep"] or ())
    plain["n_align"] = plain["n_align"] or min(10, plain["n_components"])
    if "," in plain["confounds"] or plain["confounds"] not in STRATEGIES:
        plain["confounds"] = tuple(name.strip() for name in plain["confounds"].split(",") if name.strip())
    if plain["memory"] is not None:
        try:
            plain["memory"] = parse_bytes(plain["memory"])
        except ValueError as error:
            raise UsageError(f"--memory {plain['memory']}", remedy="give a size such as 16GB") from error
    given = {name: plain[name] for name in _names(GradientOptions) if plain[name] is not None}
    return GradientsRequest(
        options=recipe(plain["recipe"], **given),
        cleaning=CleaningOptions(**{name: plain[name] for name in _names(CleaningOptions)}),
        **{field.name: plain[field.name] for field in fields(GradientsRequest) if field.name in plain},
    )


def _names(options: type) -> list[str]:
    return list(get_type_hints(options))


def _print_plan(request: "GradientsRequest", prepared: "Prepared", *, verbose: int) -> None:
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
        f"of up to {format_bytes(plan.worker_bytes)}, {format_bytes(plan.memory_bytes)} allowed",
        f"output      {request.out}, up to {format_bytes(plan.disk_bytes)}",
    ]
    for line in lines:
        print_line(line)
    if verbose:
        for field in (*_names(type(options)), *_names(type(request.cleaning))):
            value = getattr(options, field) if hasattr(options, field) else getattr(request.cleaning, field)
            print_line(f"  {field} = {value}")
    for remark in prepared.warnings:
        print_line(f"warning: {remark}")
    for participant_id, error in prepared.rejected.items():
        print_line(f"rejected: sub-{participant_id}: {error}")


def _print_result(result: "GradientsResult", *, as_json: bool) -> None:
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
    for participant_id, error in result.failures.items():
        print_line(f"failed: sub-{participant_id}: {error}")
    n_skipped = sum(one.record.skipped for one in result.aligned)
    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
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


def _exit_code(result: "GradientsResult") -> int:
    if result.interrupted is not None:
        return result.interrupted
    return 3 if result.failures else 0
