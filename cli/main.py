"""The `thalgpu` command: subcommands, and errors as one line with an exit code."""

import sys
import traceback
from typing import Annotated, Any

import typer

from thalgpu import __version__
from thalgpu.cli import (
    bench,
    bids,
    compare,
    connectivity,
    doctor,
    gradients,
    permute,
    report,
    simulate,
    slurm_script,
    structure,
    study,
)
from thalgpu.cli._console import print_error, print_json
from thalgpu.engine.cluster.interrupts import Interrupted
from thalgpu.errors import ThalgpuError

app = typer.Typer(
    name="thalgpu",
    help="Thalamocortical connectivity gradients, and permutation inference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "THALGPU"},
)
app.command("gradients")(gradients.gradients)
app.command("permute")(permute.permute)
app.command("compare")(compare.compare)
app.command("connectivity")(connectivity.connectivity)
app.command("structure")(structure.structure)
app.command("study")(study.study)
app.command("bids", cls=bids.BidsCommand)(bids.bids)
app.command("slurm-script", context_settings=slurm_script.CONTEXT)(slurm_script.slurm_script)
app.command("report")(report.report)
app.command("simulate")(simulate.simulate)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"thalgpu {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Thalamocortical connectivity gradients and permutation inference, on CPUs and GPUs."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command line; every error becomes one line on stderr and its exit code."""
    arguments = [_with_dashes(text) for text in (sys.argv[1:] if arguments is None else arguments)]
    try:
        app(args=arguments, prog_name="thalgpu")
    except ThalgpuError as error:
        _end(error, str(error), error.exit_code, arguments)
    except Interrupted as stop:
        print_error("stopped at once; run the same command to go on")
        sys.exit(stop.exit_code)
    except Exception as error:  # whatever nobody foresaw: one line for the user, the traceback on request
        text = f"internal error: {type(error).__name__}: {error} — please report it, with the output of -vv"
        _end(error, text, 1, arguments)


def _with_dashes(argument: str) -> str:
    """`--n_components=5` as `--n-components=5`: both spellings are accepted, as fMRIPrep does."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _end(error: Exception, text: str, exit_code: int, arguments: list[str]) -> None:
    text = " ".join(text.splitlines())  # a path may hold a line break
    if "-vv" in arguments:
        print_error("".join(traceback.format_exception(error)))
    if "--log-json" in arguments:
        print_json(event="error", text=text, exit_code=exit_code)
    else:
        print_error(f"error: {text}")
    sys.exit(exit_code)
