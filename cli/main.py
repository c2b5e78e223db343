"""The `thalgpu` command: subcommands, and errors as one line with an exit code."""

import logging
import sys
from typing import Annotated, Any

import typer

from thalgpu import __version__
from thalgpu.cli import bench, doctor, gradients, simulate
from thalgpu.engine.cluster.interrupts import Interrupted
from thalgpu.errors import ThalgpuError

app = typer.Typer(
    name="thalgpu",
    help="Thalamocortical connectivity gradients.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "THALGPU"},
)
app.command("gradients")(gradients.gradients)
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
    """Thalamocortical connectivity gradients, on CPUs and GPUs."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command line; every error of ours becomes one line on stderr and its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=arguments, prog_name="thalgpu")
    except ThalgpuError as error:
        _report(error, show_traceback="-vv" in arguments)
        sys.exit(error.exit_code)
    except Interrupted as stop:
        print("stopped at once; run the same command to go on", file=sys.stderr)
        sys.exit(stop.exit_code)


def _report(error: ThalgpuError, *, show_traceback: bool) -> None:
    if show_traceback:
        logging.getLogger("thalgpu").exception("traceback", exc_info=error)
    print(f"error: {error}", file=sys.stderr)
