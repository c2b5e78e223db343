"""`thalgpu bids`: the main job under the names of a BIDS App."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from thalgpu import __version__
from thalgpu.cli._console import print_json, print_line, show_progress
from thalgpu.cli._options import (
    INPUT,
    RUNNING,
    DryRunOption,
    GpusOption,
    InputTypeOption,
    InsecureOption,
    LogJsonOption,
    OverwriteOption,
    SchedulerOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    VerboseOption,
    option,
)
from thalgpu.cli._runs import exit_code, print_concerns, print_failures, print_scheduler

if TYPE_CHECKING:
    from thalgpu.engine.pipelines.bids import BidsRequest
    from thalgpu.engine.pipelines.gradients import GradientsResult

SCANS = "Which scans"
SEVERAL = ("--participant-label", "--session-label", "--output-spaces")
"""Options with one value or more, as fMRIPrep takes them."""

_AS_GRADIENTS = ("config", "gpus", "scheduler", "tls_ca", "tls_cert", "tls_key")
"""Options that `thalgpu gradients` has under the same names."""


class Level(StrEnum):
    """What is done: each participant's own part, or what needs all of them."""

    PARTICIPANT = "participant"
    GROUP = "group"


class BidsCommand(TyperCommand):
    """A command whose `SEVERAL` options take all values up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--participant-label 01 02` as the same option twice."""
        return super().parse_args(ctx, one_by_one(args))


def one_by_one(arguments: list[str]) -> list[str]:
    """`--participant-label 01 02` as `--participant-label 01 --participant-label 02`."""
    spelled: list[str] = []
    several: str | None = None
    for argument in arguments:
        if argument.startswith("-"):
            several = argument if argument in SEVERAL else None
            spelled.append(argument)
        elif several and spelled[-1] != several:
            spelled += [several, argument]
        else:
            spelled.append(argument)
    return spelled


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"thalgpu {__version__}")
        raise typer.Exit


def bids(
    context: typer.Context,
    bids_dir: Annotated[
        Path,
        typer.Argument(help="Derivatives of fMRIPrep, XCP-D or HCP; or a raw data set, with --derivatives."),
    ],
    out: Annotated[Path, typer.Argument(help="Output folder: new, empty, or of an earlier run.")],
    level: Annotated[
        Level, typer.Argument(help="participant: each one's gradients; group: template, alignment, report.")
    ],
    participant_label: Annotated[
        list[str] | None, option(INPUT, "Only these, with or without sub-.", metavar="LABEL …")
    ] = None,
    derivatives: Annotated[
        Path | None, option(INPUT, "Where the preprocessed scans are.", "-d", "--derivatives")
    ] = None,
    config: Annotated[Path | None, option(INPUT, "TOML file with options of thalgpu gradients.")] = None,
    task_id: Annotated[str | None, option(SCANS, "Task. [default: the only one, or rest…]", "-t", "--task-id")] = None,
    session_label: Annotated[
        list[str] | None, option(SCANS, "Only these sessions, with or without ses-.", metavar="LABEL …")
    ] = None,
    output_spaces: Annotated[
        list[str] | None,
        option(SCANS, "The scans' space, as fMRIPrep was asked for it; a surface too.", metavar="SPACE …"),
    ] = None,
    input_type: InputTypeOption = None,
    gpus: GpusOption = None,
    nprocs: Annotated[
        int | None,
        option(
            RUNNING,
            "Processes. [default: as many as cores and memory allow]",
            *("--nprocs", "--nthreads", "--n-cpus", "--workers"),
            min=1,
        ),
    ] = None,
    mem: Annotated[
        str | None,
        option(
            RUNNING,
            "Memory allowed; a plain number is MB. [default: 90 % of what is free]",
            *("--mem", "--mem-mb", "--memory"),
            metavar="16GB",
        ),
    ] = None,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = 0,
    log_json: LogJsonOption = False,
    version: Annotated[
        bool, option(RUNNING, "Print the version.", "--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """BIDS App: thalgpu gradients, participant by participant, then the group.

    Participant level may run in many jobs at once, each with its --participant-label; group level follows.
    """
    from thalgpu.cli.gradients import print_plan, print_result
    from thalgpu.engine.pipelines.bids import prepare_bids, run_bids

    request = _request(context.params)
    ready = prepare_bids(request)
    print_plan(ready.request, ready.prepared, verbose=verbose)
    print_scheduler(ready.request)
    print_line(f"level       {level.value}, {len(ready.chosen)} participants asked for")
    if dry_run:
        print_concerns(ready.prepared)
        return
    with show_progress(as_json=log_json) as progress:
        result = run_bids(request, progress, prepared=ready)
    if ready.request.shard is not None and result.interrupted is None:
        _print_participants(result, len(ready.chosen), as_json=log_json)
    else:
        print_result(result, as_json=log_json)
    raise typer.Exit(exit_code(result))


def _request(values: dict[str, Any]) -> "BidsRequest":
    """The request that the options spell."""
    from thalgpu.cli._again import options_of
    from thalgpu.cli.gradients import gradients, read_request
    from thalgpu.engine.pipelines.bids import BidsRequest
    from thalgpu.errors import UsageError

    spaces = [space.replace(":", "_") for space in values["output_spaces"] or ()]
    if spaces and values["input_type"]:
        raise UsageError("--output-spaces and --input-type both name a space", remedy="give one of them")
    arguments: list[object] = ["--subjects", "found", "--out", values["out"]]  # the list follows from the folder
    named = {"nprocs": "workers", "mem": "memory"} | {name: name for name in _AS_GRADIENTS}
    for name, theirs in named.items():
        if values[name] is not None:
            value = f"{values[name]}MB" if name == "mem" and values[name].isdigit() else values[name]
            arguments += [f"--{theirs.replace('_', '-')}", value]
    arguments += [f"--{name}" for name in ("insecure", "overwrite") if values[name]]
    given = options_of(gradients, arguments, environment="THALGPU_GRADIENTS")
    entities = {"task": [values["task_id"]] if values["task_id"] else [], "ses": values["session_label"] or []}
    return BidsRequest(
        bids_dir=values["bids_dir"],
        level=values["level"].value,
        gradients=read_request(given),
        labels=tuple(values["participant_label"] or ()),
        derivatives=values["derivatives"],
        input_type=values["input_type"] or (f":{'+'.join(spaces)}" if spaces else None),
        only={key: [one.removeprefix(f"{key}-") for one in meant] for key, meant in entities.items() if meant},
    )


def _print_participants(result: "GradientsResult", n_chosen: int, *, as_json: bool) -> None:
    print_failures(result)
    n_done = n_chosen - len(result.failures)
    print_line(f"{n_done} of {n_chosen} participants finished, {result.seconds:.1f} s; then: group level")
    if as_json:
        print_json(event="result", finished=n_done, failed=len(result.failures), out=str(result.out))
