"""`thalgpu study`: a study file in, plan, progress, what every arm found, exit code out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._console import print_json, print_line, print_table, show_progress
from thalgpu.cli._options import (
    RUNNING,
    GpusOption,
    InsecureOption,
    LogJsonOption,
    MemoryOption,
    SchedulerOption,
    ShardOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
    option,
    plain,
)

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.study_model import StudyPrepared, StudyResult
    from thalgpu.engine.pipelines.study_request import StudyRequest
    from thalgpu.engine.pipelines.study_share import Share

STUDY = "Study"
_STOPPED = "stopped on request; run the same command to go on"


def study(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="study.toml: inputs, groups, contrasts, arms.", show_default=False)],
    init: Annotated[bool, option(STUDY, "Write a commented study file here, and stop.", "--init")] = False,
    out: Annotated[Path | None, option(STUDY, "Output folder. [default: the study file's]")] = None,
    n_perm: Annotated[int | None, option(STUDY, "Permutations. [default: the study file's]", min=0)] = None,
    seed: Annotated[int | None, option(STUDY, "Of the permutations. [default: the study file's]", min=0)] = None,
    gpus: GpusOption = None,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    shard: ShardOption = None,
    overwrite: Annotated[bool, option(RUNNING, "Replace results of other settings.", "--overwrite")] = False,
    dry_run: Annotated[bool, option(RUNNING, "Check everything, print the plan, stop.", "--dry-run")] = False,
    verbose: Annotated[int, option(RUNNING, "-vv: tracebacks.", "-v", "--verbose", count=True)] = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Every arm of a study from one file: measured, tested with one permutation set, corrected together, one report.

    Run it again to go on after a crash, or with more people: what is done is verified and skipped.

    With --shard I/N a job measures its share; when all have ended, the run without it tests and reports.
    """
    if init:
        _write_template(file)
        return
    from thalgpu.engine.pipelines.study import prepare_study, run_study

    request = read_request(context.params)
    prepared = prepare_study(request)
    _print_plan(request, prepared)
    if dry_run:
        return
    with show_progress(as_json=log_json) as progress:
        result = run_study(request, progress, prepared=prepared)
    if result.share is not None:
        _print_share(result.share, as_json=log_json)
    else:
        _print_result(result, as_json=log_json)
    raise typer.Exit(_exit_code(result))


def _write_template(path: Path) -> None:
    from thalgpu.engine.inputs.study_template import study_template
    from thalgpu.engine.outputs.atomic import write_text
    from thalgpu.errors import UsageError

    if path.exists():
        raise UsageError("the file exists", where=str(path), remedy="choose another name")
    write_text(path, study_template())
    print_line(f"written: {path}; fill it in, then: thalgpu study {path} --dry-run")


def read_request(values: dict[str, Any]) -> "StudyRequest":
    """The request that the options spell."""
    from dataclasses import fields

    from thalgpu.engine.pipelines.study_request import StudyRequest

    given = plain(values)
    given["out"] = given["out"] and given["out"].absolute()  # the commands' inputs are in it
    return StudyRequest(**{field.name: given[field.name] for field in fields(StudyRequest)})


def _print_plan(request: "StudyRequest", prepared: "StudyPrepared") -> None:
    from thalgpu.engine.inputs.study_settings import ARM_TITLES
    from thalgpu.engine.pipelines.study_design import contrasts_of

    study, people = prepared.study, prepared.people
    n_perm = study.study["n_perm"] if request.n_perm is None else request.n_perm
    lines = [
        f"study         {study.study['title']}",
        f"people        {', '.join(f'{size} {name}' for name, size in people.sizes)}; {len(people.excluded)} left out",
        f"groups        {'; '.join(people.grouped)}",
        f"design        {' + '.join(['group', *people.covariates])}",
        *(f"contrast      {text}" for text in contrasts_of(study, people)),
        *(f"arm           {ARM_TITLES[arm]}" for arm in study.arms),
        *(f"measured by   {line}" for line in _commands(prepared)),
        f"permutations  {n_perm:,}, the same for all arms",
        f"output        {prepared.out}",
    ]
    if request.shard is not None:
        lines.append(f"shard         {request.shard}: its share of what is measured; no tests, no report")
    for line in lines:
        print_line(line)
    for participant, reason in people.excluded.items():
        print_line(f"left out: sub-{participant}: {reason}")
    for remark in people.remarks:
        print_line(f"warning: {remark}")
    for name, command in prepared.commands.items():
        for remark in command.warnings:
            print_line(f"warning: {name}: {remark}")


def _commands(prepared: "StudyPrepared") -> list[str]:
    from thalgpu.engine.plan import format_bytes

    lines = []
    for name, command in prepared.commands.items():
        people = f"thalgpu {name}: {len(command.subjects)} people, {len(command.rejected)} rejected"
        plan = getattr(command, "plan", None)  # structure reads small files only
        sizes = f", {plan.workers} workers of up to {format_bytes(plan.worker_bytes)}" if plan else ""
        lines.append(people + sizes)
    return lines


def _print_share(share: "Share", *, as_json: bool) -> None:
    """What a shard has done, a line a command, and what is next."""
    from thalgpu.engine.cluster.shards import NEXT

    for remark in share.warnings:
        print_line(f"warning: {remark}")
    for participant, reason in share.failures.items():
        print_line(f"failed: sub-{participant}: {reason}")
    for name, done in share.done.items():
        print_line(f"shard {done.shard}: {name}: {done.amount}")
        if as_json:
            print_json(event="result", command=name, finished=done.n_done, of=done.n_mine)
    print_line(_STOPPED if share.interrupted is not None else NEXT)


def _print_result(result: "StudyResult", *, as_json: bool) -> None:
    from thalgpu.engine.inputs.study_settings import ARM_TITLES

    if result.interrupted is not None:
        print_line(_STOPPED)
        return
    columns = ["arm", "contrast", "part", "statistic", "peak", "where", "effect", "p_FWE", "p_arm", "p_joint"]
    rows = [
        [
            ARM_TITLES[arm],
            row.contrast,
            row.part,
            f"{row.statistic}({row.df})",
            f"{row.peak:.2f}",
            row.where,
            f"{row.effect:.2f}",
            *(f"{p:.4f}" for p in (row.p_fwe, row.p_arm, row.p_joint)),
        ]
        for arm, of_arm in result.rows.items()
        for row in of_arm
    ]
    print_table("What every arm found", columns, rows)
    for remark in result.warnings:
        print_line(f"warning: {remark}")
    for participant, reason in result.people.excluded.items():
        print_line(f"left out: sub-{participant}: {reason}")
    people = ", ".join(f"{size} {name}" for name, size in result.people.sizes)
    print_line(f"{people}; {result.tested[0].found[0].result.n_perm:,} permutations; {result.seconds:.1f} s")
    print_line(f"results: {result.out}   report: {result.out / 'report.html'}")
    if as_json:
        for arm, of_arm in result.rows.items():
            for row in of_arm:
                print_json(event="result", arm=arm, **vars(row))


def _exit_code(result: "StudyResult") -> int:
    if result.interrupted is not None:
        return result.interrupted
    failures = result.measured.failures if result.share is None else result.share.failures
    return 3 if failures else 0
