"""`thalgpu report`: the page of an output folder, made anew from what the folder holds."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.cli._console import print_json, print_line, show_progress
from thalgpu.cli._options import RUNNING, LogJsonOption, option

if TYPE_CHECKING:
    from thalgpu.engine.progress import Progress

HERE = ("--workers", 1, "--gpus", 0)
"""One process, this one: see `only_report`."""

Run = Callable[[Path, "Progress"], Any]
"""Repeats the command of an output folder."""


def report(
    out: Annotated[Path, typer.Argument(help="Output folder of any command.", show_default=False)],
    verbose: Annotated[int, option(RUNNING, "-vv: tracebacks.", "-v", "--verbose", count=True)] = 0,
    log_json: LogJsonOption = False,
) -> None:
    """Write report.html anew from what is on the disk; no result is computed or changed.

    All results are verified on the way. The folder must be complete, and the inputs where they were.
    """
    from thalgpu.engine.outputs.atomic import REPORT_NAME, only_report
    from thalgpu.errors import IncompleteError, InputError

    command = _command_of(out)
    try:
        with only_report(), show_progress(as_json=log_json) as progress:
            result = RUNS[command](out, progress)
    except IncompleteError as error:
        remedy = f"run thalgpu {command} again, with the same options; it does what is missing"
        reason = f"not what inputs and options give: a file {error.what}"
        raise IncompleteError(reason, where=error.where, remedy=remedy) from error
    except typer.BadParameter as error:  # of the command, which nobody has typed: config.toml speaks of it
        reason, remedy = error.format_message(), f"run thalgpu {command} again, with the options of the first time"
        raise InputError(out / "config.toml", reason, remedy=remedy) from error
    if result.interrupted is not None:
        raise typer.Exit(result.interrupted)
    path = out / REPORT_NAME
    print_line(f"report: {path}")
    if log_json:
        print_json(event="result", report=str(path))


def _command_of(out: Path) -> str:
    """Whose results the folder holds; InputError where nobody knows."""
    from thalgpu.errors import InputError

    path = out / "config.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise InputError(path, reason, remedy="give the output folder of a command of thalgpu") from error
    for command in RUNS:
        if command in document:
            return command
    raise InputError(path, "is of no command that writes a report", remedy=f"those do: {', '.join(RUNS)}")


def _gradients(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli.gradients import gradients, read_request
    from thalgpu.engine.pipelines.bids import read_excluded, without
    from thalgpu.engine.pipelines.gradients import run_gradients
    from thalgpu.engine.pipelines.prepare import prepare

    request = read_request(_options(gradients, out, *HERE))
    prepared = prepare(request)
    if excluded := read_excluded(out):
        prepared = without(prepared, excluded)
    return run_gradients(request, progress, prepared=prepared)


def _permute(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli.permute import permute, read_request
    from thalgpu.engine.pipelines.permute import run_permute

    return run_permute(read_request(_options(permute, out, *HERE)), progress)


def _compare(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli.compare import compare, read_request
    from thalgpu.engine.pipelines.compare import run_compare

    return run_compare(read_request(_options(compare, out, *HERE[:2])), progress)


def _structure(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli.structure import read_request, structure
    from thalgpu.engine.pipelines.structure import run_structure

    return run_structure(read_request(_options(structure, out, *HERE[:2])), progress)


def _connectivity(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli.connectivity import connectivity, read_request
    from thalgpu.engine.pipelines.connectivity import run_connectivity

    return run_connectivity(read_request(_options(connectivity, out, *HERE[:2])), progress)


def _study(out: Path, progress: "Progress") -> Any:
    from thalgpu.cli._again import options_of
    from thalgpu.cli.study import read_request, study
    from thalgpu.engine.pipelines.study import run_study
    from thalgpu.errors import InputError

    path = out / "config.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    match document:
        case {"study": {"n_perm": n_perm, "seed": seed}, "test": {"file": str(file)}} if Path(file).is_absolute():
            given = ("--n-perm", n_perm, "--seed", seed)
        case _:
            reason = "does not name the study file, its permutations and seed"
            raise InputError(path, reason, remedy="run thalgpu study on the study file again")
    return run_study(read_request(options_of(study, [file, "--out", out, *given, *HERE])), progress)


def _options(function: Callable[..., None], out: Path, *arguments: object) -> dict[str, Any]:
    """What the command was called with."""
    from thalgpu.cli._again import options_of

    return options_of(function, ["--config", out / "config.toml", "--out", out, *arguments])


RUNS: dict[str, Run] = {
    "gradients": _gradients,
    "permute": _permute,
    "compare": _compare,
    "structure": _structure,
    "connectivity": _connectivity,
    "study": _study,
}
