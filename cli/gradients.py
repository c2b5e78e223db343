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

INPUT, REGIONS, GRADIENTS, CLEANING, RUNNING = "Input", "Regions", "Gradients", "Cleaning", "Running"


def _option(panel: str, text: str, *names: str, **limits: Any) -> Any:
    """An option in a panel of the help; square brackets are text, not markup."""
    return typer.Option(*names, help=text.replace("[", "\\["), rich_help_panel=panel, show_envvar=False, **limits)


def gradients(
    context: typer.Context,
    subjects: Annotated[Path, _option(INPUT, "Subject list: scans, participant labels, or a TSV.")],
    out: Annotated[Path, _option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path("thalgpu-out"),
    derivatives: Annotated[Path | None, _option(INPUT, "fMRIPrep, XCP-D or HCP folder of the labels.")] = None,
    input_type: Annotated[
        str | None, _option(INPUT, "Its layout and space: fmriprep, xcpd or hcp, then :SPACE or :SPACE+SURFACE.")
    ] = None,
    config: ConfigOption = None,
    thalamus: Annotated[
        str | None, _option(REGIONS, "Mask or label image, FILE or FILE:LABELS. [default: found]", metavar="FILE")
    ] = None,
    cortex: Annotated[
        str | None, _option(REGIONS, "Mask (voxels) or label image (parcels). [default: found]", metavar="FILE")
    ] = None,
    nuclei: Annotated[
        str | None, _option(REGIONS, "Label image of thalamic nuclei, for the summary table.", metavar="FILE")
    ] = None,
    hemisphere: Annotated[Hemisphere, _option(REGIONS, "Both thalami in one embedding, one, or each.")] = (
        Hemisphere.BOTH
    ),
    targets: Annotated[Targets, _option(REGIONS, "The whole cortex, or that of the same side.")] = Targets.ALL,
    min_coverage: Annotated[float, _option(REGIONS, "Least share of voxels and of targets with a signal.")] = 0.8,
    recipe: Annotated[
        Recipe,
        _option(GRADIENTS, "brainspace or congrads: sets the next five, each of which can be given.", metavar="NAME"),
    ] = Recipe.BRAINSPACE,
    kernel: Annotated[
        Kernel | None,
        _option(
            GRADIENTS,
            "normalized_angle, cosine, pearson, spearman, gaussian or eta2. [default: the recipe's]",
            metavar="NAME",
        ),
    ] = None,
    sparsity: Annotated[
        float | None, _option(GRADIENTS, "Share of each row set to zero. [default: the recipe's]")
    ] = None,
    fisher_z: Annotated[
        bool | None,
        _option(GRADIENTS, "Fisher-transform correlations. [default: the recipe's]", "--fisher-z/--no-fisher-z"),
    ] = None,
    approach: Annotated[
        Approach | None,
        _option(GRADIENTS, "Diffusion map, Laplacian eigenmap or components. [default: the recipe's]"),
    ] = None,
    graph: Annotated[
        Graph | None, _option(GRADIENTS, "All pairs, or congrads' smallest connected graph. [default: the recipe's]")
    ] = None,
    n_components: Annotated[int, _option(GRADIENTS, "Number of gradients.")] = 10,
    alpha: Annotated[float, _option(GRADIENTS, "Diffusion map's anisotropy, 0 to 1.")] = 0.5,
    diffusion_time: Annotated[float, _option(GRADIENTS, "Diffusion map's time; 0: all times.")] = 0.0,
    alignment: Annotated[Alignment, _option(GRADIENTS, "How subjects are brought onto the template.")] = (
        Alignment.PROCRUSTES
    ),
    template: Annotated[str, _option(GRADIENTS, "pooled, pooled-connectivity, generalised, or a file.")] = "pooled",
    n_align: Annotated[
        int | None, _option(GRADIENTS, "Components that are aligned. [default: 10, or all if fewer]")
    ] = None,
    trend_surface: Annotated[int, _option(GRADIENTS, "Order of the trend-surface model; 0: none.")] = 0,
    keep: Annotated[list[Keep] | None, _option(GRADIENTS, "Write this too (repeatable).")] = None,
    confounds: Annotated[str, _option(CLEANING, "24p, 36p, acompcor, none, or NAME,NAME,…")] = "none",
    high_pass: Annotated[float | None, _option(CLEANING, "Remove slower changes, Hz.")] = None,
    low_pass: Annotated[float | None, _option(CLEANING, "Remove faster changes, Hz.")] = None,
    scrub_fd: Annotated[float | None, _option(CLEANING, "Leave out volumes of more displacement, mm.")] = None,
    drop_first: Annotated[int, _option(CLEANING, "Leave out this many first volumes.")] = 0,
    detrend: Annotated[bool, _option(CLEANING, "Remove a linear trend.")] = True,
    fwhm: Annotated[float, _option(CLEANING, "Smooth inside each region, mm.")] = 0.0,
    tr: Annotated[float | None, _option(CLEANING, "Repetition time in s. [default: the header's]")] = None,
    gpus: Annotated[
        int | None, _option(RUNNING, "GPUs, one process each; 0: none. [default: all that work]", min=0)
    ] = None,
    workers: Annotated[
        int | None, _option(RUNNING, "Processes. [default: as many as cores and memory allow]", min=1)
    ] = None,
    memory: Annotated[
        str | None, _option(RUNNING, "Memory allowed. [default: 90 % of what is free]", metavar="16GB")
    ] = None,
    overwrite: Annotated[bool, _option(RUNNING, "Replace results of other options.", "--overwrite")] = False,
    dry_run: Annotated[bool, _option(RUNNING, "Check headers, print the plan, stop.", "--dry-run")] = False,
    verbose: Annotated[
        int, _option(RUNNING, "All options in the plan; -vv: tracebacks too.", "-v", "--verbose", count=True)
    ] = 0,
    log_json: Annotated[bool, _option(RUNNING, "Progress and errors as JSON lines on stderr.", "--log-json")] = False,
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
        _print_concerns(prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_gradients(request, progress, prepared=prepared)
    _print_result(result, as_json=log_json)
    raise typer.Exit(_exit_code(result))


def _request(values: dict[str, Any]) -> "GradientsRequest":
    """The request that the options spell; UsageError when one cannot be read."""
    from dataclasses import fields

    from thalgpu.engine.config import CleaningOptions, GradientOptions, recipe
    from thalgpu.engine.pipelines.check_options import STRATEGIES
    from thalgpu.engine.pipelines.prepare import GradientsRequest
    from thalgpu.engine.plan import parse_bytes

    plain: dict[str, Any] = {
        name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()
    }
    plain["keep"] = tuple(item.value for item in values["keep"] or ())
    if plain["n_align"] is None:
        plain["n_align"] = min(10, plain["n_components"])
    if plain["confounds"] not in STRATEGIES:
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
        f"of up to {format_bytes(plan.worker_bytes)}, {format_bytes(plan.memory_bytes)} allowed"
        + (f", {format_bytes(plan.device_bytes)} on the device" if plan.gpus else ""),
        f"output      {request.out}, up to {format_bytes(plan.disk_bytes)}",
    ]
    for line in lines:
        print_line(line)
    if verbose:
        for field in (*_names(type(options)), *_names(type(request.cleaning))):
            value = getattr(options, field) if hasattr(options, field) else getattr(request.cleaning, field)
            print_line(f"  {field} = {value}")


def _print_concerns(prepared: "Prepared") -> None:
    """What a run would say at its end, for a dry run."""
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
