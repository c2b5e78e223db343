"""`thalgpu permute`: options in, plan, progress, a table of what was found, exit code out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import (
    RUNNING,
    Fdr,
    GpusOption,
    InsecureOption,
    LogJsonOption,
    MemoryOption,
    Method,
    Missing,
    Scale,
    SchedulerOption,
    ShardOption,
    Tail,
    TfceGrid,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
    option,
    plain,
)
from thalgpu.cli._runs import print_scheduler

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.permute import PermuteResult
    from thalgpu.engine.pipelines.permute_outputs import PartResult
    from thalgpu.engine.pipelines.permute_prepare import PermutePrepared
    from thalgpu.engine.pipelines.permute_request import PermuteRequest

INPUT, DESIGN, PERMUTATIONS, STATISTICS = "Input", "Design", "Permutations", "Statistics"
CLUSTERS = "TFCE and clusters"


def permute(
    context: typer.Context,
    maps: Annotated[
        list[Path],
        typer.Argument(
            help="Output folder of thalgpu gradients; or an image of all subjects, an image each, a .txt that lists "
            "them, an .h5 or .npy array, a .tsv or .csv table.",
            show_default=False,
        ),
    ],
    design: Annotated[
        Path, option(INPUT, "participants.tsv, with --formula; or an FSL / CSV matrix, with --contrasts.")
    ],
    out: Annotated[Path, option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path("thalgpu-permute"),
    component: Annotated[
        list[int] | None, option(INPUT, "Component or map number to test (repeatable). [default: 1]", min=1)
    ] = None,
    mask: Annotated[str | None, option(INPUT, "Test inside FILE or FILE:LABELS only.", metavar="FILE")] = None,
    surface: Annotated[str | None, option(INPUT, "Mesh of surface maps: FILE, or LEFT,RIGHT.", metavar="MESH")] = None,
    atlas: Annotated[
        str | None, option(INPUT, "Label image that names the peaks (thalamic nuclei).", metavar="FILE")
    ] = None,
    config: ConfigOption = None,
    formula: Annotated[str | None, option(DESIGN, "Model, such as 'group + age + sex'.")] = None,
    contrast: Annotated[
        list[str] | None, option(DESIGN, "Such as 'patients - controls' (repeatable; 'name = …' names it).")
    ] = None,
    f_test: Annotated[
        list[str] | None, option(DESIGN, "Term, or contrasts with commas, tested jointly (repeatable).")
    ] = None,
    contrasts: Annotated[Path | None, option(DESIGN, "Contrasts of a design matrix: FSL .con or CSV.")] = None,
    f_tests: Annotated[Path | None, option(DESIGN, "F tests of a design matrix: FSL .fts or CSV.")] = None,
    demean: Annotated[bool, option(DESIGN, "Centre numeric covariates.", "--demean/--no-demean")] = True,
    missing: Annotated[
        Missing, option(DESIGN, "Subjects without a map, a row or a value: stop, or go on without them.")
    ] = Missing.ERROR,
    blocks: Annotated[
        str | None, option(PERMUTATIONS, "Who may be exchanged: a column of labels, columns of a tree, .grp or CSV.")
    ] = None,
    whole: Annotated[
        bool, option(PERMUTATIONS, "Exchange whole blocks, or subjects within them.", "--whole/--within")
    ] = False,
    variance_groups: Annotated[
        str | None, option(PERMUTATIONS, "Who shares a variance: a column, .grp or CSV.")
    ] = None,
    n_perm: Annotated[
        int,
        option(PERMUTATIONS, "How many, the first being the subjects as they are; 0: each that exists, once.", min=0),
    ] = 10_000,
    seed: Annotated[int, option(PERMUTATIONS, "Permutation i follows from the seed and i alone.", min=0)] = 0,
    permutations: Annotated[
        Path | None, option(PERMUTATIONS, "Use these: PALM's permidx or randomise's vectors.")
    ] = None,
    save_permutations: Annotated[bool, option(PERMUTATIONS, "Keep them in results.h5.", "--save-permutations")] = False,
    method: Annotated[
        Method,
        option(PERMUTATIONS, "For nuisance variables: freedman-lane, ter-braak, manly or dekker.", metavar="METHOD"),
    ] = Method.FREEDMAN_LANE,
    sign_flip: Annotated[
        bool, option(PERMUTATIONS, "Flip signs instead of exchanging subjects.", "--sign-flip")
    ] = False,
    stop_after: Annotated[
        int, option(PERMUTATIONS, "Stop early: a p is settled by this many exceedances; 0: never.", min=0)
    ] = 0,
    two_sided: Annotated[
        bool, option(STATISTICS, "Test both directions, not only contrast > 0.", "--two-sided")
    ] = False,
    pearson: Annotated[bool, option(STATISTICS, "Partial correlation r in place of t, R² of F.", "--pearson")] = False,
    statistic_scale: Annotated[
        Scale, option(STATISTICS, "What is maximised and enhanced: t as it is, or its z.")
    ] = Scale.T,
    tail: Annotated[Tail, option(STATISTICS, "Refine small p-values by a fitted tail.")] = Tail.NONE,
    tfce: Annotated[bool, option(CLUSTERS, "Threshold-free cluster enhancement.", "--tfce")] = False,
    tfce_grid: Annotated[
        TfceGrid,
        option(CLUSTERS, "The exact integral, or the steps of palm, randomise or nilearn.", metavar="GRID"),
    ] = TfceGrid.EXACT,
    tfce_h: Annotated[float | None, option(CLUSTERS, "Power of height. [default: 2]", "--tfce-H")] = None,
    tfce_e: Annotated[float | None, option(CLUSTERS, "Power of extent. [default: 0.5; surfaces 1]", "--tfce-E")] = None,
    tfce_connectivity: Annotated[int, option(CLUSTERS, "Neighbours of a voxel in TFCE: 6, 18 or 26.")] = 6,
    cluster_connectivity: Annotated[int, option(CLUSTERS, "The same in clusters.")] = 26,
    vertex_areas: Annotated[
        bool, option(CLUSTERS, "Vertices count by their mm², or as one each.", "--vertex-areas/--vertex-counts")
    ] = True,
    cluster_threshold: Annotated[
        float | None, option(CLUSTERS, "Form clusters at this t (or z); test extent and mass.")
    ] = None,
    fdr: Annotated[Fdr, option(STATISTICS, "Benjamini-Hochberg, or adaptive as PALM's.")] = Fdr.BH,
    gpus: GpusOption = None,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    shard: ShardOption = None,
    overwrite: Annotated[bool, option(RUNNING, "Replace results of another test.", "--overwrite")] = False,
    dry_run: Annotated[bool, option(RUNNING, "Check everything, print the plan, stop.", "--dry-run")] = False,
    verbose: Annotated[
        int, option(RUNNING, "The design's coding in the plan; -vv: tracebacks too.", "-v", "--verbose", count=True)
    ] = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Permutation inference on any per-subject maps: voxel-wise, by cluster, or TFCE; corrected by maxima.

    Run it again to go on after a crash: blocks of permutations that are done are verified and skipped.
    """
    from thalgpu.engine.pipelines.permute import check_run, run_permute
    from thalgpu.engine.pipelines.permute_prepare import prepare_permute

    request = read_request(context.params)
    prepared = prepare_permute(request)
    _print_plan(request, prepared, verbose=verbose)
    print_scheduler(request)
    if dry_run:
        check_run(request, prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_permute(request, progress, prepared=prepared)
    _print_result(request, result, as_json=log_json)
    raise typer.Exit(result.interrupted or 0)


def read_request(values: dict[str, Any]) -> "PermuteRequest":
    """The request that the options spell."""
    from dataclasses import fields

    from thalgpu.engine.inference.model import InferenceOptions
    from thalgpu.engine.pipelines.permute_request import PermuteRequest

    given = plain(values)
    given["component"] = given["component"] or [1]
    for name in ("maps", "component", "contrast", "f_test"):
        given[name] = tuple(given[name] or ())
    options = InferenceOptions(**{field.name: given[field.name] for field in fields(InferenceOptions)})
    chosen = {field.name: given[field.name] for field in fields(PermuteRequest) if field.name != "options"}
    return PermuteRequest(options=options, **chosen)


def _print_plan(request: "PermuteRequest", prepared: "PermutePrepared", *, verbose: int) -> None:
    from thalgpu.engine.plan import format_bytes

    plan, design = prepared.plan, prepared.problem.design
    maps = " and ".join(f"{one.values.shape[1]:,}{f' ({one.name})' if one.name else ''}" for one in prepared.maps)
    lines = [
        f"subjects      {plan.n_subjects}",
        f"features      {maps}",
        f"design        {', '.join(design.columns)}",
        *(f"contrast      {one.name} ({one.kind}) → {one.label}" for one in design.contrasts),
        *_direction(request, prepared),
        f"permutations  {prepared.problem.permutations.description}",
        f"blocks        {plan.n_blocks}",
        f"workers       {plan.workers} on {plan.device}, {format_bytes(plan.worker_bytes)} each",
        f"disk          {format_bytes(plan.disk_bytes)} in {request.out}",
    ]
    if verbose:
        lines += [f"coding        {name}: {text}" for name, text in design.coding]
        for one in design.contrasts:
            lines += [f"weights       {one.label}: {' '.join(f'{weight:g}' for weight in row)}" for row in one.weights]
    for line in lines:
        print_line(line)
    for remark in prepared.warnings:
        print_line(f"warning: {remark}")


def _direction(request: "PermuteRequest", prepared: "PermutePrepared") -> list[str]:
    """What t contrasts ask, which no statistic tells: many look for effects of either sign and test one."""
    if all(one.kind == "f" for one in prepared.problem.design.contrasts):
        return []
    both = request.options.two_sided
    return [f"direction     {'either: two-sided' if both else 'contrast > 0 only; --two-sided tests both'}"]


def _print_result(request: "PermuteRequest", result: "PermuteResult", *, as_json: bool) -> None:
    from thalgpu.engine.pipelines.permute_hints import untested_directions
    from thalgpu.engine.pipelines.permute_outputs import summary_row

    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
        return
    if result.shard is not None:
        print_line(result.shard.words)
        return
    rows = [_cells(one, summary_row(one)) for one in result.found]
    columns = ["contrast", "map", "statistic", "smallest", "largest", "significant", "by", "smallest p", "95 % limits"]
    print_table("Contrasts", columns, rows)
    for remark in untested_directions(result.found, request.options):
        print_line(f"warning: {remark}")
    print_line(
        f"{result.found[0].result.n_perm:,} permutations in {result.n_blocks} block{'s' * (result.n_blocks > 1)} "
        f"({result.n_skipped} verified, not computed again), {result.seconds:.1f} s"
    )
    print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        for one in result.found:
            print_json(event="result", **summary_row(one))


def _cells(one: "PartResult", row: dict[str, Any]) -> list[str]:
    limits = "" if row["p_low"] is None else f"{row['p_low']:.3g}–{row['p_high']:.3g}"
    return [
        row["contrast"],
        row["map"] or "",
        _statistic(one),
        f"{row['smallest']:.2f}",
        f"{row['largest']:.2f}",
        f"{row['n_significant']} of {row['n_features']}",
        row["by"],
        f"{row['smallest_p']:.4f}",
        limits,
    ]


def _statistic(one: "PartResult") -> str:
    """Its name, and its degrees of freedom where all features have the same."""
    from thalgpu.engine.report.permute_words import STATISTICS

    name, degrees = one.result.statistic, ", ".join(f"{number:g}" for number in one.result.degrees)
    return STATISTICS.get(name, name) + (f"({degrees})" if degrees else "")
