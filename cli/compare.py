"""`thalgpu compare`: options in, the path and what it costs, progress, tables, exit code out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import (
    RUNNING,
    InsecureOption,
    LogJsonOption,
    MemoryOption,
    Missing,
    SchedulerOption,
    ShardOption,
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
    from thalgpu.engine.pipelines.compare import CompareResult
    from thalgpu.engine.pipelines.compare_prepare import ComparePrepared
    from thalgpu.engine.pipelines.compare_request import CompareRequest

INPUT, GROUPS, PERMUTATIONS, STATISTICS = "Input", "Groups", "Permutations", "Statistics"


class SolvedBy(StrEnum):
    """How eigenvectors are found."""

    AUTO = "auto"
    REDUCED = "reduced"
    EXACT = "exact"
    DIRECT = "direct"


def compare(
    context: typer.Context,
    gradients: Annotated[Path, typer.Argument(help="Output folder of thalgpu gradients.", show_default=False)],
    design: Annotated[Path, option(INPUT, "participants.tsv with a column of groups.")],
    out: Annotated[Path, option(INPUT, "Output folder: new, empty, or of an earlier run.")] = Path("thalgpu-compare"),
    config: ConfigOption = None,
    group: Annotated[str, option(GROUPS, "Column of the groups; every pair is compared.")] = "group",
    covariates: Annotated[
        str | None, option(GROUPS, "Columns, with commas, regressed from the affinities.", metavar="NAMES")
    ] = None,
    missing: Annotated[
        Missing, option(GROUPS, "Subjects without a record, a row or a value: error, or drop them.")
    ] = Missing.ERROR,
    blocks: Annotated[
        str | None, option(PERMUTATIONS, "Exchange within blocks: columns with commas.", metavar="NAMES")
    ] = None,
    whole: Annotated[bool, option(PERMUTATIONS, "Blocks are exchanged as wholes.", "--whole/--within")] = False,
    n_perm: Annotated[int, option(PERMUTATIONS, "Permutations; 0, or all that exist: each once.", min=0)] = 10_000,
    seed: Annotated[int, option(PERMUTATIONS, "Permutation i follows from the seed and i alone.", min=0)] = 0,
    tfce: Annotated[bool, option(STATISTICS, "Enhance difference maps without a threshold.", "--tfce")] = False,
    tfce_grid: Annotated[TfceGrid, option(STATISTICS, "The exact integral, or a peer's steps.")] = TfceGrid.EXACT,
    tfce_h: Annotated[float | None, option(STATISTICS, "Power of height. [default: 2]", "--tfce-H")] = None,
    tfce_e: Annotated[float | None, option(STATISTICS, "Power of extent. [default: 0.5]", "--tfce-E")] = None,
    tfce_connectivity: Annotated[int, option(STATISTICS, "Neighbours of a voxel in TFCE: 6, 18 or 26.")] = 6,
    path: Annotated[
        SolvedBy, option(STATISTICS, "How eigenvectors are found; auto decides by a pilot.", metavar="PATH")
    ] = SolvedBy.AUTO,
    eig_tol: Annotated[float, option(STATISTICS, "Largest error of a statistic, in its null SDs.")] = 0.01,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    shard: ShardOption = None,
    overwrite: Annotated[bool, option(RUNNING, "Replace results of another comparison.", "--overwrite")] = False,
    dry_run: Annotated[bool, option(RUNNING, "Check everything, choose the path, stop.", "--dry-run")] = False,
    verbose: Annotated[int, option(RUNNING, "-vv: tracebacks too.", "-v", "--verbose", count=True)] = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Compare the gradients of groups: every permutation has group means and eigenvectors of its own.

    Run it again to go on after a crash: blocks of permutations that are done are verified and skipped.
    """
    from thalgpu.engine.pipelines.compare import run_compare
    from thalgpu.engine.pipelines.compare_prepare import prepare_compare

    request = read_request(context.params)
    prepared = prepare_compare(request)
    _print_plan(request, prepared)
    print_scheduler(request)
    if dry_run:
        return
    with show_progress(as_json=log_json) as progress:
        result = run_compare(request, progress, prepared=prepared)
    _print_result(result, told=prepared.warnings, as_json=log_json)
    raise typer.Exit(result.interrupted or 0)


def read_request(values: dict[str, Any]) -> "CompareRequest":
    """The request that the options spell."""
    from dataclasses import fields

    from thalgpu.engine.inference.model import InferenceOptions
    from thalgpu.engine.pipelines.compare_request import CompareRequest

    given = plain(values)
    for name in ("covariates", "blocks"):
        given[name] = tuple(part.strip() for part in (given[name] or "").split(",") if part.strip())
    names = {field.name for field in fields(InferenceOptions)} & set(given)
    options = InferenceOptions(two_sided=True, **{name: given[name] for name in names})
    chosen = {field.name: given[field.name] for field in fields(CompareRequest) if field.name != "options"}
    return CompareRequest(options=options, **chosen)


def _print_plan(request: "CompareRequest", prepared: "ComparePrepared") -> None:
    from collections import Counter

    from thalgpu.engine.plan import format_bytes

    plan, counts = prepared.plan, Counter(prepared.groups.labels)
    lines = [
        f"subjects      {plan.n_subjects}: {', '.join(f'{name} {counts[name]}' for name in sorted(counts))}",
        f"covariates    {', '.join(prepared.groups.covariate_names) or 'none'}",
    ]
    for embedded in prepared.embeddings:
        side = f" {embedded.hemisphere}" if embedded.hemisphere else ""
        lines.append(f"voxels{side:<8}{len(embedded.region.flat)}")
        lines.append(f"path{side:<10}{embedded.choice.path}: {embedded.choice.words}")
        minutes = embedded.choice.estimate(plan.n_perm, plan.workers) / 60
        lines.append(
            f"cost{side:<10}some {minutes:.1f} minutes for {plan.n_perm:,} permutations: {embedded.choice.cost}"
        )
    lines += [
        f"comparison    {one.name} → {one.label}: {one.permutations.description}"
        for one in prepared.embeddings[0].study.comparisons
    ]
    lines.append(f"workers       {plan.workers}, {format_bytes(plan.worker_bytes)} each")
    lines.append(f"disk          {format_bytes(plan.disk_bytes)} in {request.out}")
    for line in lines:
        print_line(line)
    for remark in prepared.warnings:
        print_line(f"warning: {remark}")


def _print_result(result: "CompareResult", *, told: tuple[str, ...], as_json: bool) -> None:
    from thalgpu.engine.pipelines.compare_tables import summary_rows

    if result.interrupted is not None:
        print_line(f"stopped on request after {result.seconds:.1f} s; run the same command to go on")
        return
    if result.shard is not None:
        print_line(result.shard.words)
        return
    rows = [row for one in result.found for row in summary_rows(one)]
    cells = [
        [
            row["comparison"],
            row["map"],
            f"{row['n_significant']} of {row['n_voxels']}",
            f"{row['smallest_p']:.4f}",
            f"{row['p_low']:.3g}–{row['p_high']:.3g}",
            f"{row['error_estimated']:.2%}",
            f"{row['error_verified']:.2%}",
        ]
        for row in rows
    ]
    columns = ["comparison", "map", "significant", "smallest p_fwe", "95 % limits", "error ≤ (SD)", "verified"]
    print_table("Comparisons", columns, cells)
    for remark in result.warnings[len(told) :]:
        print_line(f"warning: {remark}")
    print_line(f"{result.n_blocks} blocks ({result.n_skipped} verified, not computed again), {result.seconds:.1f} s")
    print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        for row in rows:
            print_json(event="result", **row)
